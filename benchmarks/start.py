"""From the command to the first partial histogram on the screen, beside a coffea script.

Both are started as processes of their own, in turns, on the same files in the page cache; the
clock stops when the line with the first histogram has come. coffea shows nothing before the end,
so its script does one chunk for each worker and prints the histogram of those: what it would
take to show as much.

    python benchmarks/start.py [--files 4] [--events 250000] [--rounds 5] [--data DIR] [--json]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
WORKERS = 2
GIVE_UP_S = 300
BEAMPIPE, COFFEA = "beampipe run", "coffea script"

SCRIPT = """
import glob, sys
from coffea import processor
from coffea.nanoevents import NanoAODSchema
from distributed import Client, LocalCluster
import dimuon

class Dimuon(processor.ProcessorABC):
    def process(self, events):
        return dimuon.process(events)
    def postprocess(self, accumulator):
        return accumulator

if __name__ == "__main__":
    files = sorted(glob.glob(sys.argv[1] + "/*.root"))[: int(sys.argv[2])]
    cluster = LocalCluster(n_workers=int(sys.argv[2]), threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client:
        run = processor.Runner(
            processor.DaskExecutor(client=client, status=False),
            chunksize=int(sys.argv[3]), schema=NanoAODSchema,
        )
        out = run({"Muons": {"files": dict.fromkeys(files, "Events")}}, Dimuon())
        print("mass", out["mass"].sum(), flush=True)
"""


def wait_for_line(arguments, is_first, *, environment):
    """Seconds until a line of a process says it, and until it has ended."""
    begin = time.monotonic()
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    first = None
    told = []
    for line in process.stdout:
        told.append(line)
        if first is None and is_first(line):
            first = time.monotonic() - begin
    code = process.wait(GIVE_UP_S)
    if code or first is None:
        raise SystemExit(f"{arguments[:3]} ended with {code}, and told:\n{''.join(told)}")
    return first, time.monotonic() - begin


def has_histogram(line):
    """Whether a line of Beampipe's progress shows the first histogram."""
    return " events/s" in line and "mass" in line and "█" in line


def start_beampipe(data, options, environment):
    """The command, as one types it; what an earlier round did is not taken for done."""
    with tempfile.TemporaryDirectory(prefix="beampipe-start-") as folder:
        command = [sys.executable, "-m", "beampipe", "run", str(EXAMPLES / "dimuon.py:process")]
        command += [str(data), "--workers", str(WORKERS), "--fresh"]
        command += ["--chunksize", str(options.events), "--run-dir", f"{folder}/run"]
        return wait_for_line(command, has_histogram, environment=environment)


def start_coffea(data, options, environment):
    """The script, from a file, for Dask's workers import the main module."""
    with tempfile.TemporaryDirectory(prefix="beampipe-start-") as folder:
        script = Path(folder) / "coffea_dimuon.py"
        script.write_text(SCRIPT, encoding="utf-8")
        command = [sys.executable, str(script), str(data), str(WORKERS), str(options.events)]
        return wait_for_line(
            command, lambda line: line.startswith("mass "), environment=environment
        )


CONTESTANTS = {BEAMPIPE: start_beampipe, COFFEA: start_coffea}


def measure(data, options, environment):
    """In turns, another one beginning each round; the first round warms caches up."""
    times = {name: [] for name in CONTESTANTS}
    for number in range(options.rounds + 1):
        names = sorted(CONTESTANTS, reverse=bool(number % 2))
        for name in names:
            first, whole = CONTESTANTS[name](data, options, environment)
            if number:
                times[name].append((first, whole))
            if not options.json:
                print(f"round {number}: {name}: {first:.2f} s, ended after {whole:.2f} s")
    return times


def summarize(times):
    """Medians, and the ratio of the medians with those of each round."""
    first = {name: [one for one, _ in some] for name, some in times.items()}
    ratios = [b / c for b, c in zip(first[BEAMPIPE], first[COFFEA], strict=True)]
    return {
        "first_s": {name: statistics.median(some) for name, some in first.items()},
        "range_s": {name: [min(some), max(some)] for name, some in first.items()},
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


def main():
    """Make the files if they are not there, measure, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--events", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="beampipe-start-") as folder:
        data = options.data or Path(folder) / "data"
        if not data.exists():
            make = [sys.executable, "-m", "beampipe", "make-data", str(data)]
            make += ["--files", str(options.files), "--events", str(options.events)]
            subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        environment = {**os.environ, "XDG_CACHE_HOME": f"{folder}/cache"}
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(EXAMPLES), os.environ.get("PYTHONPATH", "")]
        ).rstrip(os.pathsep)
        figures = summarize(measure(data, options, environment))
    if options.json:
        print(json.dumps(figures))
        return
    for name, seconds in figures["first_s"].items():
        low, high = figures["range_s"][name]
        print(f"{name}: first histogram after {seconds:.2f} s ({low:.2f} to {high:.2f})")
    print(f"ratio {figures['ratio']:.2f}; load {figures['load']:.1f} on {figures['cores']} cores")


if __name__ == "__main__":
    main()
