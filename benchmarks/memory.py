"""What a run takes in memory: large histograms on small workers.

Two cases, as ``docs/explanation/how-a-run-keeps-its-promises.md`` quotes them:

* 200 partials of 10 MB on two workers: how far each process rises above its idle size.
* a histogram of 160 MB on two workers that may take 1.5 GB each.

Every bundle is one chunk, so there are as many partials as there can be.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

import psutil

import beampipe as bp
from beampipe.execution import dispatch

MB = 1e6


def make_processor(n_bins, spin_s):
    def process(events):
        import time

        import hist
        import numpy as np

        end = time.perf_counter() + spin_s
        h = hist.Hist.new.Reg(n_bins, 0, 1, name="x").Weight()
        rng = np.random.default_rng(len(events))
        h.fill(rng.random(1000), weight=rng.random(1000))
        while time.perf_counter() < end:
            pass
        return {"h": h, "n": len(events)}

    return process


class Watch:
    """Peak resident memory of this process and of every worker, by sampling."""

    def __init__(self):
        self.first, self.peak = {}, {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _look(self):
        me = psutil.Process()
        while not self._end.wait(0.02):
            for process in [me, *me.children(recursive=True)]:
                try:
                    rss = process.memory_info().rss
                except psutil.Error:
                    continue
                self.first.setdefault(process.pid, rss)
                self.peak[process.pid] = max(self.peak.get(process.pid, 0), rss)


def measure(name, data, *, n_bins, chunks, memory, reproducible=False, spin_s=0.05):
    events = 2_000
    with tempfile.TemporaryDirectory() as folder, Watch() as watch:
        warm = time.monotonic()
        os.environ["BEAMPIPE_MEMORY_LIMIT"] = memory
        result = bp.run(
            make_processor(n_bins, spin_s),
            str(data),
            chunksize=max(1, events // chunks),
            workers=2,
            progress=False,
            fresh=True,
            reproducible=reproducible,
            run_dir=Path(folder) / "run",
        )
        wall_s = time.monotonic() - warm
    assert result.output["n"] == events, result
    own = (watch.peak.pop(os.getpid()) - watch.first[os.getpid()]) / MB
    workers = sorted(watch.peak.values(), reverse=True)[:2]
    metrics = result.metrics
    print(
        f"{name:<34} {wall_s:6.1f} s  driver +{own:5.0f} MB  workers peak "
        f"{', '.join(f'{peak / MB:.0f}' for peak in workers)} MB  "
        f"bundles {metrics['n_bundles']}  died {metrics['workers_died']}  "
        f"segments {len(list((result.run_dir / 'segments').glob('*'))) if result.run_dir.exists() else '-'}"
    )
    for incident in result.record.incidents:
        print("   ", incident["what"], incident["text"][:200], incident["count"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["idle", "many", "large", "reproducible"])
    only = parser.parse_args().only
    dispatch.TARGET_S = dispatch._LEAST_S = 0.0  # noqa: SLF001 (every bundle is one chunk)
    with tempfile.TemporaryDirectory() as folder:
        bp.make_data(folder, files=1, events=2_000)
        if only in {None, "idle"}:
            measure("idle: 200 partials of 1 kB", folder, n_bins=10, chunks=200, memory="4 GB")
        if only in {None, "many"}:
            measure("200 partials of 10 MB", folder, n_bins=625_000, chunks=200, memory="4 GB")
        if only in {None, "reproducible"}:
            measure(
                "60 of 10 MB, reproducible",
                folder,
                n_bins=625_000,
                chunks=60,
                memory="4 GB",
                reproducible=True,
            )
        if only in {None, "large"}:
            measure(
                "56 partials of 160 MB, 1.5 GB",
                folder,
                n_bins=10_000_000,
                chunks=56,
                memory="1.5 GB",
            )


if __name__ == "__main__":
    main()
