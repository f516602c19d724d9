"""The loop of a run: bundles out, partials held, epochs committed.

The driver never infers what was done from a task's name. It believes a partial's manifest
when the bundle ends, and takes the value at the commit only if the manifest is still exactly
that; Dask may have computed it again in between, with another outcome.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from beampipe.datasets.model import Chunk
from beampipe.errors import (
    AccumulationError,
    ExecutionError,
    PartialLostError,
    ProcessorOutputError,
    VersionMismatchError,
    WorkersLostError,
)
from beampipe.execution.budgets import ANYTHING
from beampipe.execution.casualties import Casualties
from beampipe.execution.chunk_list import ChunkList
from beampipe.execution.committing import Committer, Refusal
from beampipe.execution.dispatch import Dispatcher, terms_of
from beampipe.execution.holdings import Held
from beampipe.execution.incidents import Incidents
from beampipe.execution.interrupts import deferred_interrupt
from beampipe.execution.manifest import FailedChunk, Manifest
from beampipe.execution.meter import Meter
from beampipe.execution.outings import Outing, Outings
from beampipe.execution.pool import DeathReport, Event, Finished, Key, Lost, Pool, WorkerDied
from beampipe.execution.progress import Notify, ignore
from beampipe.execution.sending import Sender
from beampipe.execution.strikes import Strikes
from beampipe.execution.troubles import Fate, Troubles

_ATTEMPTS = 3
_POLL_S = 0.2
_PATIENCE_S = 60.0
# No later chunk could mend these.
_FATAL = (AccumulationError, ProcessorOutputError)


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
    reproducible : bool
        Add in an order that the plan alone fixes.
    unset : tuple of str
        Settings that the cluster does not have (see `worker_settings`); for the metrics.
    """

    on_error: str = "stop"
    max_failed: str = ANYTHING
    checkpoint_s: float = 30.0
    dashboard: str = ""
    reproducible: bool = False
    unset: tuple[str, ...] = ()


