"""Makes columns of baskets: the common kinds in one pass, the rest by uproot's own routines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.library import _libraries
from uproot.interpretation.numerical import AsDtype

from beampipe.reading.index.baskets import Basket, is_ascending
from beampipe.reading.index.codecs import BrokenBytesError

_AWKWARD = _libraries["ak"]
_OPTIONS = {"ak_add_doc": False}
Counts = npt.NDArray[np.int64]


class Part(NamedTuple):
    """A basket, and which of its entries are wanted.

    Attributes
    ----------
    basket : Basket
    start, stop : int
        Wanted entries, counted from the basket's first.
    counts : callable
        Gives the lengths of the lists of all of the basket's entries, from the column that counts
        them; None if there is no such column.
    """

    basket: Basket
    start: int
    stop: int
    counts: Callable[[], Counts] | None


def make_column(interpretation: Any, parts: list[Part]) -> ak.Array:
    """Make an array of the wanted entries of a column's baskets.

    Parameters
    ----------
    interpretation : uproot.interpretation.Interpretation
        One that `template.can_interpret`.
    parts : list of Part
        In order. If empty, so is the array.

    Returns
    -------
    awkward.Array
        Equal to what uproot makes of them, in values and in type.

    Raises
    ------
    BrokenBytesError
        The baskets do not hold what they should.
    """
    if not parts:
        return ak.Array(interpretation.awkward_form(None).length_zero_array())
    if _is_plain(interpretation):
        return ak.Array(_wrap(make_flat(interpretation, parts)))
    if type(interpretation) is AsJagged and _is_plain(interpretation.content):
        return _make_jagged(interpretation, parts)
    return _make_by_uproot(interpretation, parts)


def make_flat(interpretation: AsDtype, parts: list[Part]) -> npt.NDArray[Any]:
    """Make the values of a column of numbers.

    Parameters
    ----------
    interpretation : AsDtype
    parts : list of Part

    Returns
    -------
    numpy.ndarray
        In this machine's byte order.
    """
    values = np.empty(sum(part.stop - part.start for part in parts), interpretation.to_dtype)
    dtype, shape = _split(interpretation.from_dtype)
    at = 0
    for part in parts:
        raw = _view(part.basket.data, dtype, shape)
        if len(raw) != part.basket.entries:
            raise _wrong_length(len(raw), part.basket.entries)
        values[at : at + part.stop - part.start] = raw[part.start : part.stop]
        at += part.stop - part.start
    return values


def _make_jagged(interpretation: AsJagged, parts: list[Part]) -> ak.Array:
    """Make lists: first all offsets [bytes], checked together, then the content in one pass."""
    content = interpretation.content
    offsets = np.empty(sum(part.stop - part.start for part in parts) + 1, dtype=np.int64)
    pieces, at, end = [], 0, 0
    for part in parts:
        mine = offsets[at : at + part.stop - part.start + 1]
        piece = _lay_out(part, interpretation, mine, end)
        at, end = at + len(mine) - 1, end + len(piece)
        pieces.append(piece)
    if not is_ascending(offsets):
        raise BrokenBytesError("the offsets of a basket's lists do not ascend")
    values = np.empty(_count_items(offsets, content.itemsize), content.to_dtype)
    dtype, shape = _split(content.from_dtype)
    filled = 0
    for piece in pieces:
        items = _view(piece, dtype, shape)
        values[filled : filled + len(items)] = items
        filled += len(items)
    lists = ak.contents.ListOffsetArray(ak.index.Index64(offsets), _wrap(values))
    return ak.Array(lists)


def _lay_out(
    part: Part, interpretation: AsJagged, offsets: npt.NDArray[np.int64], end: int
) -> npt.NDArray[np.uint8]:
    """Write where a part's lists begin and end, counted on from `end`, and give their bytes."""
    basket, (start, stop) = part.basket, (part.start, part.stop)
    if basket.told is None or interpretation.header_bytes:
        data, bounds = _bounds_of(part, interpretation)
        np.add(bounds[start : stop + 1], end - int(bounds[start]), out=offsets)
        return data[int(bounds[start]) : int(bounds[stop])]
    told_from, size = basket.told_from, len(basket.data)
    first = int(basket.told[start]) - told_from
    last = size if stop == basket.entries else int(basket.told[stop]) - told_from
    is_sane = first == 0 if start == 0 else first >= 0
    if not is_sane or not first <= last <= size or first % interpretation.content.itemsize:
        raise BrokenBytesError(f"lists from byte {first:,} to {last:,} of {size:,} in a basket")
    np.subtract(basket.told[start : stop + 1], told_from + first - end, out=offsets)
    offsets[-1] = end + last - first
    return basket.data[first:last]


