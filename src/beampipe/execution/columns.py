"""Columns of integers, packed: a run has a million chunks, and Python's integers are large."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES: dict[str, np.dtype[Any]] = {
    "B": np.dtype("u1"),
    "H": np.dtype("<u2"),
    "I": np.dtype("<u4"),
    "q": np.dtype("<i8"),
}


class Columns:
    """Columns of equal length, each in the smallest type that holds it; never changed.

    Equal columns are packed alike, so they can be compared, hashed and sent as they are.

    Parameters
    ----------
    types : str
        One letter for each column.
    size : int
        Rows.
    data : bytes
        The columns, one after the other.
    """

    __slots__ = ("data", "size", "types")

    def __init__(self, types: str, size: int, data: bytes) -> None:
        self.types = types
        self.size = size
        self.data = data

    @classmethod
    def pack(cls, columns: Iterable[NDArray[Any]]) -> Columns:
        """Pack arrays of integers."""
        columns = list(columns)
        types = "".join(map(_narrowest, columns))
        parts = (
            column.astype(_TYPES[code], copy=False).tobytes()
            for column, code in zip(columns, types, strict=True)
        )
        return cls(types, len(columns[0]), b"".join(parts))

    def unpack(self) -> list[NDArray[Any]]:
        """The columns, as they lie here: not to be written to, and each of a type of its own."""
        found, at = [], 0
        for code in self.types:
            found.append(np.frombuffer(self.data, _TYPES[code], self.size, at))
            at += found[-1].nbytes
        return found

    def __reduce__(self) -> tuple[type[Columns], tuple[str, int, bytes]]:
        return (Columns, (self.types, self.size, self.data))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Columns):
            return NotImplemented
        return (self.types, self.size, self.data) == (other.types, other.size, other.data)

    def __hash__(self) -> int:
        return hash((self.types, self.data))


def _narrowest(column: NDArray[Any]) -> str:
    if not len(column):
        return "B"
    least, most = column.min(), column.max()
    return next(code for code in _TYPES if code == "q" or _holds(code, least, most))


def _holds(code: str, least: int, most: int) -> bool:
    return bool(least >= 0 and most <= _most(code))


@functools.cache
def _most(code: str) -> int:
    return int(np.iinfo(_TYPES[code]).max)
