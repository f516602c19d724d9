"""What a run takes in memory: large histograms on two small workers.

Every bundle is one chunk, so there are as many partials as there can be. Peaks are those of
the resident memory of whole processes, sampled, and shown above what the first case took.

"besides" is the time that was not spent in bundles (merging, fetching, writing to disk), above
what the first case took: what large results cost, where all else is the same.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import psutil
from rig import Looking

import beampipe as bp
from beampipe.execution import dispatch

MB = 1e6
EVENTS = 2_000
BYTES_PER_BIN = 16  # of a weighted histogram


@dataclass(frozen=True)
class Case:
    """One kind of run."""

    name: str
    value_bytes: int
    chunks: int
    memory: str = "4 GB"
    reproducible: bool = False


CASES = (
    Case("200 partials of 1 kB", 1_000, 200),
    Case("200 partials of 10 MB", 10_000_000, 200),
    Case("60 of 10 MB, reproducible", 10_000_000, 60, reproducible=True),
    Case("56 partials of 160 MB, 1.5 GB workers", 160_000_000, 56, "1.5 GB"),
)


def make_processor(value_bytes, spin_s=0.05):
    def process(events):
        import time

        import hist
        import numpy as np

        end = time.perf_counter() + spin_s
        h = hist.Hist.new.Reg(value_bytes // 16, 0, 1, name="x").Weight()
        rng = np.random.default_rng(len(events))
        h.fill(rng.random(1000), weight=rng.random(1000))
        while time.perf_counter() < end:
            pass
        return {"h": h, "n": len(events)}

    return process


class Watch(Looking):
    """Peaks of this process and of every child while the block lasts [bytes]."""

    def __init__(self):
        super().__init__(self._sample, every_s=0.02)
        self.me = psutil.Process()
        self.before = self.me.memory_info().rss
        self.peaks = {}

    def _sample(self):
        for process in [self.me, *self.me.children(recursive=True)]:
            try:
                rss = process.memory_info().rss
            except psutil.Error:
                continue
            self.peaks[process.pid] = max(self.peaks.get(process.pid, 0), rss)

    @property
    def driver(self):
        """How far this process rose."""
        return self.peaks[os.getpid()] - self.before

    @property
    def workers(self):
        """The peaks of the two largest children."""
        return sorted((p for pid, p in self.peaks.items() if pid != os.getpid()), reverse=True)[:2]


def run_case(case, data, folder):
    """Do a case; gives the result and the peaks."""
    with (
        mock.patch.object(dispatch, "TARGET_S", 0.0),  # every bundle is one chunk
        mock.patch.object(dispatch, "_LEAST_S", 0.0),
        mock.patch.dict(os.environ, {"BEAMPIPE_MEMORY_LIMIT": case.memory}),
        Watch() as watch,
    ):
        result = bp.run(
            make_processor(case.value_bytes),
            str(data),
            chunksize=EVENTS // case.chunks,
            workers=2,
            progress=False,
            fresh=True,
            reproducible=case.reproducible,
            run_dir=Path(folder) / "run",
        )
    return result, watch


def besides_s(metrics):
    """The time of a run in which its two workers did no bundle [s]."""
    return metrics["wall_s"] - (metrics["work_s"] - metrics["stages_s"]["merge"]) / 2


def measure(case, data):
    """One run of a case; gives what there is to be shown of it."""
    with tempfile.TemporaryDirectory() as folder:
        result, watch = run_case(case, data, folder)
    if result.output["n"] != EVENTS:
        raise SystemExit(f"{case.name}: {result}")
    metrics = result.metrics
    return {
        "driver": watch.driver,
        "workers": watch.workers,
        "died": metrics["workers_died"],
        "wall_s": metrics["wall_s"],
        "spent_s": besides_s(metrics),
        "stages_s": metrics["stages_s"],
    }


def show(case, runs, idle, least_s):
    def median(name):
        return statistics.median(run[name] for run in runs)

    peaks = [max(run["workers"][i] for run in runs) - idle for i in range(2)]
    workers = ", ".join(f"{peak / MB:.0f} MB" for peak in peaks)
    driver = f"{max(run['driver'] for run in runs) / MB:.0f} MB"
    stages = ", ".join(
        f"{name} {statistics.median(run['stages_s'][name] for run in runs):.2f}"
        for name in ("merge", "pull", "commit", "wait")
    )
    print(
        f"{case.name:<40} {driver:>9} {workers:>24} {sum(run['died'] for run in runs):>5} "
        f"{median('wall_s'):>6.1f} s {median('spent_s') - least_s:>6.2f} s   {stages}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", type=int, choices=range(len(CASES)), help="only this one")
    parser.add_argument("--rounds", type=int, default=1, help="medians of so many, alternating")
    asked = parser.parse_args()
    cases = CASES if asked.case is None else (CASES[0], CASES[asked.case])
    print(
        f"{'case':<40} {'driver':>9} {'workers above idle':>24} {'died':>5} {'time':>7} "
        f"{'besides':>8}   stages [s]"
    )
    runs = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as data:
        bp.make_data(data, files=1, events=EVENTS)
        for _ in range(asked.rounds):
            for case in cases:
                runs[case].append(measure(case, data))
    first = runs[cases[0]]
    idle = min(min(run["workers"]) for run in first)
    least_s = statistics.median(run["spent_s"] for run in first)
    for case in cases:
        show(case, runs[case], idle, least_s)


if __name__ == "__main__":
    main()