def _bounds_of(
    part: Part, interpretation: AsJagged
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Give a basket's data, and where in it each entry begins and ends [bytes]."""
    basket = part.basket
    bounds = basket.bounds()
    if bounds is None:
        bounds = _count_out(part, interpretation.content.itemsize)
    if interpretation.header_bytes:
        return _cut_headers(basket.data, bounds, interpretation.header_bytes)
    return basket.data, bounds


def _count_out(part: Part, itemsize: int) -> npt.NDArray[np.int64]:
    basket = part.basket
    if part.counts is None:
        raise BrokenBytesError("neither the basket nor another column has the lengths of its lists")
    counts = part.counts()
    if len(counts) != basket.entries:
        raise _wrong_length(len(counts), basket.entries)
    bounds = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=bounds[1:])
    bounds *= itemsize
    if bounds[-1] != len(basket.data) or (counts < 0).any():
        raise BrokenBytesError(
            f"lists of {bounds[-1]:,} bytes in a basket with {len(basket.data):,} bytes of them"
        )
    return bounds


def _cut_headers(
    data: npt.NDArray[np.uint8], bounds: npt.NDArray[np.int64], header: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Take out what stands before the items of each entry (of a vector: version and length)."""
    if (np.diff(bounds) < header).any():
        raise BrokenBytesError(f"an entry without room for its header of {header} bytes")
    keep = np.ones(len(data), dtype=np.bool_)
    keep[bounds[:-1, np.newaxis] + np.arange(header)] = False
    return data[keep], bounds - header * np.arange(len(bounds))


def _count_items(offsets: npt.NDArray[np.int64], itemsize: int) -> int:
    """Turn offsets in bytes into offsets in items, in place; give how many items there are."""
    if itemsize & (itemsize - 1):
        is_whole = not (offsets % itemsize).any()
        offsets //= itemsize
    else:
        is_whole = not int(np.bitwise_or.reduce(offsets)) & (itemsize - 1)
        offsets >>= itemsize.bit_length() - 1
    if not is_whole:
        raise BrokenBytesError(f"lists whose bytes are not a multiple of {itemsize}")
    return int(offsets[-1])


def _wrap(values: npt.NDArray[Any]) -> Any:
    if values.ndim == 1:
        return ak.contents.NumpyArray(values)
    return ak.from_numpy(values, regulararray=True, highlevel=False)


@dataclass(frozen=True, slots=True)
class _StandInFile:
    file_path: str = ""


@dataclass(frozen=True, slots=True)
class _StandInBranch:
    """As much of a branch as uproot's interpretations of the closed set ask of one."""

    object_path: str = ""
    file: _StandInFile = _StandInFile()


@dataclass(frozen=True, slots=True)
class _StandInBasket:
    basket_num: int
    counts: Counts | None


def _make_by_uproot(interpretation: Any, parts: list[Part]) -> ak.Array:
    branch, arrays, borders = _StandInBranch(), {}, [0]
    for number, part in enumerate(parts):
        basket = part.basket
        bounds = basket.bounds()
        counts = part.counts() if bounds is None and part.counts is not None else None
        array = interpretation.basket_array(
            basket.data,
            None if bounds is None else bounds.astype(np.int32),
            _StandInBasket(number, counts),
            branch,
            {},
            basket.key_bytes,
            _AWKWARD,
            _OPTIONS,
        )
        if len(array) != basket.entries:
            raise _wrong_length(len(array), basket.entries)
        arrays[number] = array
        borders.append(borders[-1] + basket.entries)
    return interpretation.final_array(
        arrays,
        parts[0].start,
        borders[-2] + parts[-1].stop,
        borders,
        _AWKWARD,
        branch,
        _OPTIONS,
    )


def _is_plain(interpretation: Any) -> bool:
    """Tell numbers (and fixed-size arrays of them) from records and packed numbers."""
    return type(interpretation) is AsDtype and _split(interpretation.to_dtype)[0].names is None


def _split(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    shape: tuple[int, ...] = ()
    while dtype.subdtype is not None:
        dtype, inner = dtype.subdtype
        shape += inner
    return dtype, shape


def _view(
    data: npt.NDArray[np.uint8], dtype: np.dtype[Any], shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    try:
        return data.view(dtype).reshape((-1, *shape))
    except ValueError as error:
        raise BrokenBytesError(f"{len(data):,} bytes are no whole number of items") from error


def _wrong_length(found: int, due: int) -> BrokenBytesError:
    return BrokenBytesError(f"a basket with {found:,} entries, where {due:,} were due")
