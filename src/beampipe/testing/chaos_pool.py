"""A pool that loses, repeats and recomputes, as Dask clusters were seen to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.model import Chunk
from beampipe.errors import PartialLostError, WorkersLostError
from beampipe.execution.bundles import Bundle
from beampipe.execution.failures import describe_failure
from beampipe.execution.manifest import DoneChunk, Manifest
from beampipe.execution.partials import Partial, Summary, merge_partials
from beampipe.execution.pool import Finished, Key, Lost

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
    """

    n_begun: int = 1_000_000
    failing: frozenset[int] = frozenset()


@dataclass(slots=True)
class ChaosPool:
    """Bundles are done by magic, and a test says what becomes of them.

    The value of a partial is ``{"events": n, "chunks": [...]}``: it names every chunk that was
    really added, so that a test can see what the manifests claim and what the values hold.
    """

    bundles: dict[Key, Bundle] = field(default_factory=dict)
    partials: dict[Key, Partial] = field(default_factory=dict)
    parents: dict[Key, tuple[Key, ...]] = field(default_factory=dict)
    gone: set[Key] = field(default_factory=set)
    released: set[Key] = field(default_factory=set)
    events: list[Finished | Lost] = field(default_factory=list)
    threads: int = 2
    _n_merges: int = 0

    # -- what the driver calls ------------------------------------------------------------

    def submit(self, bundle: Bundle) -> Key:
        """Take a bundle; it ends when the test says so."""
        key = f"bundle-{id(self)}-{bundle.number}"
        self.bundles[key] = bundle
        return key

    def wait(self, timeout_s: float) -> Sequence[Finished | Lost]:
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

    def pull(self, key: Key) -> Partial:
        """Compute a partial now, or say that it is lost."""
        if key in self.gone:
            raise PartialLostError("lost, as the test wanted")
        if key in self.parents:
            return merge_partials([self.pull(parent) for parent in self.parents[key]])
        return self.partials[key]

    def release(self, keys: Sequence[Key]) -> None:
        """Note what is not wanted any more; a merge may still need it."""
        self.released.update(keys)

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
        summary = Summary(partial.manifest, partial.metrics, partial.remainder)
        self.events.append(Finished(key, summary))

    def repeat(self, key: Key) -> None:
        """The driver is told a second time."""
        partial = self.partials[key]
        summary = Summary(partial.manifest, partial.metrics, partial.remainder)
        self.events.append(Finished(key, summary))

    def recompute(self, key: Key, outcome: Outcome) -> None:
        """The worker dies and Dask computes the bundle again; the driver is not told."""
        self.partials[key] = compute(self.bundles[key], outcome)

    def lose(self, key: Key) -> None:
        """A bundle never ends."""
        self.gone.add(key)
        self.events.append(Lost(key, WorkersLostError("killed, as the test wanted")))

    def lose_partial(self, key: Key) -> None:
        """A result that was there is gone for good."""
        self.gone.add(key)


def compute(bundle: Bundle, outcome: Outcome) -> Partial:
    """What a bundle gives if it goes that way."""
    begun = bundle.chunks[: max(1, outcome.n_begun)]
    good = [chunk for i, chunk in enumerate(begun) if i not in outcome.failing]
    bad = [chunk for i, chunk in enumerate(begun) if i in outcome.failing]
    error = ValueError("as the test wanted")
    manifest = Manifest(
        bundle.dataset,
        tuple(map(_done, good)),
        tuple(replace(describe_failure(chunk, error), traceback=str(chunk.key)) for chunk in bad),
    )
    remainder = tuple((chunk.plan.file.uuid, chunk.k) for chunk in bundle.chunks[len(begun) :])
    value = {
        "events": sum(stop - start for start, stop in map(chunk_range, good)),
        "chunks": [chunk.key for chunk in good],
    }
    return Partial(manifest, value if good else None, {"bundle_s": CHUNK_S * len(begun)}, remainder)


def _done(chunk: Chunk) -> DoneChunk:
    plan = chunk.plan
    return DoneChunk(plan.file.uuid, chunk.k, plan.n_chunks, *chunk_range(chunk))
