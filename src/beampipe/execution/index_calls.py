"""Indexes that workers have made are fetched by small tasks of their own.

They do not go with the summaries, which the scheduler keeps for a while, a thousand of them.
"""

from __future__ import annotations

import contextlib
import queue
from itertools import count
from threading import Event
from typing import TYPE_CHECKING, Any

from beampipe.execution.index_desk import IndexDesk
from beampipe.execution.worker_shelf import take_new_indexes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distributed import Client, Future

    from beampipe.reading.index.shelf import Made, Place

_PRIORITY = 10  # before bundles
_LAST_S = 2.0


class IndexCalls:
    """Asks workers for what they have made, one task at a time for each.

    Parameters
    ----------
    client : distributed.Client
        Used and left alone.
    desk : IndexDesk or None
        Where indexes are kept; without one, nothing is asked for.
    prefix : str
        The run's.
    """

    def __init__(self, client: Client, desk: IndexDesk | None, prefix: str) -> None:
        self._client = client
        self._desk = desk
        self._prefix = prefix
        self._numbers = count()
        self._asked: dict[str, tuple[Future[Any], Event]] = {}
        self._came: queue.SimpleQueue[tuple[str, Mapping[Place, Made]]] = queue.SimpleQueue()

    def ask(self, worker: str) -> None:
        """A worker has new indexes: fetch them, when it has a thread free."""
        if self._desk is None or worker in self._asked:
            return
        future = self._client.submit(
            take_new_indexes,
            key=f"{self._prefix}-indexes-{next(self._numbers)}",
            pure=False,
            workers=[worker],
            allow_other_workers=True,
            priority=_PRIORITY,
        )
        ended = Event()
        self._asked[worker] = (future, ended)
        future.add_done_callback(lambda _: self._take(worker, future, ended))

    def _take(self, worker: str, future: Future[Any], ended: Event) -> None:
        """Bring them here (in a thread of Dask's, so that the driver does not wait)."""
        made: Mapping[Place, Made] = {}
        with contextlib.suppress(Exception):  # they are made again by whoever needs them
            made = future.result()
        self._came.put((worker, made))
        ended.set()

    def keep(self) -> None:
        """Keep what has come since the last call."""
        with contextlib.suppress(queue.Empty):
            while self._desk is not None:
                worker, made = self._came.get_nowait()
                self._asked.pop(worker, None)
                self._desk.keep(made)

    def close(self) -> None:
        """Wait a moment for what is still to come: the next run wants it as well."""
        for _, ended in list(self._asked.values()):
            if not ended.wait(_LAST_S):
                break
        self.keep()
        for future, _ in self._asked.values():
            future.release()
