"""Events per second of the dimuon example: Beampipe beside coffea, on one machine.

Runs alternate, so that a busy minute falls on all of them alike; the outputs must be equal.

    python benchmarks/demo_rate.py [--files 8] [--events 250000] [--rounds 5] [--data DIR] [--json]
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))
# Workers import the example by its name, too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")])

import dimuon  # noqa: E402
import loky  # noqa: E402
from coffea import processor  # noqa: E402
from coffea.nanoevents import NanoAODSchema  # noqa: E402
from distributed import Client, LocalCluster  # noqa: E402

import beampipe  # noqa: E402

WORKERS = 2
BEAMPIPE, DASK, FUTURES = "Beampipe", "coffea DaskExecutor", "coffea FuturesExecutor"


class Dimuon(processor.ProcessorABC):
    """The example, as coffea's Runner wants it."""

    def process(self, events):
        """Do what the example does."""
        return dimuon.process(events)

    def postprocess(self, accumulator):
        """Leave the sums as they are."""
        return accumulator


def contestants(paths, chunksize, client, pool):
    """What is measured: by name, functions that run the example and give its output."""
    fileset = {"Muons": [str(path) for path in paths]}
    coffea_fileset = {"Muons": {"files": dict.fromkeys(fileset["Muons"], "Events")}}

    def run_beampipe():
        # `fresh`: what an earlier round did must not be taken for done.
        with tempfile.TemporaryDirectory(prefix="beampipe-benchmark-") as folder:
            result = beampipe.run(
                dimuon.process,
                fileset,
                client=client,
                chunksize=chunksize,
                run_dir=Path(folder) / "run",
                fresh=True,
            )
            return result.output

    def run_coffea(executor):
        runner = processor.Runner(executor, chunksize=chunksize, schema=NanoAODSchema)
        return runner(coffea_fileset, Dimuon())

    return {
        BEAMPIPE: run_beampipe,
        DASK: lambda: run_coffea(processor.DaskExecutor(client=client, status=False)),
        FUTURES: lambda: run_coffea(processor.FuturesExecutor(pool=pool, status=False)),
    }


def check_equal(name, output, expected):
    """Stop if two outputs differ anywhere: weights are such that sums are exact."""
    differing = [key for key in expected if output.get(key) != expected[key]]
    if differing or set(output) != set(expected):
        sys.exit(f"{name} gives another result: {', '.join(differing) or sorted(output)}")


def measure(runs, rounds):
    """Seconds of each contestant: one warm-up that is not counted, then alternating rounds."""
    seconds = {name: [] for name in runs}
    first, expected = {}, None
    names = list(runs)
    for number in range(rounds + 1):
        # Another one begins each time.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            began = time.perf_counter()
            output = runs[name]()
            elapsed = time.perf_counter() - began
            if expected is None:
                expected = output
            check_equal(name, output, expected)
            if number == 0:
                first[name] = elapsed
            else:
                seconds[name].append(elapsed)
            print(f"round {number}  {name:24} {elapsed:7.2f} s", file=sys.stderr)
    return first, seconds


def summarise(first, seconds, n_events):
    """Medians, spreads, rates, and how many times as fast Beampipe is."""
    reference = statistics.median(seconds[BEAMPIPE])
    return {
        name: {
            "first_s": round(first[name], 3),
            "median_s": round(statistics.median(values), 3),
            "fastest_s": round(min(values), 3),
            "slowest_s": round(max(values), 3),
            "events_per_s": round(n_events / statistics.median(values)),
            "beampipe_is_faster_by": round(statistics.median(values) / reference, 2),
        }
        for name, values in seconds.items()
    }


def describe_machine():
    versions = {
        name: importlib.metadata.version(name)
        for name in ("awkward", "coffea", "distributed", "numpy", "uproot")
    }
    return {"python": platform.python_version(), "cores": os.cpu_count(), **versions}


def print_table(results, n_events, machine):
    print(f"{n_events:,} events, {WORKERS} workers, outputs equal")
    print("| | first run [s] | median [s] | fastest to slowest [s] | Mevents/s | ratio |")
    print("|---|---|---|---|---|---|")
    for name, row in results.items():
        print(
            f"| {name} | {row['first_s']:.2f} | {row['median_s']:.2f} "
            f"| {row['fastest_s']:.2f} to {row['slowest_s']:.2f} "
            f"| {row['events_per_s'] / 1e6:.2f} | {row['beampipe_is_faster_by']:.2f} |"
        )
    print(", ".join(f"{name} {version}" for name, version in machine.items()))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--events", type=int, default=250_000, help="in each file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunksize", type=int, default=250_000)
    parser.add_argument("--data", type=Path, help="keep the files here, and take them from here")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    n_events = arguments.files * arguments.events
    with tempfile.TemporaryDirectory(prefix="beampipe-benchmark-") as folder:
        data = arguments.data or Path(folder) / "data"
        paths = beampipe.make_data(data, files=arguments.files, events=arguments.events)
        with (
            LocalCluster(
                n_workers=WORKERS, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
            loky.ProcessPoolExecutor(max_workers=WORKERS) as pool,
            # coffea draws its progress on standard output even when told not to.
            contextlib.redirect_stdout(sys.stderr),
        ):
            runs = contestants(paths, arguments.chunksize, client, pool)
            first, seconds = measure(runs, arguments.rounds)
    results, machine = summarise(first, seconds, n_events), describe_machine()
    if arguments.json:
        print(json.dumps({"events": n_events, "results": results, "machine": machine}))
    else:
        print_table(results, n_events, machine)


if __name__ == "__main__":
    main()
