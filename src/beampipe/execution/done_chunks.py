"""The chunks that a value holds: some ten bytes for each, where a tuple of them takes 300."""

from __future__ import annotations

import itertools
import operator
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from beampipe.errors import LedgerError
from beampipe.execution.columns import Columns

_BLOCK = 1 << 14
_FileOfRun = tuple[str, int]
"""A file's uuid, and into how many parts it is cut."""


class DoneChunk(NamedTuple):
    """Part k of n of a file, done over the entries [start, stop)."""

    uuid: str
    k: int
    n: int
    start: int
    stop: int


class DoneChunks(Sequence[DoneChunk]):
    """Reads like a tuple of `DoneChunk`, and is never changed.

    Parameters
    ----------
    files : tuple of (str, int)
        The uuid of each file and into how many parts it is cut, in the order in which they come.
    rows : Columns
        Of each chunk: the place of its file, k, start and stop.
    """

    __slots__ = ("files", "rows")

    def __init__(self, files: tuple[_FileOfRun, ...], rows: Columns) -> None:
        self.files = files
        self.rows = rows

    @classmethod
    def of(cls, chunks: Iterable[Sequence[Any]]) -> DoneChunks:
        """Pack chunks, or rows of uuid, k, n, start and stop.

        Raises
        ------
        TypeError, ValueError, OverflowError
            These are none.
        """
        if isinstance(chunks, DoneChunks):
            return chunks
        places: dict[_FileOfRun, int] = {}
        at, ks, starts, stops = (array("q") for _ in range(4))
        for uuid, k, n, start, stop in chunks:
            at.append(places.setdefault((uuid, operator.index(n)), len(places)))
            ks.append(k)
            starts.append(start)
            stops.append(stop)
        if not at:
            return NOTHING
        columns = [np.frombuffer(column, np.int64) for column in (at, ks, starts, stops)]
        return cls(tuple(places), Columns.pack(columns))

    @classmethod
    def join(cls, parts: Iterable[DoneChunks]) -> DoneChunks:
        """Put them one behind the other."""
        parts = [part for part in parts if len(part)]
        if len(parts) < 2:
            return parts[0] if parts else NOTHING
        places: dict[_FileOfRun, int] = {}
        gathered: list[list[NDArray[Any]]] = []
        for part in parts:
            new = np.array([places.setdefault(file, len(places)) for file in part.files])
            at, *others = part.rows.unpack()
            gathered.append([new[at], *others])
        columns = [np.concatenate(some) for some in zip(*gathered, strict=True)]
        return cls(tuple(places), Columns.pack(columns))

    # -- as a sequence ------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.rows.size

    def __iter__(self) -> Iterator[DoneChunk]:
        columns = self.rows.unpack()
        for begin in range(0, len(self), _BLOCK):  # as integers of Python a few at a time
            some = (column[begin : begin + _BLOCK].tolist() for column in columns)
            for at, k, start, stop in zip(*some, strict=True):
                uuid, n = self.files[at]
                yield DoneChunk(uuid, k, n, start, stop)

    @overload
    def __getitem__(self, index: int) -> DoneChunk: ...
    @overload
    def __getitem__(self, index: slice) -> DoneChunks: ...
    def __getitem__(self, index: int | slice) -> DoneChunk | DoneChunks:
        if isinstance(index, slice):
            return DoneChunks.of(list(self)[index])
        at, k, start, stop = (int(column[index]) for column in self.rows.unpack())
        uuid, n = self.files[at]
        return DoneChunk(uuid, k, n, start, stop)

    def __add__(self, other: DoneChunks) -> DoneChunks:
        return DoneChunks.join([self, other])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DoneChunks):
            return self.files == other.files and self.rows == other.rows
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"DoneChunks({list(self)})"

    def __reduce__(self) -> tuple[type[DoneChunks], tuple[Any, ...]]:
        return (DoneChunks, (self.files, self.rows))

    def keys(self) -> Iterator[tuple[str, int]]:
        """(uuid, k) of each of them."""
        at, k, _, _ = self.rows.unpack()
        uuids = [uuid for uuid, _ in self.files]
        return zip(map(uuids.__getitem__, at.tolist()), k.tolist(), strict=True)

    # -- as a whole ---------------------------------------------------------------------------

    @property
    def n_events(self) -> int:
        """Events in all of them [events]."""
        _, _, start, stop = self.rows.unpack()
        return int(stop.sum(dtype=np.int64) - start.sum(dtype=np.int64))

    @property
    def first(self) -> DoneChunk | None:
        """The smallest of them, as tuples compare."""
        if not self.files:
            return None
        at, k, _, _ = self.rows.unpack()
        uuid = min(self.files)[0]
        places = [place for place, file in enumerate(self.files) if file[0] == uuid]
        here = np.flatnonzero(np.isin(at, places))
        least = k[here].min()
        return min(self[int(row)] for row in here if k[row] == least)

    def is_same(self, other: DoneChunks) -> bool:
        """Whether both hold the same, in whatever order."""
        return len(self) == len(other) and self._in_order() == other._in_order()

    def _in_order(self) -> DoneChunks:
        """The same, in an order that does not depend on where they come from."""
        places = sorted(range(len(self.files)), key=self.files.__getitem__)
        ranks = np.empty(len(places), np.int64)
        ranks[places] = np.arange(len(places))
        at, *others = self.rows.unpack()
        columns = [ranks[at], *others] if len(self) else [at, *others]
        order = np.lexsort(columns[::-1])
        files = tuple(self.files[place] for place in places)
        return DoneChunks(files, Columns.pack([column[order] for column in columns]))

    def _by_uuid(self) -> list[NDArray[Any]]:
        """The columns, with a number for each uuid in place of its file.

        A uuid is there twice where somebody cut a file in two ways, which no plan does.
        """
        numbers: dict[str, int] = {}
        new = np.array([numbers.setdefault(uuid, len(numbers)) for uuid, _ in self.files])
        at, *others = self.rows.unpack()
        return [new[at], *others] if len(self) else [at, *others]

    def find_twice(self) -> DoneChunk | None:
        """A part of a file that is there twice."""
        number, k, _, _ = self._by_uuid()
        order = np.lexsort((k, number))
        number, k = number[order], k[order]
        again = np.flatnonzero((number[1:] == number[:-1]) & (k[1:] == k[:-1]))
        return self[int(order[again[0] + 1])] if len(again) else None

    def find_overlap(self) -> tuple[DoneChunk, DoneChunk] | None:
        """Two that hold the same event."""
        number, _, start, stop = self._by_uuid()
        rows = np.flatnonzero(stop > start)
        order = rows[np.lexsort((start[rows], number[rows]))]
        before, after = order[:-1], order[1:]
        # Where no neighbours overlap, nothing does: each begins behind all that come before it.
        meet = (number[before] == number[after]) & (start[after] < stop[before])
        if not meet.any():
            return None
        place = int(np.argmax(meet))
        return self[int(before[place])], self[int(after[place])]

    def parts_of_files(self) -> Mapping[str, frozenset[int]]:
        """The parts that are there of each file; a set is made when it is asked for."""
        return _Parts(self)


