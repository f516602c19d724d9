"""Up to ten thousand workers and a million chunks: what the driver and the scheduler bear.

Three processes: the driver (the real one, on a real `distributed.Client` through `DaskPool`,
committing to a real ledger on disk), the real `distributed.Scheduler`, and stub workers that speak
its protocol over real sockets (`stub_workers.py` says what of them is modelled: the time of a
chunk, deaths, delays, transfers, sizes). Time is real time, neither scaled nor virtual.

Efficiency is the time that workers worked over the time that they were there, from the first
bundle sent to the last commit. CPU times are those of whole processes; the orchestration's cost
per chunk is the driver's and the scheduler's together. At the end, the ledger must hold every event
of the plan exactly once.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import logging
import multiprocessing
import pstats
import sys
import tempfile
import threading
import time
from pathlib import Path

import dask
import distributed.scheduler
import psutil
import stub_workers
from rig import Looking, make_ledger

from beampipe.clusters.descriptors import make_room
from beampipe.datasets.model import DatasetPlan, FileEntry, FilePlan, Plan
from beampipe.execution.accounting import account, tally_manifests
from beampipe.execution.assembly import assemble_driver
from beampipe.execution.driver import DriverOptions
from beampipe.execution.engine import make_context
from beampipe.execution.processors import load_processor
from beampipe.execution.progress import ignore

EVENTS = 10_000  # in a chunk
CHUNKS_PER_FILE = 25
POINTS = (10, 100, 1_000)


# On a machine that does other things as well, a process may not be heard of for a while.
PATIENT = {"distributed.comm.timeouts.tcp": "600s", "distributed.comm.timeouts.connect": "300s"}


def serve_scheduler(pipe, settings, profile_path):
    """What the scheduler's process runs."""
    from distributed import Scheduler

    async def run():
        scheduler = Scheduler(host="127.0.0.1", port=0, dashboard=False)
        make_room(scheduler)
        async with scheduler:
            pipe.send(scheduler.address)
            while True:
                if await stub_workers.receive(pipe) == "end":
                    return
                me, cpu = psutil.Process(), psutil.Process().cpu_times()
                pipe.send(
                    {
                        "cpu_s": cpu.user + cpu.system,
                        "rss": me.memory_info().rss,
                        "tasks": len(scheduler.tasks),
                        "workers": len(scheduler.workers),
                    }
                )

    logging.disable(logging.INFO)
    dask.config.set(PATIENT | settings)
    gc.set_threshold(*(3 * threshold for threshold in gc.get_threshold()))  # as `dask scheduler`
    # Whenever a worker comes, the versions of all are compared. Of ten thousand that takes
    # minutes, and all of them are the same process.
    distributed.scheduler.version_module.error_message = lambda *_, **__: {
        "warning": "",
        "error": "",
    }
    profiler = cProfile.Profile()
    if profile_path:
        profiler.enable()
    asyncio.run(run())
    if profile_path:
        profiler.disable()
        profiler.dump_stats(profile_path)


class Process:
    """A process that answers questions over a pipe."""

    def __init__(self, target, *before, after=()):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=target, args=(*before, theirs, *after), daemon=True)
        self.process.start()
        self.lock = threading.Lock()

    def ask(self, what="stats"):
        with self.lock:
            self.pipe.send(what)
            return self.pipe.recv()

    def end(self):
        with self.lock:
            self.pipe.send("end")
        self.process.join(20)
        if self.process.is_alive():
            self.process.kill()


