"""One measurement in a process of its own; prints its answer as JSON.

python -m benchmarks.race.probes '{"figure": "chunk", ...}'
"""

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.race.contestants import run_beampipe, run_coffea
from benchmarks.race.places import EXAMPLES, PROJECT, prepare_imports

GIVE_UP_S = 120
BLOCKS = "▁▂▃▄▅▆▇█"


def look(events):
    """As little as a processor can do with one column."""
    import awkward as ak

    return {"events": len(events), "met": float(ak.sum(events.MET.pt))}


def time_chunks(question):
    """What a worker does for each further chunk, and what each costs the whole run.

    One worker, warm: layouts are known, the indexes of all files are kept.
    """
    from distributed import Client, LocalCluster

    few, many = (question["paths"][:n] for n in question["sizes"])
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):

        def run(paths):
            began = time.perf_counter()
            result = run_beampipe(look, paths, client=client)
            wall_s = time.perf_counter() - began
            stages = {stage.name: stage.seconds for stage in result.timing.workers}
            return wall_s, sum(stages.values()) - stages.get("wait", 0.0), stages

        run(many)
        run(many)
        (long_s, long_work_s, stages), (short_s, short_work_s, _) = run(many), run(few)
    more = len(many) - len(few)
    return {
        "seconds": (long_work_s - short_work_s) / more,
        "wall_s": (long_s - short_s) / more,
        "stages": stages,
    }


def peak_bytes():
    """The highest resident memory of this process so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmHWM in /proc/self/status")


def measure_memory(question):
    import adl
    from coffea import processor
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        if question["who"] == "beampipe":
            run_beampipe(adl.AllQueries(), question["paths"], client=client)
        else:
            executor = processor.DaskExecutor(client=client, status=False)
            run_coffea(executor, adl.AllQueries(), question["paths"])
        (peak,) = client.run(peak_bytes).values()
    return {"bytes": peak}


def time_first_partial(question):
    """Run the command in a terminal, and wait for the first histogram that is drawn."""
    with tempfile.TemporaryDirectory() as folder:
        fileset = Path(folder) / "files.json"
        fileset.write_text(json.dumps({"data": question["paths"]}))
        run_dir = Path(folder) / "run"
        command = [
            str(Path(sys.executable).with_name("beampipe")),
            *("run", f"{EXAMPLES / 'dimuon.py'}:process", str(fileset)),
            *("--run-dir", str(run_dir), "--fresh", "--workers", "2"),
        ]
        subprocess.run(command, check=True, capture_output=True, cwd=PROJECT)  # a warm machine
        shutil.rmtree(run_dir)
        return {"seconds": watch(command)}


def watch(command):
    main, terminal = pty.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=terminal,
        stderr=terminal,
        stdin=subprocess.DEVNULL,
        cwd=PROJECT,
        env=os.environ
        | {"COLUMNS": "200", "TERM": "xterm", "LC_ALL": "C.UTF-8"},  # no word is left out
    )
    os.close(terminal)
    seen, found = b"", None
    try:
        # To its end: a command whose terminal nobody reads stands still.
        while time.perf_counter() - began < GIVE_UP_S:
            if select.select([main], [], [], 0.05)[0]:
                try:
                    seen += os.read(main, 65536)
                except OSError:  # the command has ended
                    break
                if found is None and has_partial(seen):
                    found = time.perf_counter() - began
    finally:
        os.close(main)  # it ends on this, if it has not yet
        process.wait()
    if found is None:
        raise RuntimeError(f"no partial result was shown: {seen[-500:]!r}")
    return found


def has_partial(shown):
    """Whether the progress display has drawn the first histogram."""
    return any(block.encode() in shown for block in BLOCKS)


PROBES = {
    "chunk": time_chunks,
    "memory": measure_memory,
    "first partial": time_first_partial,
}


def main():
    prepare_imports()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    question = json.loads(sys.argv[1])
    print(json.dumps(PROBES[question["figure"]](question)), file=answers, flush=True)


if __name__ == "__main__":
    main()
