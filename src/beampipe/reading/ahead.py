"""Which columns a processor uses, so that those of the next chunk can be fetched in one go.

Also while the chunk before it is still being processed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

from beampipe.reading.layouts import layout_key
from beampipe.reading.loading import ColumnLoader
from beampipe.reading.recent import RecentlyUsed
from beampipe.reading.trees import OpenTree

Prepared = TypeVar("Prepared")
_KEPT = 32
_LEAST_SHARE = 0.1
"""Of a chunk's time that is spent waiting for storage: below it, a thread gains nothing.

Decompressing takes a core, and where workers use all of them it takes as long in a thread as
without; only waiting costs nothing beside other work.
"""
_LEAST_WAIT_S = 0.002
_NOBODY = object()
_MOST_BYTES = 256_000_000
"""Of columns that lie ready beside those that are processed."""


class LearnedColumns:
    """What the chunks of each dataset and layout have used so far."""

    def __init__(self) -> None:
        self._known: RecentlyUsed[tuple[str, str], set[str]] = RecentlyUsed(_KEPT)
        self._lock = threading.Lock()

    def learn(self, opened: OpenTree, dataset: str, columns: Iterable[str]) -> None:
        """Remember what a chunk has used."""
        with self._lock:
            self._of(opened, dataset).update(columns)

    def fetch(self, opened: OpenTree, dataset: str, loader: ColumnLoader) -> None:
        """Fetch what the chunk will probably use.

        One request for all instead of one for each: with a dozen columns and 30 ms to the server
        and back, 0.1 s for a chunk instead of 0.5.
        """
        known = self.known(opened, dataset)
        if known:
            loader.fetch(known)

    def known(self, opened: OpenTree, dataset: str) -> frozenset[str]:
        """Give what the chunks before have used."""
        with self._lock:
            return frozenset(self._of(opened, dataset))

    def _of(self, opened: OpenTree, dataset: str) -> set[str]:
        return self._known.get((layout_key(opened), dataset), set)


class _Pending(NamedTuple):
    key: Hashable
    thread: threading.Thread
    results: list[object]


class ReadAhead(Generic[Prepared]):
    """Prepares one chunk in a thread while another one is processed.

    It is never more than one ahead, and only where the chunk before had to wait for its storage.
    What goes wrong ahead is let go: whoever wants the chunk meets it again, and says so.
    """

    def __init__(self) -> None:
        self._pending: _Pending | None = None
        self._is_worth_it = False

    def learn(self, *, waited_s: float, took_s: float, n_bytes: int) -> None:
        """Take note of how a chunk went.

        Parameters
        ----------
        waited_s : float
            For its storage [s].
        took_s : float
            All that it took, with what was done ahead [s].
        n_bytes : int
            Of its columns, as arrays.
        """
        self._is_worth_it = (
            waited_s > max(_LEAST_WAIT_S, _LEAST_SHARE * took_s) and n_bytes < _MOST_BYTES
        )

    @property
    def is_worth_it(self) -> bool:
        """Whether the last chunk waited long enough, and another one like it has room."""
        return self._is_worth_it and self._pending is None

    def start(self, key: Hashable, prepare: Callable[[], Prepared]) -> None:
        """Prepare a chunk in a thread.

        Parameters
        ----------
        key : hashable
            What is prepared.
        prepare : callable
            Prepares it; what it raises is let go.
        """
        results: list[object] = []

        def work() -> None:
            with suppress(Exception):  # it comes again where it can be told of
                results.append(prepare())

        # A thread that a dead server holds up must not keep the worker from ending.
        thread = threading.Thread(target=work, name="beampipe-ahead", daemon=True)
        self._pending = _Pending(key, thread, results)
        thread.start()

    def drop(self) -> None:
        """Throw away what was prepared, without waiting for it."""
        if self._pending is not None:
            self._pending.results.clear()
            self._pending = self._pending._replace(key=_NOBODY)

    def take(self, key: Hashable) -> Prepared | None:
        """Give what was prepared, and wait for it; nothing is under way afterwards.

        Parameters
        ----------
        key : hashable
            What is wanted; if another thing was prepared, that is thrown away.

        Returns
        -------
        Any
            What `prepare` gave; None if it failed, or was of something else.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return None
        pending.thread.join()
        if pending.key != key or not pending.results:
            return None
        return pending.results.pop()  # type: ignore[return-value]  # as `prepare` gave it