class Watch(Looking):
    """Memory of driver and scheduler over time, sampled."""

    def __init__(self, scheduler, every_s=1.0):
        super().__init__(self._sample, every_s)
        self.scheduler, self.samples, self.me = scheduler, [], psutil.Process()

    def _sample(self):
        theirs = self.scheduler.ask()
        mine = self.me.memory_info().rss
        self.samples.append((time.time(), mine, theirs["rss"], theirs["tasks"]))

    def rise(self, column):
        """From the first quarter's peak to the whole run's [MB]."""
        values = [sample[column] for sample in self.samples]
        early = max(values[: max(1, len(values) // 4)], default=0)
        return early / 1e6, max(values, default=0) / 1e6


class Ticker:
    """Says every few seconds how far a run is."""

    said_at = 0.0

    def __call__(self, progress):
        if time.monotonic() - self.said_at > 2:
            self.said_at = time.monotonic()
            print(
                f"  {progress.stage} {progress.elapsed_s:.0f} s: {progress.chunks_done:,} of "
                f"{progress.chunks_planned:,} chunks, {progress.workers:,} workers, "
                f"{progress.workers_died} died, {progress.retries} tried again",
                file=sys.stderr,
                flush=True,
            )


def make_plan(chunks, datasets):
    per_dataset = max(1, chunks // datasets)
    made = []
    for d in range(datasets):
        files = []
        left = per_dataset
        while left > 0:
            n = min(CHUNKS_PER_FILE, left)
            left -= n
            uuid = f"{d:08x}-{len(files):08x}-0000-0000"
            path = f"root://storage.example//store/data/run{d}/{len(files)}.root"
            entry = FileEntry(f"data{d}", (path,), "Events", uuid, n * EVENTS)
            files.append(FilePlan(entry, n, n, n * EVENTS))
        made.append(DatasetPlan(f"data{d}", tuple(files)))
    return Plan(tuple(made), EVENTS)


def process(events):
    return {"n": len(events)}


def simulate(asked, model, chunks):
    """One run; gives a dictionary of figures."""
    from distributed import Client

    from beampipe.execution.dask_pool import DaskPool

    settings = {"distributed.scheduler.worker-saturation": float(asked.saturation)}
    profile = asked.profile and str(Path(asked.profile) / f"scheduler-{model.workers}.prof")
    scheduler = Process(serve_scheduler, after=(settings, profile))
    address = scheduler.pipe.recv()
    stubs = Process(stub_workers.serve, address, model, PATIENT)
    plan = make_plan(chunks, asked.datasets)
    figures = {"workers": model.workers, "chunks": plan.n_chunks}
    begin = time.perf_counter()
    stubs.pipe.recv()
    with Client(address, timeout=120) as client, tempfile.TemporaryDirectory() as folder:
        figures["workers_ready_s"] = time.perf_counter() - begin
        pool = DaskPool(client, make_context(load_processor(process), None, plan))
        figures["ready_s"] = time.perf_counter() - begin
        try:
            where = Path(folder)
            drive(figures, asked, plan, pool, folder=where, scheduler=scheduler, stubs=stubs)
        finally:
            pool.close()
    stubs.end()
    scheduler.end()
    return figures


def drive(figures, asked, plan, pool, *, folder, scheduler, stubs):  # noqa: PLR0913
    ledger = make_ledger(folder)
    driver = assemble_driver(
        plan,
        {},
        pool=pool,
        ledger=ledger,
        options=DriverOptions(on_error="skip"),
        notify=Ticker() if asked.verbose else ignore,
    )
    before, theirs = stubs.ask("begin"), scheduler.ask()
    me = psutil.Process()
    cpu, thread_s, wall = sum(me.cpu_times()[:2]), time.thread_time(), time.time()
    profiler = cProfile.Profile()
    with Watch(scheduler) as watch:
        if asked.profile:
            profiler.enable()
        driver.run()
        profiler.disable()
    wall_s = time.time() - wall
    cpu_s, thread_s = sum(me.cpu_times()[:2]) - cpu, time.thread_time() - thread_s
    after, theirs_after = stubs.ask(), scheduler.ask()
    if asked.profile:
        profiler.dump_stats(Path(asked.profile) / f"driver-{figures['workers']}.prof")
    n, per_ms = plan.n_chunks, 1e3 / plan.n_chunks
    scheduler_s = theirs_after["cpu_s"] - theirs["cpu_s"]
    ends = [(when - wall, chunks, spent_s) for when, chunks, spent_s in after["ends"]]
    figures |= {
        "wall_s": wall_s,
        "chunks_per_s": n / wall_s,
        "efficiency": (after["busy_s"] - before["busy_s"])
        / (after["present_s"] - before["present_s"]),
        "cost_ms": (cpu_s + scheduler_s) * per_ms,
        "driver_ms": cpu_s * per_ms,
        "driver_thread_ms": thread_s * per_ms,
        "scheduler_ms": scheduler_s * per_ms,
        "bundles": driver.metrics.get("bundles_sent", 0),
        "commits": driver.metrics.get("commits", 0),
        "pull_s": driver.metrics.get("pull_s", 0),
        "commit_s": driver.metrics.get("commit_s", 0),
        "longest_bundle_s": after["longest_s"],
        "tail_s": tail_s(ends, n, wall_s),
        "last_bundle_at_s": max((when for when, *_ in ends), default=0),
        "busy": [round(part, 2) for part in busy_parts(ends, wall_s, figures["workers"])],
        "died": after["died"],
        "lost_s": after["lost_s"],
        "segments": len(ledger.segments()),
        "driver_mb": watch.rise(1),
        "scheduler_mb": watch.rise(2),
        "most_tasks": max((sample[3] for sample in watch.samples), default=0),
        "stubs_cpu_s": after["cpu_s"] - before["cpu_s"],
        "load": psutil.getloadavg()[0],
    }
    check(plan, ledger, figures)


def tail_s(ends, n_chunks, wall_s):
    """How long the last 5 % of chunks took [s]."""
    done = 0
    for when, chunks, _ in sorted(ends):
        done += chunks
        if done >= 0.95 * n_chunks:
            return wall_s - when
    return 0.0


def busy_parts(ends, wall_s, workers, n=20):
    """Part of the workers that were at a bundle, in each twentieth of the run."""
    width, busy_s = wall_s / n, [0.0] * n
    for when, _, spent_s in ends:
        for part in range(n):
            begin, end = max(when - spent_s, part * width), min(when, (part + 1) * width)
            busy_s[part] += max(0.0, end - begin)
    return [one / (width * workers) for one in busy_s]


def check(plan, ledger, figures):
    """The ledger holds every event once, and the values say the same."""
    segments = ledger.segments()
    accounting = account(plan, tally_manifests(segment.manifest for segment in segments))
    total = sum(segment.read_value(trust=True)["n"] for segment in segments)
    figures["balanced"] = accounting.events_processed == plan.n_events == total
    if not figures["balanced"]:
        raise SystemExit(f"the accounting does not balance: {accounting}, {total}")


def show(figures):
    driver, scheduler = figures["driver_mb"], figures["scheduler_mb"]
    print(
        f"{figures['workers']:>7,} {figures['chunks']:>10,} {figures['wall_s']:>7.1f} "
        f"{figures['chunks_per_s']:>8,.0f} {figures['efficiency']:>6.1%} "
        f"{figures['cost_ms']:>8.3f} {figures['driver_ms']:>7.3f} {figures['scheduler_ms']:>9.3f} "
        f"{driver[0]:>5.0f}-{driver[1]:<5.0f} {scheduler[0]:>5.0f}-{scheduler[1]:<5.0f} "
        f"{figures['tail_s']:>6.1f} {figures['longest_bundle_s']:>7.1f} {figures['died']:>5} "
        f"{figures['bundles']:>8,.0f} {figures['commits']:>7,.0f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="*", default=list(POINTS))
    parser.add_argument("--chunks", type=int, help="in all, instead of some for each worker")
    parser.add_argument("--chunks-per-worker", type=int, default=60)
    parser.add_argument("--chunk-s", type=float, default=1.0)
    parser.add_argument("--deaths", type=float, default=0.01)
    parser.add_argument("--late", type=float, default=0.1)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--value-bytes", type=int, default=100_000)
    parser.add_argument("--datasets", type=int, default=4)
    parser.add_argument("--saturation", default="1.1")
    parser.add_argument("--profile", help="a folder for profiles of driver and scheduler")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    dask.config.set(PATIENT)
    if not asked.json:
        print(
            f"{'workers':>7} {'chunks':>10} {'wall':>7} {'chunks/s':>8} {'eff':>6} {'ms/chunk':>8} "
            f"{'driver':>7} {'scheduler':>9} {'driver MB':>11} {'sched. MB':>11} {'tail':>6} "
            f"{'longest':>7} {'died':>5} {'bundles':>8} {'commits':>7}"
        )
    for workers in asked.workers:
        chunks = asked.chunks or asked.chunks_per_worker * workers
        model = stub_workers.Model(
            workers=workers,
            chunk_s=asked.chunk_s,
            slow=asked.slow,
            deaths=asked.deaths,
            late=asked.late,
            span_s=chunks * asked.chunk_s / workers,
            value_bytes=asked.value_bytes,
        )
        figures = simulate(asked, model, chunks)
        print(json.dumps(figures)) if asked.json else show(figures)
        if asked.profile:
            for who in ("driver", "scheduler"):
                stats = pstats.Stats(str(Path(asked.profile) / f"{who}-{workers}.prof"))
                stats.sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
