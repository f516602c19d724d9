"""Bundles on a Dask cluster, any cluster that a `distributed.Client` is connected to."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import wait as wait_for
from typing import TYPE_CHECKING, Any

from distributed.client import ClosedClientError, Future

from beampipe.errors import ExecutionError, PartialLostError, WorkersLostError
from beampipe.execution.bundles import Bundle, RunContext
from beampipe.execution.context_plugin import ContextPlugin, Sent, pack_bundle, run_with_plugin
from beampipe.execution.death_watch import DeathWatch
from beampipe.execution.index_calls import IndexCalls
from beampipe.execution.index_desk import IndexDesk, lent_with
from beampipe.execution.partials import Partial, Summary, merge_partials
from beampipe.execution.placing import Places
from beampipe.execution.pool import DeathReport, Event, Finished, Key, Lost, WorkerDied
from beampipe.execution.summaries import Told, read_summary, summaries_topic, summarize_here
from beampipe.execution.topics import listen, stop_listening

if TYPE_CHECKING:
    from distributed import Client

# A second Ctrl-C may come in the middle of a future's constructor; what is left of it then prints
# a traceback when it is deleted, for want of this attribute.
Future._cleared = True  # noqa: SLF001

_COUNT_EVERY_S, _COUNTED_PER_S = 2.0, 1000
# What a client raises whose scheduler does not answer; one that was closed has none at all, and
# one that is being closed has a pool of connections, or a loop, that is closed (RuntimeError).
_GONE = (OSError, TimeoutError, AttributeError, RuntimeError, ClosedClientError)
# Dask runs a task with a higher priority first: a merge frees memory, a bundle fills it.
_BUNDLE, _AGAIN, _SUMMARY, _MERGE = 0, 5, 10, 20
_LOOK_AGAIN_S = 0.01
_ANSWER_S = 30.0  # a summary is small
# Dask closes a client that has been without its scheduler for the timeout that it was given, 30 s
# by default, but for defects of its reconnecting.
_RECONNECT_S = 300.0


class DaskPool:
    """Runs bundles as Dask tasks; every key is new, so no old result is ever taken for one.

    Parameters
    ----------
    client : distributed.Client
        Used and left alone.
    context : RunContext
        Goes to every worker once.
    desk : IndexDesk, optional
        Keeps the indexes of files.

    Raises
    ------
    WorkersLostError
        ``run-workers-lost``: the scheduler does not answer.
    """

    def __init__(self, client: Client, context: RunContext, desk: IndexDesk | None = None) -> None:
        self._client = client
        self._desk = desk
        self._prefix = f"beampipe-{uuid.uuid4().hex[:8]}"
        self._events: queue.SimpleQueue[Key | Told | WorkerDied | DeathReport] = queue.SimpleQueue()
        self._partials: dict[Key, Future[Any]] = {}
        self._unheard: set[Key] = set()  # bundles of whose end the driver has not been told
        self._summaries: dict[Key, Future[Any]] = {}  # asked for, where no message came
        self._merging: set[Key] = set()
        self._stranded: set[Key] = set()  # nobody will do them (once more)
        self._heard_at = 0.0
        self._connecting_since: float | None = None
        self._n_merges = 0
        self._counted_at = -_COUNT_EVERY_S
        self._places = Places()
        self._n_threads = 0
        self._calls = IndexCalls(client, desk, self._prefix)
        with _scheduler_errors():
            client.register_plugin(ContextPlugin(context), name=self._prefix)
            self._watch = DeathWatch(client, self._prefix, self._events.put)
            listen(client, summaries_topic(self._prefix), self._hear_summary)

    def close(self) -> None:
        """Take from the workers what this run left there."""
        self.release([*self._partials])
        with contextlib.suppress(*_GONE, ValueError):
            self._calls.close()
        with contextlib.suppress(*_GONE, ValueError):
            self._watch.close()
        with contextlib.suppress(*_GONE, ValueError):
            stop_listening(self._client, summaries_topic(self._prefix), self._hear_summary)
        with contextlib.suppress(*_GONE, ValueError):
            self._client.unregister_worker_plugin(self._prefix)

    def _submit(
        self, function: Any, *args: Any, kind: str, number: int | str, **how: Any
    ) -> Future[Any]:
        key = f"{self._prefix}-{kind}-{number}"
        with _scheduler_errors():
            return self._client.submit(function, *args, key=key, pure=False, **how)

    def submit(self, bundle: Bundle, *, apart: bool = False) -> Key:
        """Send a bundle off; it tells its summary itself, as soon as it is done."""
        number = bundle.number
        name = f"{self._prefix}-bundle-{number}"
        sent = lent_with(self._desk, name, bundle, n_workers=self.n_workers())
        if apart:
            place = self._places.apart(name, bundle.away, self._unheard)
        else:
            place = self._places.away_from(name, bundle.away)
        # Before all that waits: the workers that are free should not do new chunks first.
        priority = _AGAIN if bundle.attempt > 1 or bundle.is_suspect or bundle.away else _BUNDLE
        partial = self._submit(
            run_with_plugin,
            self._prefix,
            pack_bundle(bundle),
            Sent(sent) if sent else None,
            kind="bundle",
            number=number,
            priority=priority,
            **place,
        )
        key = str(partial.key)
        self._partials[key] = partial
        self._unheard.add(key)
        partial.add_done_callback(lambda _: self._events.put(key))
        return key

    def _hear_summary(self, message: Any) -> None:
        """Take in what a bundle tells (in the client's thread)."""
        self._events.put(read_summary(message))

    def _ask_for_summary(self, key: Key) -> None:
        """A bundle has ended and its message did not come: a task makes the summary."""
        number = key.rpartition("-")[2]
        summary = self._submit(
            summarize_here, self._partials[key], kind="summary", number=number, priority=_SUMMARY
        )
        self._summaries[key] = summary
        summary.add_done_callback(lambda _: self._events.put(key))

    def wait(self, timeout_s: float) -> Sequence[Event]:
        """What happened; waits for the first event so long [s]."""
        deaths: list[Event] = []
        ended: list[Event | Key] = []
        with contextlib.suppress(queue.Empty):
            event = self._events.get(timeout=timeout_s)
            while True:
                if isinstance(event, WorkerDied | DeathReport):
                    deaths.append(event)
                else:
                    ended += self._take_end(event)
                self._heard_at = time.monotonic()
                event = self._events.get_nowait()
        self._check_connection()
        self._calls.keep()
        # Deaths first: a bundle of a dead worker is that worker's, whatever Dask makes of it.
        asked = {event: self._summaries.pop(event) for event in ended if isinstance(event, str)}
        told = [event for event in ended if not isinstance(event, str)]
        return deaths + told + self._read_asked(asked)

    def _take_end(self, event: Key | Told) -> list[Event | Key]:
        """What a message or the end of a task says: an event, or a key whose summary is there.

        A bundle's message goes ahead of its end. What comes later, or of a bundle that Dask does
        once more, is no news.
        """
        key = event if isinstance(event, str) else event.key
        if key not in self._unheard:
            return []
        if isinstance(event, Told):
            self._unheard.discard(key)
            self._take_told(event)
            return [Finished(key, event.summary)]
        if (asked := self._summaries.get(key)) is not None:
            if not asked.done():
                return []
            self._unheard.discard(key)
            return [key]
        if (partial := self._partials[key]).status == "finished":
            self._ask_for_summary(key)
            return []
        self._unheard.discard(key)
        return [Lost(key, _reason(partial))]

    def _take_told(self, told: Told) -> None:
        self._take_indexes([told.summary])
        if told.has_indexes:
            with _scheduler_errors():
                self._calls.ask(told.summary.worker)

    def _read_asked(self, ended: Mapping[Key, Future[Any]]) -> list[Event]:
        """Bring the summaries here that had to be asked for."""
        good = {key: future for key, future in ended.items() if future.status == "finished"}
        # A worker may die between the end of a summary and this line: None for those.
        with _scheduler_errors():
            answers = self._client.sync(self._gather, good) if good else {}
        self._take_indexes(answers.values())
        return [
            Lost(key, _reason(future))
            if (summary := answers.get(key)) is None
            else Finished(key, summary)
            for key, future in ended.items()
        ]

    def _take_indexes(self, summaries: Iterable[Summary]) -> None:
        if self._desk is not None:
            for summary in summaries:
                self._desk.take(summary)

    async def _gather(self, good: Mapping[Key, Future[Any]]) -> dict[Key, Any]:
        """Bring summaries here; a worker that is frozen takes nobody else's with it."""

        async def ask(some: Mapping[Key, Future[Any]]) -> dict[Key, Any]:
            gathering: Any = self._client.gather(some, errors="skip", asynchronous=True)
            answers: dict[Key, Any] = await asyncio.wait_for(gathering, _ANSWER_S)
            return answers

        with contextlib.suppress(TimeoutError):
            return await ask(good)
        each = (ask({key: future}) for key, future in good.items())
        found = await asyncio.gather(*each, return_exceptions=True)
        return {key: one for some in found if isinstance(some, dict) for key, one in some.items()}

    def _check_connection(self) -> None:
        status, now = self._client.status, time.monotonic()
        if status != "connecting":
            self._connecting_since = None
        elif self._connecting_since is None:
            self._connecting_since = now
        waited_s = now - (self._connecting_since or now)
        if status not in {"running", "connecting"} or waited_s > _RECONNECT_S:
            waited = f", for {waited_s:.0f} s" if waited_s else ""
            raise WorkersLostError(
                "The connection to the Dask scheduler is gone.",
                why=f"the client's status is {status!r}{waited}",
                fix="start a cluster and `beampipe resume` the run; what is committed is kept",
            )

    def merge(self, keys: Sequence[Key]) -> Key:
        """Fold partials into a fresh one on a worker."""
        self._n_merges += 1
        futures = [self._partials[key] for key in keys]
        merged = self._submit(
            merge_partials, futures, kind="merge", number=self._n_merges, priority=_MERGE
        )
        key = str(merged.key)
        self._partials[key] = merged
        self._merging.add(key)
        self._places.inherit(key, keys)
        merged.add_done_callback(lambda _: self._end_merge(key))
        return key

    def _end_merge(self, key: Key) -> None:
        self._merging.discard(key)
        self._events.put(key)  # no bundle's: it wakes up who waits for room

    def n_merging(self) -> int:
        """Merges that have not ended."""
        return len(self._merging)

    def pull(
        self, keys: Sequence[Key], patience_s: float, meanwhile: Callable[[], None]
    ) -> Iterator[dict[Key, Partial | ExecutionError]]:
        """Bring partials here, as soon as they are ready; of those that came workers keep nothing.

        Parameters
        ----------
        patience_s : float
            How long to wait while none of them becomes ready, and no bundle comes back either:
            a merge may have to wait until a long bundle has ended [s].
        meanwhile : callable
            Called while there is nothing to do but wait.

        Yields
        ------
        dict of str to Partial or ExecutionError
            What has come by now: values, what a merge raised, and `PartialLostError` where the
            workers are gone or silent.
        """
        waiting = {key: self._partials[key] for key in keys}
        self._heard_at = time.monotonic()
        while waiting and time.monotonic() - self._heard_at < patience_s:
            if stranded := self._stranded & waiting.keys():
                lost = _lost("it was to be done once more, and no worker was there")
                yield dict.fromkeys(stranded, lost)
                waiting = {key: future for key, future in waiting.items() if key not in stranded}
            ready = {key: future for key, future in waiting.items() if future.done()}
            # One whose worker dies in this moment is computed again by Dask, and waited for.
            fetched = self._fetch(ready, patience_s, meanwhile) if ready else {}
            if fetched:
                # Else Dask computes again what is here, and all that it was made of, when a worker
                # goes while others are waited for.
                self.release([*fetched])
                waiting = {key: future for key, future in waiting.items() if key not in fetched}
                yield fetched
                self._heard_at = time.monotonic()
            else:
                self._check_connection()
                time.sleep(_LOOK_AGAIN_S)
            meanwhile()
        if waiting:
            lost = _lost(f"nothing was heard of it for {patience_s:.0f} s")
            yield dict.fromkeys(waiting, lost)

    def _fetch(
        self, ready: Mapping[Key, Future[Any]], patience_s: float, meanwhile: Callable[[], None]
    ) -> dict[Key, Partial | ExecutionError]:
        """Bring what is ready here, in one go; what is not there any more is left out."""
        answers: dict[Key, Partial | ExecutionError] = {
            key: _explain(future) for key, future in ready.items() if future.status != "finished"
        }
        good = {key: future for key, future in ready.items() if key not in answers}

        async def gather() -> dict[Key, Partial]:
            gathering: Any = self._client.gather(good, errors="skip", asynchronous=True)
            return await asyncio.wait_for(gathering, patience_s)

        # Where a worker dies just now, Dask computes again what it had before it answers: of
        # the death one must hear before that.
        loop: Any = self._client.loop
        gathering = asyncio.run_coroutine_threadsafe(gather(), loop.asyncio_loop)
        try:
            while not wait_for([gathering], _LOOK_AGAIN_S).done:
                meanwhile()
            with contextlib.suppress(CancelledError, *_GONE):
                answers |= gathering.result()
        finally:
            gathering.cancel()
        return answers

    def find_workers(self, keys: Sequence[Key]) -> Mapping[Key, str]:
        """Where bundles are, as the scheduler knows it."""
        wanted = set(keys)
        with _scheduler_errors():
            processing: Mapping[str, Sequence[Key]] = self._client.processing()
        return {key: worker for worker, some in processing.items() for key in some if key in wanted}

    def release(self, keys: Sequence[Key]) -> None:
        """Let the scheduler forget these; bundles that have not begun never will."""
        if self._desk is not None:
            self._desk.end(keys)
        for key in keys:
            self._merging.discard(key)
            self._unheard.discard(key)
            self._stranded.discard(key)
            self._places.forget(key)
            for futures in (self._summaries, self._partials):
                future = futures.pop(key, None)
                if future is not None:
                    future.release()

    def n_threads(self) -> int:
        """Threads of all workers, asked for every few seconds; of thousands, less often."""
        now = time.monotonic()
        n_known = len(self._places.threads)
        if now - self._counted_at > max(_COUNT_EVERY_S, n_known / _COUNTED_PER_S):
            self._counted_at = now
            with contextlib.suppress(*_GONE):
                self._places.see(self._client.nthreads())
                self._n_threads = sum(self._places.threads.values())
            self._look_for_stranded()
        return self._n_threads

    def _look_for_stranded(self) -> None:
        def is_open(key: Key) -> bool:
            future = self._partials.get(key)
            return future is not None and key not in self._stranded and not future.done()

        with contextlib.suppress(WorkersLostError):
            for key in self._places.find_stranded(is_open, self.find_workers):
                self._stranded.add(key)
                self._events.put(key)  # where a bundle's end is waited for, it is lost

    def n_workers(self) -> int:
        """Workers there now."""
        self.n_threads()
        return len(self._places.threads)


@contextlib.contextmanager
def _scheduler_errors() -> Iterator[None]:
    """Say plainly that the scheduler is gone."""
    try:
        yield
    except _GONE as error:
        raise WorkersLostError(
            "The Dask scheduler does not answer.",
            why=f"{type(error).__name__}: {error}",
            fix="start a cluster and `beampipe resume` the run; what is committed is kept",
        ) from error


def _explain(future: Future[Any]) -> ExecutionError:
    """What became of a partial that is not there."""
    error = _reason(future)
    return error if isinstance(error, ExecutionError) else _lost(f"{type(error).__name__}: {error}")


def _lost(why: str) -> PartialLostError:
    return PartialLostError("A partial result was lost.", why=why, fix="its chunks are done again")


def _reason(future: Future[Any]) -> BaseException:
    if future.status == "error":
        error = future.exception()
        if isinstance(error, BaseException):
            return error
    return PartialLostError(
        "A bundle was lost.", why=f"Dask says {future.status!r}", fix="it is done again"
    )