@dataclass(slots=True)
class Driver:
    """Does the chunks of a dispatcher on a pool and commits them to a ledger.

    Attributes
    ----------
    incidents : Incidents
        What went wrong and was got over.
    """

    dispatcher: Dispatcher
    pool: Pool
    committer: Committer
    options: DriverOptions = field(default_factory=DriverOptions)
    notify: Notify = ignore
    meter: Meter = field(default_factory=Meter)
    strikes: Strikes = field(default_factory=Strikes)
    troubles: Troubles = field(default_factory=Troubles)
    incidents: Incidents = field(default_factory=Incidents)
    casualties: Casualties = field(init=False)
    _out: Outings = field(default_factory=Outings)
    _refused: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    _stop: ExecutionError | None = None
    _is_ending: bool = False
    _interrupt: threading.Event = field(default_factory=threading.Event)
    _sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self.dispatcher.hold = self.troubles.hold
        self.casualties = Casualties(
            self.dispatcher,
            self.pool,
            self._out,
            self.troubles,
            self.incidents,
            write_off=self._write_off,
        )
        self._sender = Sender(
            self.dispatcher,
            self.pool,
            self.committer,
            self._out,
            self.troubles,
            self.incidents,
            before_suspect=self._commit_in_haste,
        )

    @property
    def metrics(self) -> Mapping[str, float]:
        """Seconds and counts of the whole run so far."""
        return self.committer.metrics

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
        interrupt = self._interrupt
        self.meter.start()
        self.meter.see(self.pool.n_threads())
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

    def _listen(self, timeout_s: float = 0.0) -> None:
        for event in self.pool.wait(timeout_s):
            self._take(event)
        self.committer.ledger.heartbeat()  # also while a commit waits for long

    def _turn(self) -> None:
        self._listen(self.dispatcher.pause_s(_POLL_S))
        self.committer.holdings.fold()
        self.casualties.give_up_waiting()
        self._sender.start_twins()
        if self.committer.is_due(self.options.checkpoint_s):
            # Values of several workers are merged for a commit; that makes three on one of them.
            self._sender.is_draining = self._sender.has_large_values and len(self._out) > 0
            if not self._sender.is_draining:
                self.commit()
        elif self.committer.is_last_call:
            self._commit_in_haste()
        self._tell("running")

    def _finish(self) -> None:
        self._is_ending = True
        self.pool.release(self._out.clear())
        self.commit()
        self._tell("done")

    # -- bundles go out -------------------------------------------------------------------

    def _fill_window(self) -> bool:
        """Send bundles until enough are out; False when nothing is left to wait for."""
        window = self._sender.window()
        if not (window or self._out or self.pool.n_merging()):
            self.commit()  # nothing else makes room, whatever waits for its time or for a report
            window = self._sender.window()
        self._sender.top_up(window)
        if not (self.casualties.is_waiting or self.dispatcher.due is not None):
            self._sender.send_suspects(window)
        is_full = window == 0 and self.pool.n_merging() > 0
        return bool(
            self._out or self.casualties.is_waiting or self.dispatcher.due is not None or is_full
        )

    def _go_on(self) -> None:
        """What is done while a commit waits for a merge: workers must not run dry.

        No suspect goes out then: what is held is just being made safe.
        """
        self._listen()
        self._tell("committing")  # with thousands of workers this may last a minute
        if not (self._is_ending or self._interrupt.is_set() or self._stop):
            self._sender.top_up(with_suspects=False)

    # -- and come back --------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case WorkerDied():
                self.casualties.take_death(event)
            case DeathReport():
                self.casualties.take_report(event)
            case Finished() | Lost():
                self._take_ended(event)

    def _take_ended(self, event: Finished | Lost) -> None:
        outing = self._out.take(event.key) if isinstance(event, Finished) else None
        if isinstance(event, Lost):
            self.pool.release([event.key])
            if (outing := self._out.lose(event.key)) is not None:
                self._take_lost(event, outing)
        elif outing is None:  # it was given up before, or its twin was quicker
            self.pool.release([event.key])
        else:
            self._out.heard_at = time.monotonic()
            if outing.twin is not None:
                self.pool.release([outing.twin])
            if outing.is_answered_by(event.summary):
                self._take_finished(event, outing)
            else:
                self._refuse([event.key], outing.chunks.values())

    def _take_finished(self, event: Finished, outing: Outing) -> None:
        summary, manifest = event.summary, event.summary.manifest
        self._sender.value_bytes = max(self._sender.value_bytes, summary.value_bytes)
        self.committer.hear_end(summary.worker_ends_at)
        self.dispatcher.pace.learn(
            summary.metrics.get("bundle_s", 0.0),
            len(outing.chunks) - len(summary.remainder),
            manifest.dataset,
        )
        if manifest.done:
            done = (outing.chunks[chunk.uuid, chunk.k] for chunk in manifest.done)
            self.troubles.worked(done, outing.bundle.attempt, summary.host)
        if self.dispatcher.is_whole:
            if summary.remainder or summary.returned:
                # Half a block has no place in a fixed order of adding.
                self._try_again(outing, summary.returned)
                outing.chunks.clear()
        else:
            rest = [outing.chunks.pop(key) for key in summary.remainder]
            self.casualties.send_again(rest, outing)
            self._try_again(outing, summary.returned)
        if not outing.chunks:
            self.pool.release([event.key])
            return
        chunks = ChunkList(outing.chunks.values())
        size, place = summary.value_bytes, summary.worker
        self.committer.hold(Held(event.key, manifest, chunks, size, place=place))
        self.meter.take(manifest)
        self.meter.look(summary.sketch)
        self._take_failures(manifest)

    def _try_again(self, outing: Outing, failures: Sequence[FailedChunk]) -> None:
        """Chunks were handed back for reasons that may pass: later, elsewhere, in pieces."""
        fate = Fate(terms_of(outing.bundle))
        for failure in failures:
            chunk = outing.chunks[failure.uuid, failure.k]
            fate = self.troubles.retry(chunk, failure, now=time.monotonic())
            self._note_retry(failure, fate)
            if not self.dispatcher.is_whole:
                del outing.chunks[failure.uuid, failure.k]
                self.dispatcher.postpone([chunk], fate.due, fate.terms)
        if self.dispatcher.is_whole:
            terms = fate.terms._replace(given_up=outing.bundle.given_up)
            self.dispatcher.postpone(list(outing.chunks.values()), fate.due, terms)

    def _note_retry(self, failure: FailedChunk, fate: Fate) -> None:
        self._count("retries", 1)
        self.meter.retries += 1
        place = failure.url if failure.kind == "transient" else failure.host
        self.incidents.note(
            "split" if fate.terms.pieces > 1 else "retry",
            f"{failure.error_type} [{failure.code}]",
            kind=failure.kind,
            example=f"{place}: {failure.message}",
        )
        if fate.text:
            self.incidents.note("breaker", fate.text)

    def _take_lost(self, event: Lost, outing: Outing) -> None:
        """A bundle whose task failed: its chunks go out again, and alone if it killed."""
        if isinstance(event.error, _FATAL):
            # What the processor returned may have reached partials that are still held.
            for held in self.committer.holdings.drop():
                self._refuse([held.key], held.chunks, held.manifest)
            self._stop = event.error
            return
        if isinstance(event.error, VersionMismatchError):
            self._stop = self._stop or event.error
        self._count("bundles_lost", 1)
        if isinstance(event.error, PartialLostError | VersionMismatchError):
            # A result that went down with its worker says nothing against its chunks.
            self.casualties.send_again(list(outing.chunks.values()), outing)
        else:
            seen = {"why": f"{type(event.error).__name__}: {event.error}"}
            self.casualties.suspect(outing, "", seen, was_alone=outing.is_quiet)

    # -- failures -------------------------------------------------------------------------

    def _write_off(self, dataset: str, failure: FailedChunk) -> None:
        """A chunk was given up outside of any bundle."""
        manifest = Manifest(dataset, failed=(failure,))
        self.committer.hold_failure(manifest)
        self.meter.take(manifest)
        self._take_failures(manifest)

    def _take_failures(self, manifest: Manifest) -> None:
        self._stop = self._stop or self.strikes.take(manifest)

    # -- committing -----------------------------------------------------------------------

    def commit(self) -> None:
        """Pull what is held and write it to the ledger; what was refused goes out again."""
        if self.committer.has_any:
            self._tell("committing")
            # A merge waits for a bundle to end before it can begin, so bundles say what is long.
            patience_s = _PATIENCE_S + 3 * self.dispatcher.pace.longest_s
            for refusal in self.committer.commit(patience_s, self._go_on):
                self._take_refusal(refusal)
            self._tell("running")
        self._sender.is_draining = False

    def _commit_in_haste(self) -> None:
        """Commit before the time, unless that was done just now.

        Workers that go one after the other, or many suspects, would else have the driver do
        nothing but commit.
        """
        if self.committer.may_hurry:
            with self.committer.hurry():
                self.commit()

    def _take_refusal(self, refusal: Refusal) -> None:
        held, error = refusal.held, refusal.error
        if isinstance(error, _FATAL):
            self._stop = self._stop or error
        self._refuse([held.key], held.chunks, held.manifest, reason=error)

    def _refuse(
        self,
        keys: Sequence[Key],
        chunks: Collection[Chunk],
        manifest: Manifest | None = None,
        *,
        reason: BaseException | None = None,
    ) -> None:
        """Throw a value away that is not what was expected; its chunks go out again."""
        self._count("partials_refused", 1)
        self.pool.release(keys)
        if manifest is not None:
            self.meter.take(manifest, sign=-1)
            self.strikes.give_back(manifest)
        keys_of_chunks = [chunk.key for chunk in chunks]
        self._refused.update(keys_of_chunks)
        if any(self._refused[key] > _ATTEMPTS for key in keys_of_chunks) and self._stop is None:
            self._stop = WorkersLostError(
                "The same results were lost again and again.",
                why=f"{type(reason).__name__}: {reason}" if reason else "they kept changing",
                fix="look at the workers' logs; `beampipe resume` goes on from what is committed",
            )
        self.dispatcher.give_back(chunks)

    # -- telling --------------------------------------------------------------------------

    def _count(self, name: str, amount: float) -> None:
        self.committer.count(name, amount)

    def _tell(self, stage: str) -> None:
        self.meter.workers_died = self.casualties.n_died
        self.meter.see(self.pool.n_threads())
        progress = self.meter.read(
            stage,
            chunks=self.dispatcher.n_chunks,
            workers=self.pool.n_workers(),
            dashboard=self.options.dashboard,
        )
        self.notify(progress)
