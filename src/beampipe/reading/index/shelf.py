"""The indexes that a worker has at hand: sent along, found in the store, or made here.

An index is a hint. Whoever finds that one is wrong says `forget`, makes another and puts it back;
the wrong one is not given out again.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, NamedTuple, Protocol

_MOST_OPEN = 64
_MOST_CLOSED_BYTES = 16_000_000
_MOST_NEW = 256
_MOST_TAKEN_BYTES = 1_000_000
_LOOK_AGAIN_S = 60.0


class Place(NamedTuple):
    """What an index is of."""

    uuid: str
    treename: str


class Made(NamedTuple):
    """An encoded index, and what it took to make it.

    Attributes
    ----------
    data : bytes
        The index, encoded.
    seconds : float
        Time spent opening the file and making the index; 0 where nobody measured [s].
    n_bytes : int
        Bytes asked of the storage for it; 0 where nobody measured.
    """

    data: bytes
    seconds: float = 0.0
    n_bytes: int = 0


class Known(Protocol):
    """An index, as far as a shelf looks into it."""

    @property
    def uuid(self) -> str:
        """The file's uuid."""

    @property
    def treename(self) -> str:
        """The tree's name."""


class _New(NamedTuple):
    index: Any
    seconds: float
    n_bytes: int


class Shelf:
    """Indexes by file and tree, at hand for every thread of a process.

    Parameters
    ----------
    encode : callable
        An index to bytes.
    decode : callable
        Bytes to an index, or None for bytes that are torn, foreign or of another version.

    Notes
    -----
    Bounded: the last few dozen are kept decoded, of those that were sent along a few MB.
    """

    def __init__(
        self, encode: Callable[[Any], bytes], decode: Callable[[bytes], Known | None]
    ) -> None:
        self._encode = encode
        self._decode = decode
        self._find: Callable[[Place], bytes | None] | None = None
        self._open: OrderedDict[Place, Any] = OrderedDict()
        self._closed: OrderedDict[Place, bytes] = OrderedDict()
        self._closed_bytes = 0
        self._new: OrderedDict[Place, _New] = OrderedDict()
        self._wrong: set[Place] = set()
        self._missing: dict[Place, float] = {}
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def get(self, uuid: str, treename: str) -> Any:
        """Give the index of a file's tree.

        Parameters
        ----------
        uuid : str
            The file's own uuid, as the plan has it.
        treename : str
            The tree's name.

        Returns
        -------
        FileIndex or None
            One that says of itself that it is of this file and tree; None where there is none.
        """
        place = Place(uuid, treename)
        with self._lock:
            known = self._open.get(place)
            if known is not None:
                self._open.move_to_end(place)
                return known
            if place in self._wrong:
                return None
            sent = self._drop_closed(place)
        # Not under the lock: the store may lie on a slow disk.
        index, origin = self._check(place, sent), "indexes_sent"
        if index is None:
            index, origin = self._check(place, self._look_up(place)), "indexes_stored"
        if index is not None:
            with self._lock:
                self._keep(place, index)
                self._counts[origin] += 1
        return index

    def put(self, index: Known, *, seconds: float = 0.0, n_bytes: int = 0) -> None:
        """Keep an index that was made here; `take_new` gives it away, once.

        Parameters
        ----------
        index : FileIndex
            Of which file and tree, it says itself.
        seconds : float, optional
            What opening the file and making the index took [s].
        n_bytes : int, optional
            What was asked of the storage for it [bytes].
        """
        place = Place(index.uuid, index.treename)
        with self._lock:
            self._wrong.discard(place)
            self._missing.pop(place, None)  # what was made here is soon in the store
            self._keep(place, index)
            self._new[place] = _New(index, seconds, n_bytes)
            self._counts["indexes_made"] += 1
            while len(self._new) > _MOST_NEW:  # nobody takes them
                self._new.popitem(last=False)

    def forget(self, uuid: str, treename: str) -> None:
        """Throw an index away that does not fit its file; `put` may bring a better one."""
        place = Place(uuid, treename)
        with self._lock:
            self._open.pop(place, None)
            self._drop_closed(place)
            self._new.pop(place, None)
            self._wrong.add(place)

    @property
    def has_new(self) -> bool:
        """Whether `take_new` has anything to give."""
        return bool(self._new)

    def take_new(self, *, max_bytes: int = _MOST_TAKEN_BYTES) -> dict[Place, Made]:
        """Give what was made here since the last call, encoded.

        Parameters
        ----------
        max_bytes : int, default 1 MB
            No more than this, but for a single index that is larger; the rest is given next time.
        """
        taken: dict[Place, Made] = {}
        size = 0
        while True:
            with self._lock:
                if not self._new:
                    return taken
                place, new = self._new.popitem(last=False)
            data = self._encode(new.index)
            if taken and size + len(data) > max_bytes:
                with self._lock:
                    self._new.setdefault(place, new)
                    self._new.move_to_end(place, last=False)
                return taken
            taken[place] = Made(data, new.seconds, new.n_bytes)
            size += len(data)

    def take_counts(self) -> dict[str, int]:
        """Say how many indexes were made here, and found among those sent and in the store.

        Since the last call.
        """
        with self._lock:
            counts = dict(self._counts)
            self._counts.clear()
        return counts

    def offer(self, sent: Mapping[Place, bytes]) -> None:
        """Lay out encoded indexes that came with a bundle; they are decoded when asked for."""
        with self._lock:
            for place, data in sent.items():
                if place in self._open or place in self._wrong:
                    continue
                self._drop_closed(place)
                self._closed[place] = data
                self._closed_bytes += len(data)
            while self._closed_bytes > _MOST_CLOSED_BYTES and len(self._closed) > 1:
                self._drop_closed(next(iter(self._closed)))

    def look_in(self, find: Callable[[Place], bytes | None] | None) -> None:
        """Say where else encoded indexes may be found; None for nowhere."""
        with self._lock:
            self._find = find
            self._missing.clear()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            for kept in (self._open, self._closed, self._new, self._wrong, self._missing):
                kept.clear()
            self._counts.clear()
            self._closed_bytes = 0

    def _look_up(self, place: Place) -> bytes | None:
        if self._find is None or self._missing.get(place, 0.0) > time.monotonic():
            return None
        data = self._find(place)
        if data is None:
            with self._lock:
                if len(self._missing) > _MOST_NEW:
                    self._missing.clear()
                self._missing[place] = time.monotonic() + _LOOK_AGAIN_S
        return data

    def _check(self, place: Place, data: bytes | None) -> Any:
        index = None if data is None else self._decode(data)
        return index if index is not None and (index.uuid, index.treename) == place else None

    def _keep(self, place: Place, index: Any) -> None:
        self._open[place] = index
        self._open.move_to_end(place)
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)

    def _drop_closed(self, place: Place) -> bytes | None:
        data = self._closed.pop(place, None)
        if data is not None:
            self._closed_bytes -= len(data)
        return data
