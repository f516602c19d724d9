"""The story of a run that takes longer than the time that its jobs have."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from storytelling import PATIENCE_S, connected, count_queue, open_cluster, tell, wait_for

import beampipe as bp
from beampipe.clusters.fleet import Phase

SLOW = f"{Path(__file__).with_name('slow_processor.py')}:process"
WORKERS, EVENTS = 2, 100
# So often should a worker's start fit into the time of its job, in whole minutes as Slurm counts;
# but where it took minutes once, the run is not to last for ever.
STARTS = 6
MOST_MINUTES = 4


def generations() -> dict[str, Any]:
    """Jobs of a minute follow each other during a run, which is the same as here."""
    return run_over_generations(80 / 60)


def three_minutes() -> dict[str, Any]:
    """The same for longer, by hand."""
    return run_over_generations(190 / 60)


def measure_minutes() -> int:
    """How long jobs may be here: one minute, and more where the machine is busy with others."""
    began = time.monotonic()
    with open_cluster(n_workers=1) as cluster:
        cluster.wait_for_workers(1, timeout=2 * PATIENCE_S)
        minutes = math.ceil(STARTS * (time.monotonic() - began) / 60)
        return min(minutes, MOST_MINUTES)


@contextlib.contextmanager
def counting_most(cluster: Any) -> Iterator[list[int]]:
    """How many workers there were at most, meanwhile."""
    over = threading.Event()
    most = [0]

    def watch() -> None:
        while not over.wait(0.5):
            most[0] = max(most[0], len(connected(cluster)))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield most
    finally:
        over.set()
        watching.join()


def run_over_generations(lives: float) -> dict[str, Any]:
    """A run that takes so many times as long as its jobs may."""
    minutes = measure_minutes()
    job = {"walltime": f"{minutes} min", "lifetime_stagger": "15 s"}
    chunks, pause_s = int(lives * 60 * WORKERS), float(minutes)
    bp.make_data("data", files=chunks, events=EVENTS)  # each file is a chunk
    folders = {name: Path(name).absolute() for name in ("here", "traces")}
    for folder in folders.values():
        folder.mkdir()

    def run(traces: str, pause_s: float, **where: Any) -> Any:
        params = {"traces": str(folders[traces]), "pause_s": pause_s}
        return bp.run(SLOW, "data", params=params, fresh=True, **where)

    here = run("here", 0, workers=0, progress=False).output
    with open_cluster(n_workers=WORKERS, **job) as cluster:
        cluster.wait_for_workers(WORKERS, timeout=PATIENCE_S)
        with counting_most(cluster) as most, cluster.get_client() as client:
            there = run("traces", pause_s, client=client, progress=True)
        wait_for(lambda: len(connected(cluster)) == WORKERS, "the workers that are asked for")
        jobs = cluster.jobs()
        begun = sorted(job.submitted_at for job in jobs if job.was_connected)
    wait_for(lambda: count_queue(cluster.tag) == 0, "an empty queue")
    pt, big = there.output["pt"], there.output["big"]
    return {
        "complete": there.is_complete,
        "missing": chunks * EVENTS - there.output["events"],
        "equal": bool(np.array_equal(pt.values(), here["pt"].values()))
        and bool(np.array_equal(big, here["big"])),
        "again": len(list(folders["traces"].iterdir())) - chunks,
        "minutes": minutes,
        "jobs": len(begun),
        "most": most[0],
        "phases": sorted({str(job.phase) for job in jobs if job.phase is not Phase.CONNECTED}),
        "lost": [job.reason for job in jobs if job.phase is Phase.LOST],
        "odd": [repr(job) for job in jobs if job.was_connected and not job.started_at],
        "begun": [round(each - begun[0]) for each in begun],
        "took": round(there.metrics["wall_s"]),
    }


if __name__ == "__main__":
    tell(generations, three_minutes)
