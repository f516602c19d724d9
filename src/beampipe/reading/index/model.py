"""What a file's index is: for each column the positions, sizes and entries of its baskets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

UNREADABLE = -1
"""In place of a pattern: a column whose baskets the index cannot tell."""


class ByteRange(NamedTuple):
    """A piece of a file.

    Attributes
    ----------
    seek : int
        Position of its first byte.
    size : int
        Its length [bytes].
    """

    seek: int
    size: int

    @property
    def stop(self) -> int:
        """Position behind its last byte."""
        return self.seek + self.size


class Baskets(NamedTuple):
    """The baskets of one column, in the order of their entries.

    Attributes
    ----------
    seeks : numpy.ndarray of int64
        Where each begins in the file, with its key.
    sizes : numpy.ndarray of int64
        How long each is, with its key [bytes].
    firsts : numpy.ndarray of int64
        First entry of each, and, one more, the column's number of entries.
    """

    seeks: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]

    def covering(self, start: int, stop: int) -> range:
        """Give the numbers of the baskets that hold entries of a range."""
        if start >= stop:
            return range(0)
        first = int(np.searchsorted(self.firsts, start, side="right")) - 1
        last = int(np.searchsorted(self.firsts, stop, side="left"))
        # Beyond a column's end there is nothing; a column may be shorter than its tree.
        return range(max(first, 0), min(last, len(self.seeks)))

    def places(self, numbers: range) -> Iterator[tuple[ByteRange, int, int]]:
        """Give the place of each of some baskets, its first entry, and the one behind its last."""
        mine = slice(numbers.start, numbers.stop)
        ranges = map(ByteRange, self.seeks[mine].tolist(), self.sizes[mine].tolist())
        firsts = self.firsts[numbers.start : numbers.stop + 1].tolist()
        yield from zip(ranges, firsts, firsts[1:], strict=False)


@dataclass(frozen=True, slots=True, eq=False)
class BasketTable:
    """The baskets of all columns, in a handful of arrays.

    Most columns of a file share a few patterns of entries, so these are kept once.

    Attributes
    ----------
    bounds : numpy.ndarray of int64
        Column `c` has the baskets from ``bounds[c]`` to ``bounds[c + 1]``.
    seeks, sizes : numpy.ndarray of int64
        Of every basket, column after column.
    pattern_of : numpy.ndarray of int32
        Which pattern a column has; `UNREADABLE` for one that uproot has to read.
    patterns : tuple of numpy.ndarray of int64
        First entries of baskets, and the number of entries.
    """

    bounds: npt.NDArray[np.int64]
    seeks: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    pattern_of: npt.NDArray[np.int32]
    patterns: tuple[npt.NDArray[np.int64], ...]

    def __len__(self) -> int:
        return len(self.pattern_of)

    def get(self, column: int) -> Baskets | None:
        """Give the baskets of a column by its position; None where uproot has to read it."""
        pattern = int(self.pattern_of[column])
        if pattern == UNREADABLE:
            return None
        mine = slice(int(self.bounds[column]), int(self.bounds[column + 1]))
        return Baskets(self.seeks[mine], self.sizes[mine], self.patterns[pattern])


@dataclass(frozen=True, slots=True, eq=False)
class FileIndex:
    """All that is needed of a tree to read its columns, but what their bytes mean.

    That is the same for all files of a layout, and is kept in a `LayoutTemplate`.

    Attributes
    ----------
    uuid : str
        Of the file; an index is of no use for any other.
    treename : str
        Path of the tree in the file, without cycle.
    kind : {"TTree", "RNTuple"}
        What the tree is.
    entries : int
        Of the tree.
    layout : str
        Key of its columns and their types; see `layouts.layout_key`.
    boundaries : tuple of int
        Entries at which all columns begin a new basket; see `boundaries.cluster_boundaries`.
    table : BasketTable
        By position in ``tree.itervalues(recursive=True)``. Of an RNTuple: of each cluster, one
        after the other, its pages, by the number of the physical column.
    has_checksums : bool
        Whether a page of an RNTuple ends with one.
    """

    uuid: str
    treename: str
    kind: str
    entries: int
    layout: str
    boundaries: tuple[int, ...]
    table: BasketTable
    has_checksums: bool = False
