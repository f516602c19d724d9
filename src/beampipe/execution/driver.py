"""The loop of a run: bundles out, partials held, epochs committed.

The driver never infers what was done from a task's name. It believes a partial's manifest
when the bundle ends, and takes the value at the commit only if the manifest is still exactly
that; Dask may have computed it again in between, with another outcome.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from beampipe.datasets.model import Chunk
from beampipe.errors import (
    AccumulationError,
    ColumnNotFoundError,
    ExecutionError,
    LedgerError,
    PartialLostError,
    ProcessorOutputError,
    ProcessorPickleError,
    RunStoppedError,
    SchemaError,
    WorkersLostError,
    join_fixes,
)
from beampipe.execution.budgets import ANYTHING, BudgetTally
from beampipe.execution.bundles import Bundle
from beampipe.execution.dispatch import Dispatcher
from beampipe.execution.failures import describe_failure
from beampipe.execution.interrupts import deferred_interrupt
from beampipe.execution.ledger import Ledger
from beampipe.execution.manifest import ChunkKey, FailedChunk, Manifest, join_manifests
from beampipe.execution.meter import Meter
from beampipe.execution.partials import Partial, Summary, add_metrics
from beampipe.execution.pool import Finished, Key, Lost, Pool
from beampipe.execution.progress import Notify, ignore

WINDOW = 256
_FIRST = 64
_FAN_IN = 8
_MERGE_BYTES = 256_000_000  # what the inputs of one merge may take on a worker
_STRIKES = 3
_ATTEMPTS = 3
_POLL_S = 0.2
# What is wrong with the processor as such; leaving chunks out would leave all of them out.
_NO_CHUNK_IS_SPARED = {
    ColumnNotFoundError.code,
    ProcessorOutputError.code,
    ProcessorPickleError.code,
    SchemaError.code,
}


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """How a driver behaves.

    Attributes
    ----------
    on_error : str
        ``"stop"`` ends the run after the same error has struck a few times, ``"skip"`` goes on.
    max_failed : str
        With ``"skip"``: how much of a dataset may fail (see `FailureBudget`).
    checkpoint_s : float
        Least time between two commits [s]; it grows to 100 times what a commit costs.
    dashboard : str
        Link that is shown with the progress.
    """

    on_error: str = "stop"
    max_failed: str = ANYTHING
    checkpoint_s: float = 30.0
    dashboard: str = ""


@dataclass(slots=True)
class _Out:
    """A bundle that is out."""

    bundle: Bundle
    chunks: dict[ChunkKey, Chunk]


@dataclass(slots=True)
class _Held:
    """A partial that lies on a worker, what must be in it, and the chunks it stands for."""

    key: Key
    manifest: Manifest
    chunks: dict[ChunkKey, Chunk]
    value_bytes: int = 0


@dataclass(slots=True)
class Driver:
    """Does the chunks of a dispatcher on a pool and commits them to a ledger.

    Attributes
    ----------
    metrics : dict of str to float
        Seconds and counts of the whole run so far.
    """

    dispatcher: Dispatcher
    pool: Pool
    ledger: Ledger
    options: DriverOptions = field(default_factory=DriverOptions)
    notify: Notify = ignore
    meter: Meter = field(default_factory=Meter)
    budget: BudgetTally | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    _out: dict[Key, _Out] = field(default_factory=dict)
    _held: dict[str, list[_Held]] = field(default_factory=lambda: defaultdict(list))
    _written_off: list[Partial] = field(default_factory=list)
    _strikes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _refused: Counter[ChunkKey] = field(default_factory=Counter)
    _stop: ExecutionError | None = None
    _committed_at: float = field(default_factory=time.monotonic)
    _commit_s: float = 0.0

    def run(self) -> None:
        """Work until nothing is left.

        What has been done is committed on the way out, also when it is an error or Ctrl-C
        that leads there.

        Raises
        ------
        RunStoppedError
            ``run-stopped``: chunks failed and `on_error` is ``"stop"``.
        RunBudgetExceededError
            ``run-budget-exceeded``: more of a dataset failed than `budget` allows.
        AccumulationError, ProcessorOutputError
            The processor's outputs cannot be added up.
        RunHeldError, RunStorageError
            The ledger cannot be written.
        WorkersLostError
            The cluster is gone.
        """
        interrupt = threading.Event()
        self.meter.start()
        try:
            with deferred_interrupt(interrupt):
                while not (interrupt.is_set() or self._stop):
                    if self._fill_window():
                        self._turn()
                    else:
                        self.commit()
                        if not self.dispatcher.n_left:  # a value may have been refused just now
                            break
        except KeyboardInterrupt:
            interrupt.set()
        self._tell("stopping" if interrupt.is_set() else "running")
        self._finish()
        if interrupt.is_set():
            raise KeyboardInterrupt
        if self._stop is not None:
            raise self._stop

    def _turn(self) -> None:
        for event in self.pool.wait(_POLL_S):
            self._take(event)
        self._merge_early()
        if self._is_epoch_over():
            self.commit()
        self.ledger.heartbeat()
        self._tell("running")

    def _finish(self) -> None:
        self.pool.release(list(self._out))
        self._out.clear()
        self.commit()
        self._tell("done")

    # -- bundles --------------------------------------------------------------------------

    def _fill_window(self) -> bool:
        """Send bundles until enough are out; False when nothing is left to wait for."""
        threads = self.pool.n_threads()
        window = max(2 * threads, WINDOW)
        if self.dispatcher.pace.done == 0:
            # Until the pace is known every bundle is one chunk: just enough to start with, yet
            # enough waiting work that an adaptive cluster at zero scales up (see FACTS).
            window = min(window, 4 * threads or _FIRST)
        is_suspect_out = any(out.bundle.is_suspect for out in self._out.values())
        while len(self._out) < window and not is_suspect_out:
            bundle = self.dispatcher.next_bundle(threads)
            if bundle is None:
                break
            self._send(bundle)
        if not self._out and (suspect := self.dispatcher.next_suspect()):
            self._send(suspect)
        return bool(self._out)

    def _send(self, bundle: Bundle) -> None:
        chunks = {(chunk.plan.file.uuid, chunk.k): chunk for chunk in bundle.chunks}
        self._out[self.pool.submit(bundle)] = _Out(bundle, chunks)
        self._count("bundles_sent", 1)

    def _take(self, event: Finished | Lost) -> None:
        out = self._out.pop(event.key, None)
        if out is None:  # it was given up before
            self.pool.release([event.key])
        elif isinstance(event, Lost):
            self._take_lost(event, out)
        elif not _is_answer_to(event.summary, out):
            self._refuse([event.key], out.chunks)
        else:
            self._take_finished(event, out)

    def _take_finished(self, event: Finished, out: _Out) -> None:
        summary = event.summary
        back = [out.chunks.pop(key) for key in summary.remainder]
        self.dispatcher.give_back(back)
        self.dispatcher.pace.learn(summary.metrics.get("bundle_s", 0.0), len(out.chunks))
        manifest = summary.manifest
        held = _Held(event.key, manifest, out.chunks, summary.value_bytes)
        self._held[manifest.dataset].append(held)
        self.meter.take(manifest)
        self._take_failures(manifest)

    def _take_lost(self, event: Lost, out: _Out) -> None:
        """A bundle whose task failed: its chunks go out again, and alone if it killed."""
        self.pool.release([event.key])
        if isinstance(event.error, (AccumulationError, ProcessorOutputError, LedgerError)):
            # What the processor returned may have reached partials that are still held.
            self._drop_held()
            self._stop = event.error
            return
        self._count("bundles_lost", 1)
        chunks = list(out.chunks.values())
        if isinstance(event.error, PartialLostError):
            # A result that went down with its worker says nothing against its chunks.
            self.dispatcher.give_back(chunks)
        elif not out.bundle.is_suspect:
            self.dispatcher.suspect(chunks)
        elif len(chunks) > 1:
            middle = len(chunks) // 2
            self.dispatcher.suspect(chunks[:middle])
            self.dispatcher.suspect(chunks[middle:])
        else:
            self._write_off(out, event.error)

    def _write_off(self, out: _Out, reason: BaseException) -> None:
        error = WorkersLostError(
            "The worker that had this chunk was lost, also when nothing else ran.",
            why=f"{type(reason).__name__}: {reason}",
            fix="look at the chunk with `beampipe reproduce`; it may need more memory",
        )
        attempt = out.bundle.attempt
        failed = tuple(
            describe_failure(chunk, error, attempt=attempt, worker="")
            for chunk in out.chunks.values()
        )
        manifest = Manifest(out.bundle.dataset, failed=failed)
        self._written_off.append(Partial(manifest))
        self.meter.take(manifest)
        self._take_failures(manifest)

    def _take_failures(self, manifest: Manifest) -> None:
        """Count what failed for good: as strikes of one error, and against the budget."""
        for failure in manifest.failed:
            self._strike(failure)
        if self.budget is not None:
            self._stop = self._stop or self.budget.take(manifest.dataset, manifest.failed)

    def _strike(self, failure: FailedChunk) -> None:
        """Count a failure; the same one struck often enough ends a run that is to stop."""
        self._strikes[failure.signature] += 1
        if self.options.on_error == "stop" and self._strikes[failure.signature] >= _STRIKES:
            self._stop = stopped_on_errors(failure)

    # -- merging and committing -----------------------------------------------------------

    def _is_epoch_over(self) -> bool:
        length = max(self.options.checkpoint_s, 100 * self._commit_s)
        is_due = time.monotonic() - self._committed_at >= length
        return is_due and any(self._held.values())

    def _merge_early(self) -> None:
        """Fold partials where they lie, so that few are held."""
        for held in self._held.values():
            while len(held) >= (count := _fan_in(held)):
                self._merge(held, count)

    def _merge(self, held: list[_Held], count: int) -> None:
        group, held[:count] = held[:count], []
        chunks = {key: chunk for one in group for key, chunk in one.chunks.items()}
        key = self.pool.merge([one.key for one in group])
        self.pool.release([one.key for one in group])
        manifest = join_manifests(one.manifest for one in group)
        held.append(_Held(key, manifest, chunks, max(one.value_bytes for one in group)))

    def commit(self) -> None:
        """Pull what is held, dataset by dataset, and write it to the ledger."""
        if not (self._written_off or any(self._held.values())):
            return
        self._tell("committing")
        # What a commit costs is the driver's writing; while it waits for a merge, workers work.
        self._commit_s = 0.0
        # Taken off the list first: whatever interrupts a commit, nothing is committed twice.
        while self._written_off:
            self.ledger.commit(self._written_off.pop())
        for held in self._held.values():
            while len(held) > 1:
                self._merge(held, min(_fan_in(held), len(held)))
            while held:
                self._commit_one(held.pop())
        self._committed_at = time.monotonic()
        self._count("commits", 1)
        self._tell("running")

    def _commit_one(self, held: _Held) -> None:
        begin = time.monotonic()
        try:
            partial = self.pool.pull(held.key)
        except (AccumulationError, LedgerError, ProcessorOutputError) as error:
            self._stop = self._stop or error
            self._refuse([held.key], held.chunks, held.manifest)
            return
        except PartialLostError as error:
            self._refuse([held.key], held.chunks, held.manifest, reason=error)
            return
        pulled = time.monotonic()
        self._count("pull_s", pulled - begin)
        if not partial.manifest.is_same(held.manifest):
            self._refuse([held.key], held.chunks, held.manifest)
            return
        self.ledger.commit(partial)
        self.pool.release([held.key])
        spent_s = time.monotonic() - pulled
        self._commit_s += spent_s
        self._count("commit_s", spent_s)
        self.metrics = add_metrics([self.metrics, partial.metrics])
        self.meter.commit(held.manifest)

    def _refuse(
        self,
        keys: Sequence[Key],
        chunks: Mapping[ChunkKey, Chunk],
        manifest: Manifest | None = None,
        *,
        reason: BaseException | None = None,
    ) -> None:
        """Throw a value away that is not what was expected; its chunks go out again."""
        self._count("partials_refused", 1)
        self.pool.release(keys)
        if manifest is not None:
            self.meter.take(manifest, sign=-1)
            if self.budget is not None:
                self.budget.give_back(manifest.dataset, manifest.failed)
        self._refused.update(chunks.keys())
        if any(self._refused[key] > _ATTEMPTS for key in chunks) and self._stop is None:
            self._stop = WorkersLostError(
                "The same results were lost again and again.",
                why=f"{type(reason).__name__}: {reason}" if reason else "they kept changing",
                fix="look at the workers' logs; `beampipe resume` goes on from what is committed",
            )
        self.dispatcher.give_back(chunks.values())

    def _drop_held(self) -> None:
        for held in self._held.values():
            for one in held:
                self._refuse([one.key], one.chunks, one.manifest)
            held.clear()

    # -- telling --------------------------------------------------------------------------

    def _count(self, name: str, amount: float) -> None:
        self.metrics[name] = self.metrics.get(name, 0.0) + amount

    def _tell(self, stage: str) -> None:
        progress = self.meter.read(
            stage,
            chunks=self.dispatcher.n_chunks,
            workers=self.pool.n_workers(),
            dashboard=self.options.dashboard,
        )
        self.notify(progress)


def _fan_in(held: Sequence[_Held]) -> int:
    """How many partials to merge at once: fewer when they are large, and two at least."""
    largest = max((one.value_bytes for one in held), default=0)
    return max(2, min(_FAN_IN, _MERGE_BYTES // max(largest, 1)))


def _is_answer_to(summary: Summary, out: _Out) -> bool:
    """Whether done, failed and handed back are exactly the chunks that were asked for."""
    keys = [*summary.manifest.keys(), *summary.remainder]
    return (
        summary.manifest.dataset == out.bundle.dataset
        and len(keys) == len(out.chunks)
        and set(keys) == set(out.chunks)
    )


def stopped_on_errors(failure: FailedChunk) -> RunStoppedError:
    """The error that ends a run whose chunks fail."""
    place = f"in entries {failure.start} to {failure.stop} of {failure.url} [{failure.code}]"
    message = failure.message.rstrip(".")
    fixes = [failure.fix] if failure.fix else ["mend it and run anew"]
    if failure.code not in _NO_CHUNK_IS_SPARED:
        fixes.append('leave such chunks out with on_error="skip" (--on-error skip)')
    return RunStoppedError(
        f"The run was stopped by {failure.error_type}{f': {message}' if message else ''}.",
        why=f"{failure.why}; {place}" if failure.why else place,
        fix=join_fixes(*fixes),
        failure=failure,
    )
