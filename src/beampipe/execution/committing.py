"""Epochs: pull what is held, check it against what is expected, write it to the ledger."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from beampipe.errors import ExecutionError
from beampipe.execution.holdings import Held, Holdings
from beampipe.execution.ledger import Ledger
from beampipe.execution.manifest import Manifest
from beampipe.execution.meter import Meter
from beampipe.execution.partials import Partial, add_metrics
from beampipe.execution.pool import Key, Pool

_LAST_CALL_S = 10.0
# Commits out of turn: at most so often [s], and so many times what the last one took.
_LEAST_HASTE_S, _HASTE = 2.0, 3
_PULL_BYTES = 64_000_000
_OVERHEAD = 100
"""An epoch lasts so many times what its commit costs: committing takes 1 % of a run."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A value that is thrown away, and why; without an error it was another than expected."""

    held: Held
    error: ExecutionError | None = None


@dataclass(slots=True)
class Committer:
    """Holds partials and commits them, epoch by epoch.

    Attributes
    ----------
    metrics : dict of str to float
        Seconds and counts of what was committed, and of committing.
    n_sealed : int
        Partials that a commit under way has yet to write: they still lie on workers.
    """

    pool: Pool
    ledger: Ledger
    holdings: Holdings
    meter: Meter
    metrics: dict[str, float] = field(default_factory=dict)
    n_sealed: int = 0
    _failures: list[Manifest] = field(default_factory=list)
    _committed_at: float = field(default_factory=time.monotonic)
    _commit_s: float = 0.0
    _ends_at: float = math.inf
    _hurry_again_at: float = 0.0

    def hold(self, held: Held) -> None:
        """Keep a partial for the next commit."""
        self.holdings.add(held)

    def hold_failure(self, manifest: Manifest) -> None:
        """Keep word of chunks that were given up, and have no value."""
        self._failures.append(manifest)

    @property
    def has_any(self) -> bool:
        """Whether there is something to commit."""
        return bool(self._failures) or len(self.holdings) > 0

    def is_due(self, checkpoint_s: float) -> bool:
        """Whether the epoch is over: it has lasted long enough for what its end costs."""
        length = max(checkpoint_s, _OVERHEAD * self._commit_s)
        return self.has_any and time.monotonic() - self._committed_at >= length

    def hear_end(self, worker_ends_at: float) -> None:
        """A worker said when it goes [s since 1970]."""
        self._ends_at = min(self._ends_at, worker_ends_at)

    @property
    def is_last_call(self) -> bool:
        """Whether workers go soon: what they hold is safe only if others stay, or on disk."""
        return self.has_any and time.time() >= self._ends_at - _LAST_CALL_S

    @property
    def may_hurry(self) -> bool:
        """Whether a commit out of turn is not too soon after the last one of its kind."""
        return time.monotonic() >= self._hurry_again_at

    @contextlib.contextmanager
    def hurry(self) -> Iterator[None]:
        """Commit out of turn inside of this."""
        self._ends_at = math.inf  # until a worker says it again
        begin = time.monotonic()
        yield
        now = time.monotonic()
        self._hurry_again_at = now + max(_LEAST_HASTE_S, _HASTE * (now - begin))

    def commit(
        self, patience_s: float, meanwhile: Callable[[], None] = lambda: None
    ) -> list[Refusal]:
        """End the epoch.

        Parameters
        ----------
        patience_s : float
            For how long nothing may come from the workers [s].
        meanwhile : callable
            Called while it waits for them.

        Returns
        -------
        list of Refusal
            What could not be committed; nothing of it is in the ledger.
        """
        # What a commit costs is the driver's writing; while it waits for a merge, workers work.
        self._commit_s = 0.0
        # Taken off the lists first: whatever interrupts a commit, nothing is committed twice.
        sealed = self.holdings.seal()
        self.n_sealed = len(sealed)
        failures, self._failures = self._failures, []
        self._write([Partial(manifest) for manifest in failures])
        refused = []
        for some in _batches(sealed):
            refused += self._pull(some, patience_s, meanwhile)
        self._committed_at = time.monotonic()
        self.count("commits", 1)
        return refused

    def _pull(
        self, some: Sequence[Held], patience_s: float, meanwhile: Callable[[], None]
    ) -> list[Refusal]:
        expected = {held.key: held for held in some}
        begin, written_s = time.monotonic(), self._commit_s
        refused = []
        for answers in self.pool.pull([*expected], patience_s, meanwhile):
            came = [expected[key] for key in answers]
            refused += self._take(came, answers)
            self.n_sealed -= len(came)
        self.count("pull_s", time.monotonic() - begin - (self._commit_s - written_s))
        return refused

    def _take(
        self, came: Sequence[Held], answers: dict[Key, Partial | ExecutionError]
    ) -> list[Refusal]:
        """Write what has come, if it is what was expected, and let go of it."""
        refused = []
        good = []
        for held in came:
            answer = answers.pop(held.key)
            if isinstance(answer, ExecutionError):
                refused.append(Refusal(held, answer))
            elif not answer.manifest.is_same(held.manifest):
                refused.append(Refusal(held))
            else:
                good.append(_placed(answer, held))
        self._write(good)
        self.pool.release([held.key for held in came])
        return refused

    def _write(self, partials: Sequence[Partial]) -> None:
        begin = time.monotonic()
        self.ledger.commit_all(partials)
        spent_s = time.monotonic() - begin
        self._commit_s += spent_s
        self.count("commit_s", spent_s)
        self.metrics = add_metrics([self.metrics, *(partial.metrics for partial in partials)])
        for partial in partials:
            self.meter.commit(partial.manifest)

    def count(self, name: str, amount: float) -> None:
        """Add to a metric."""
        self.metrics[name] = self.metrics.get(name, 0.0) + amount


def _placed(partial: Partial, held: Held) -> Partial:
    """Write down which place in the tree of a reproducible run a value has."""
    if held.node is None:
        return partial
    return replace(partial, manifest=replace(partial.manifest, node=held.node))


def _batches(sealed: Sequence[Held]) -> Iterator[list[Held]]:
    """Small values together, so that a hundred of them are not a hundred round trips."""
    batch: list[Held] = []
    size = 0
    for held in sealed:
        if batch and size + held.value_bytes > _PULL_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(held)
        size += held.value_bytes
    if batch:
        yield batch
