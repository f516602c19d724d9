"""A pool that loses, repeats and recomputes, as Dask clusters were seen to do."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import starmap
from typing import Any

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.model import Chunk
from beampipe.errors import ExecutionError, PartialLostError, WorkersLostError
from beampipe.execution.bundles import Bundle
from beampipe.execution.failures import describe_failure
from beampipe.execution.manifest import (
    DoneChunk,
    DoneChunks,
    FailedChunk,
    Manifest,
    SplitChunk,
)
from beampipe.execution.partials import Partial, merge_partials, summarize_partial
from beampipe.execution.pool import Crumb, DeathReport, Event, Finished, Key, Lost, WorkerDied

CHUNK_S = 0.3
"""What a chunk is said to take [s]."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a bundle goes: how many chunks it does, and which of them fail.

    Attributes
    ----------
    n_begun : int
        Chunks that were begun; the others are the remainder. At least one is.
    failing : frozenset of int
        Positions in the bundle that raise.
    passing : frozenset of int
        Positions that fail for a reason that may pass.
    """

    n_begun: int = 1_000_000
    failing: frozenset[int] = frozenset()
    passing: frozenset[int] = frozenset()


@dataclass(slots=True)
class ChaosPool:
    """Bundles are done by magic, and a test says what becomes of them.

    The value of a partial is ``{"events": n, "chunks": [...], "x": float}``: it names every chunk
    that was really added, so that a test can see what the manifests claim and what the values
    hold; the last bits of x tell in which order.
    """

    bundles: dict[Key, Bundle] = field(default_factory=dict)
    partials: dict[Key, Partial] = field(default_factory=dict)
    parents: dict[Key, tuple[Key, ...]] = field(default_factory=dict)
    gone: set[Key] = field(default_factory=set)
    released: set[Key] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    threads: int = 2
    workers: dict[Key, str] = field(default_factory=dict)
    _n_merges: int = 0

    # -- what the driver calls ------------------------------------------------------------

    def submit(self, bundle: Bundle, *, apart: bool = False) -> Key:
        """Take a bundle; it ends when the test says so."""
        del apart
        key = f"bundle-{id(self)}-{bundle.number}"
        self.bundles[key] = bundle
        return key

    def wait(self, timeout_s: float) -> Sequence[Event]:
        """Deliver what the test has made happen."""
        del timeout_s
        events, self.events = self.events, []
        return events

    def merge(self, keys: Sequence[Key]) -> Key:
        """Promise a merge; it is computed when it is pulled, from what there is then."""
        self._n_merges += 1
        key = f"merge-{self._n_merges}"
        self.parents[key] = tuple(keys)
        return key

    def pull(
        self, keys: Sequence[Key], patience_s: float, meanwhile: Callable[[], None]
    ) -> Iterator[dict[Key, Partial | ExecutionError]]:
        """Compute partials one by one, or say that they are lost; events may be heard meanwhile."""
        del patience_s
        for key in keys:
            meanwhile()
            try:
                yield {key: self._compute(key)}
            except ExecutionError as error:
                yield {key: error}

    def _compute(self, key: Key) -> Partial:
        if key in self.gone:
            raise PartialLostError("lost, as the test wanted")
        if key in self.parents:
            return merge_partials([self._compute(parent) for parent in self.parents[key]])
        return self.partials[key]

    def find_workers(self, keys: Sequence[Key]) -> Mapping[Key, str]:
        """Where the test says that bundles are."""
        return {key: self.workers[key] for key in keys if key in self.workers}

    def release(self, keys: Sequence[Key]) -> None:
        """Note what is not wanted any more; a merge may still need it."""
        self.released.update(keys)

    def n_merging(self) -> int:
        """None: they are computed when they are pulled."""
        return 0

    def n_threads(self) -> int:
        """As many as the test wants."""
        return self.threads

    def n_workers(self) -> int:
        """One per thread."""
        return self.threads

    # -- what a test calls ----------------------------------------------------------------

    def running(self) -> list[Key]:
        """Bundles that have not ended."""
        return [key for key in self.bundles if key not in self.partials and key not in self.gone]

    def finish(self, key: Key, outcome: Outcome) -> None:
        """A bundle ends; the driver is told."""
        partial = compute(self.bundles[key], outcome)
        self.partials[key] = partial
        self.events.append(Finished(key, summarize_partial(partial)))

    def repeat(self, key: Key) -> None:
        """The driver is told a second time."""
        partial = self.partials[key]
        self.events.append(Finished(key, summarize_partial(partial)))

    def recompute(self, key: Key, outcome: Outcome) -> None:
        """The worker dies and Dask computes the bundle again; the driver is not told."""
        self.partials[key] = compute(self.bundles[key], outcome)

    def lose(self, key: Key) -> None:
        """A bundle never ends."""
        self.gone.add(key)
        self.events.append(Lost(key, WorkersLostError("killed, as the test wanted")))

    def kill(
        self,
        keys: Sequence[Key],
        *,
        worker: str = "a worker",
        begun: Mapping[Key, int] | None = None,
        seen: Mapping[str, Any] | None = None,
        is_expected: bool = False,
    ) -> None:
        """A worker dies with bundles on it, and a report tells what is known.

        Parameters
        ----------
        begun : mapping of str to int, optional
            Which bundles had begun, and at which of their chunks they were; None where nobody
            can say.
        """
        self.gone.update(keys)
        self.events.append(WorkerDied(worker, tuple(keys), is_expected))
        crumbs = None if begun is None else tuple(starmap(self._crumb, begun.items()))
        self.events.append(DeathReport(worker, crumbs, seen or {}))

    def _crumb(self, key: Key, position: int) -> Crumb:
        bundle = self.bundles[key]
        chunk = bundle.chunks[position]
        return Crumb(bundle.number, (chunk.plan.file.uuid, chunk.k), ("Muon_pt",))

    def lose_partial(self, key: Key) -> None:
        """A result that was there is gone for good."""
        self.gone.add(key)


def compute(bundle: Bundle, outcome: Outcome) -> Partial:
    """What a bundle gives if it goes that way."""
    begun = bundle.chunks[: max(1, outcome.n_begun)]
    lost = {(failure.uuid, failure.k) for failure in bundle.given_up}
    good: list[Chunk] = []
    bad: list[FailedChunk] = []
    passing: list[FailedChunk] = []
    for i, chunk in enumerate(begun):
        if chunk.key[1:] in lost:
            continue
        if i in outcome.failing:
            bad.append(_fail(chunk, bundle, ValueError("as the test wanted")))
        elif i in outcome.passing:
            (bad if bundle.is_last_try else passing).append(
                _fail(chunk, bundle, TimeoutError("soon"))
            )
        else:
            good.append(chunk)
    split = [SplitChunk(*chunk.key[1:], bundle.pieces) for chunk in good if bundle.pieces > 1]
    manifest = Manifest(
        bundle.dataset,
        DoneChunks.of(map(_done, good)),
        (*bad, *bundle.given_up),
        tuple(split),
    )
    remainder = tuple((chunk.plan.file.uuid, chunk.k) for chunk in bundle.chunks[len(begun) :])
    value = {
        "events": sum(stop - start for start, stop in map(chunk_range, good)),
        "chunks": [chunk.key for chunk in good],
        "x": sum(map(weigh, good), 0.0),
    }
    metrics = {"bundle_s": CHUNK_S * len(begun)}
    return Partial(manifest, value if good else None, metrics, remainder, tuple(passing))


def weigh(chunk: Chunk) -> float:
    """A number of a chunk whose sums depend on their order."""
    return 1 / (3 + zlib.crc32(repr(chunk.key).encode()) % 1000)


def _fail(chunk: Chunk, bundle: Bundle, error: Exception) -> FailedChunk:
    failure = describe_failure(chunk, error, attempt=bundle.attempt)
    return replace(failure, traceback=str(chunk.key))


def _done(chunk: Chunk) -> DoneChunk:
    plan = chunk.plan
    return DoneChunk(plan.file.uuid, chunk.k, plan.n_chunks, *chunk_range(chunk))
