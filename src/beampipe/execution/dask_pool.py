"""Bundles on a Dask cluster, any cluster that a `distributed.Client` is connected to."""

from __future__ import annotations

import contextlib
import queue
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from distributed.client import ClosedClientError

from beampipe.errors import ExecutionError, PartialLostError, WorkersLostError
from beampipe.execution.bundles import Bundle, RunContext
from beampipe.execution.context_plugin import ContextPlugin, run_with_plugin
from beampipe.execution.partials import Partial, merge_partials, summarize_partial
from beampipe.execution.pool import Finished, Key, Lost

if TYPE_CHECKING:
    from distributed import Client, Future

_COUNT_EVERY_S = 2.0
# What a client raises whose scheduler does not answer; one that was closed has none at all.
_GONE = (OSError, TimeoutError, AttributeError, ClosedClientError)
# Dask runs a task with a higher priority first: a merge frees memory, a bundle fills it.
_BUNDLE, _SUMMARY, _MERGE = 0, 10, 20


class DaskPool:
    """Runs bundles as Dask tasks; every key is new, so no old result is ever taken for one.

    Parameters
    ----------
    client : distributed.Client
        Used and left alone.
    context : RunContext
        Goes to every worker once.

    Raises
    ------
    WorkersLostError
        ``run-workers-lost``: the scheduler does not answer.
    """

    def __init__(self, client: Client, context: RunContext) -> None:
        self._client = client
        self._prefix = f"beampipe-{uuid.uuid4().hex[:8]}"
        self._ended: queue.SimpleQueue[Key] = queue.SimpleQueue()
        self._partials: dict[Key, Future[Any]] = {}
        self._summaries: dict[Key, Future[Any]] = {}
        self._n_merges = 0
        self._counted_at = -_COUNT_EVERY_S
        self._threads: dict[str, int] = {}
        with _scheduler_errors():
            client.register_plugin(ContextPlugin(context), name=self._prefix)

    def close(self) -> None:
        """Take from the workers what this run left there."""
        self.release([*self._partials])
        with contextlib.suppress(*_GONE, ValueError):
            self._client.unregister_worker_plugin(self._prefix)

    def _submit(
        self, function: Any, *args: Any, kind: str, number: int, priority: int
    ) -> Future[Any]:
        key = f"{self._prefix}-{kind}-{number}"
        with _scheduler_errors():
            return self._client.submit(function, *args, key=key, pure=False, priority=priority)

    def submit(self, bundle: Bundle) -> Key:
        """Send a bundle off; its summary follows as soon as it is done."""
        number = bundle.number
        partial = self._submit(
            run_with_plugin, self._prefix, bundle, kind="bundle", number=number, priority=_BUNDLE
        )
        summary = self._submit(
            summarize_partial, partial, kind="summary", number=number, priority=_SUMMARY
        )
        key = str(partial.key)
        self._partials[key] = partial
        self._summaries[key] = summary
        summary.add_done_callback(lambda _: self._ended.put(key))
        return key

    def wait(self, timeout_s: float) -> Sequence[Finished | Lost]:
        """Bundles that ended; waits for the first one so long [s]."""
        keys: list[Key] = []
        with contextlib.suppress(queue.Empty):
            keys.append(self._ended.get(timeout=timeout_s))
            while True:
                keys.append(self._ended.get_nowait())
        if self._client.status not in {"running", "connecting"}:
            raise WorkersLostError(
                "The connection to the Dask scheduler is gone.",
                why=f"the client's status is {self._client.status!r}",
                fix="start a cluster and `beampipe resume` the run; what is committed is kept",
            )
        ended = {key: future for key in keys if (future := self._summaries.pop(key, None))}
        good = {key: future for key, future in ended.items() if future.status == "finished"}
        # A worker may die between the end of a summary and this line: None for those.
        with _scheduler_errors():
            answers = self._client.gather(good, errors="skip")
        return [
            Lost(key, _reason(future))
            if (summary := answers.get(key)) is None
            else Finished(key, summary)
            for key, future in ended.items()
        ]

    def merge(self, keys: Sequence[Key]) -> Key:
        """Fold partials into a fresh one on a worker."""
        self._n_merges += 1
        futures = [self._partials[key] for key in keys]
        merged = self._submit(
            merge_partials, futures, kind="merge", number=self._n_merges, priority=_MERGE
        )
        key = str(merged.key)
        self._partials[key] = merged
        return key

    def pull(self, key: Key) -> Partial:
        """Bring a partial here.

        Raises
        ------
        ExecutionError
            What a merge raised.
        PartialLostError
            ``run-partial-lost``: its workers are gone and Dask gave up.
        """
        future = self._partials[key]
        try:
            error = future.exception()
            if error is None:
                partial: Partial = future.result()
                return partial
        except (CancelledError, OSError, TimeoutError) as lost:
            error = lost
        if isinstance(error, ExecutionError):
            raise error
        raise PartialLostError(
            "A partial result was lost.",
            why=f"{type(error).__name__}: {error}",
            fix="its chunks are done again",
        ) from error

    def release(self, keys: Sequence[Key]) -> None:
        """Let the scheduler forget these; bundles that have not begun never will."""
        for key in keys:
            for futures in (self._summaries, self._partials):
                future = futures.pop(key, None)
                if future is not None:
                    future.release()

    def n_threads(self) -> int:
        """Threads of all workers, asked for every few seconds."""
        now = time.monotonic()
        if now - self._counted_at > _COUNT_EVERY_S:
            self._counted_at = now
            with contextlib.suppress(*_GONE):
                self._threads = self._client.nthreads()
        return sum(self._threads.values())

    def n_workers(self) -> int:
        """Workers there now."""
        self.n_threads()
        return len(self._threads)


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


def _reason(future: Future[Any]) -> BaseException:
    if future.status == "error":
        error = future.exception()
        if isinstance(error, BaseException):
            return error
    return PartialLostError(
        "A bundle was lost.", why=f"Dask says {future.status!r}", fix="it is done again"
    )
