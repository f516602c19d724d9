"""The driver's own time: a million chunks on a thousand threads that take no time themselves.

The real driver, dispatcher, holdings and ledger, and a pool that answers at once; its own time is
taken off. With ``--trouble`` a part of the bundles hand a chunk back, lose it, or die.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from itertools import count

from rig import make_ledger

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.model import DatasetPlan, FileEntry, FilePlan, Plan
from beampipe.execution.assembly import assemble_driver
from beampipe.execution.driver import DriverOptions
from beampipe.execution.failures import describe_failure
from beampipe.execution.manifest import DoneChunk, Manifest, join_manifests
from beampipe.execution.partials import Partial, Summary
from beampipe.execution.pool import Crumb, DeathReport, Finished, WorkerDied
from beampipe.execution.retries import RetryPolicy

CHUNK_S = 0.5
ERROR = TimeoutError("nobody answers")


class Pool:  # (what its methods are for says `beampipe.execution.pool.Pool`)
    """Does bundles in no time, a round of them at each wait."""

    def __init__(self, threads, trouble):
        self.threads, self.trouble = threads, trouble
        self.bundles, self.manifests = {}, {}
        self.most, self.own_s = 0, 0.0
        self.numbers, self.rng = count(), random.Random(1)

    def submit(self, bundle, *, apart=False):  # noqa: ARG002
        key = f"b{bundle.number}"
        self.bundles[key] = bundle
        self.most = max(self.most, len(self.bundles))
        return key

    def wait(self, timeout_s):
        begin = time.perf_counter()
        taken = list(self.bundles.items())[: self.threads]
        for key, _ in taken:
            del self.bundles[key]
        if not taken:
            time.sleep(timeout_s)
        events = [event for key, bundle in taken for event in self._end(key, bundle)]
        self.own_s += time.perf_counter() - begin
        return events

    def _end(self, key, bundle):
        chunks, returned, remainder = bundle.chunks, (), ()
        fate = self.rng.random() if self.trouble else 1.0
        first = chunks[0]
        if fate < self.trouble / 4:
            worker = f"w{next(self.numbers)}"
            crumb = Crumb(bundle.number, first.key[1:])
            seen = {"text": "killed by signal 9", "signal": 9}
            yield WorkerDied(worker, (key,))
            yield DeathReport(worker, (crumb,), seen)
            return
        if fate < self.trouble / 2 and len(chunks) > 1:
            remainder, chunks = (chunks[-1].key[1:],), chunks[:-1]
        elif fate < self.trouble and not bundle.is_last_try:
            failure = describe_failure(first, ERROR, attempt=bundle.attempt, worker="w")
            returned, chunks = (failure,), chunks[1:]
        done = tuple(
            DoneChunk(chunk.plan.file.uuid, chunk.k, chunk.plan.n_chunks, *chunk_range(chunk))
            for chunk in chunks
        )
        manifest = Manifest(bundle.dataset, done)
        self.manifests[key] = manifest
        metrics = {"bundle_s": CHUNK_S * len(chunks)}
        yield Finished(key, Summary(manifest, metrics, remainder, 1000, returned))

    def merge(self, keys):
        key = f"m{next(self.numbers)}"
        self.manifests[key] = [self.manifests[one] for one in keys]
        return key

    def pull(self, keys, patience_s, meanwhile):  # noqa: ARG002 (as the driver calls it)
        begin = time.perf_counter()
        found = {key: Partial(self._join(self.manifests[key]), {"n": 1}) for key in keys}
        self.own_s += time.perf_counter() - begin
        yield found

    def _join(self, tree):
        return tree if isinstance(tree, Manifest) else join_manifests(map(self._join, tree))

    def release(self, keys):
        for key in keys:
            self.manifests.pop(key, None)
            self.bundles.pop(key, None)

    def find_workers(self, keys):  # noqa: ARG002 (as the driver calls it)
        return {}

    def n_merging(self):
        return 0

    def n_threads(self):
        return self.threads

    n_workers = n_threads


def make_plan(chunks):
    n = 25
    files = tuple(
        FilePlan(
            FileEntry("data", (f"/d/{i}.root",), "Events", f"uuid-{i}", 250_000), n, n, 250_000
        )
        for i in range(chunks // n)
    )
    return Plan((DatasetPlan("data", files),), 10_000)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=1_000)
    parser.add_argument("--trouble", type=float, default=0.0, help="part of the bundles")
    parser.add_argument("--reproducible", action="store_true")
    asked = parser.parse_args()
    plan = make_plan(asked.chunks)
    pool = Pool(asked.threads, asked.trouble)
    with tempfile.TemporaryDirectory() as folder:
        ledger = make_ledger(folder)
        driver = assemble_driver(
            plan,
            {},
            pool=pool,
            ledger=ledger,
            options=DriverOptions(on_error="skip", reproducible=asked.reproducible),
        )
        driver.troubles.retries.policy = RetryPolicy(waits_s=(0.01,), jitter=0.0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin = time.perf_counter()
        driver.run()
        wall_s = time.perf_counter() - begin
        n_segments = len(ledger.segments())
    risen = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    own_s = wall_s - pool.own_s
    print(
        f"{plan.n_chunks:,} chunks, {asked.threads:,} threads, trouble {asked.trouble:.0%}: "
        f"{1e6 * own_s / plan.n_chunks:.0f} us a chunk, {plan.n_chunks / own_s:,.0f} chunks/s, "
        f"{pool.most:,} bundles out at most, {n_segments} segments, +{risen:.0f} MB, "
        f"{driver.casualties.n_died:,} deaths, {driver.metrics.get('retries', 0):,.0f} retries"
    )


if __name__ == "__main__":
    main()