class _Parts(Mapping[str, frozenset[int]]):
    def __init__(self, chunks: DoneChunks) -> None:
        number, k, _, _ = chunks._by_uuid()  # noqa: SLF001  (of this module)
        order = np.argsort(number, kind="stable")
        self._k = k[order]
        uuids = list(dict.fromkeys(uuid for uuid, _ in chunks.files))
        borders = np.searchsorted(number[order], np.arange(len(uuids) + 1)).tolist()
        self._spans = dict(zip(uuids, itertools.pairwise(borders), strict=True))

    def __getitem__(self, uuid: str) -> frozenset[int]:
        return frozenset(self._k[slice(*self._spans[uuid])].tolist())

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)


NOTHING = DoneChunks((), Columns("BBBB", 0, b""))


def check_no_overlap(done: Iterable[DoneChunk]) -> None:
    """Refuse entry ranges that hold the same event twice.

    Raises
    ------
    LedgerError
        ``run-ledger``: names the file and both ranges.
    """
    chunks = DoneChunks.of(done)
    pair = chunks.find_overlap() if len(chunks) > 1 else None
    twice = chunks.find_twice() if len(chunks) > 1 and pair is None else None
    if pair is None and twice is not None:
        pair = (twice, twice)
    if pair is not None:
        one, other = pair
        raise LedgerError(
            "The same events are in two values.",
            why=f"file {other.uuid}: part {other.k}, entries {other.start} to {other.stop}, "
            f"overlaps what ends at {one.stop}",
            fix="report this with the run directory: the engine must never do it",
        )
