"""Opens the pages of an RNTuple's fields, and makes arrays of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import xxhash

from beampipe.reading.index.codecs import BrokenBytesError, Bytes, decompress
from beampipe.reading.index.fields import Field, PageColumn
from beampipe.reading.index.model import UNREADABLE, Baskets, ByteRange, FileIndex

CHECKSUM_BYTES = 8
Pieces = Mapping[ByteRange, memoryview]


def gather_pages(ntuple: Any) -> tuple[list[Baskets | None], bool]:
    """Say where the pages of an RNTuple lie.

    Parameters
    ----------
    ntuple : uproot RNTuple

    Returns
    -------
    list of Baskets or None
        Cluster by cluster, its physical columns; the first elements of pages, counted from the
        cluster's beginning, are their `firsts`. None where elements are missing before it, or
        some pages have a checksum and some not.
    bool
        Whether the pages have checksums.
    """
    clusters = ntuple.page_link_list
    width = max(map(len, clusters), default=0)
    has_checksums = any(
        page.has_checksum for columns in clusters for column in columns for page in column.pages
    )
    before = [0] * width
    places: list[Baskets | None] = []
    for columns in clusters:
        for number in range(width):
            column = columns[number] if number < len(columns) else None
            is_whole = column is not None and column.element_offset == before[number]
            pages = _pages_of(column, has_checksums) if is_whole else None
            before[number] = -1 if pages is None else before[number] + int(pages.firsts[-1])
            places.append(pages)
    return places, has_checksums


def _pages_of(column: Any, has_checksums: bool) -> Baskets | None:  # noqa: FBT001
    pages = column.pages
    if column.suppressed or any(page.has_checksum is not has_checksums for page in pages):
        return None
    extra = CHECKSUM_BYTES if has_checksums else 0
    seeks = [page.locator.offset for page in pages]
    sizes = [page.locator.num_bytes + extra for page in pages]
    firsts = np.cumsum([0, *(page.num_elements for page in pages)], dtype=np.int64)
    return Baskets(np.array(seeks, dtype=np.int64), np.array(sizes, dtype=np.int64), firsts)


def has_pages(index: FileIndex, field: Field) -> bool:
    """Tell whether an index knows all pages of a field."""
    clusters = len(index.boundaries) - 1
    pattern_of = index.table.pattern_of
    if clusters == 0:
        return True
    if len(pattern_of) == 0 or len(pattern_of) % clusters:
        return False
    numbers = [column.number for column in field.columns]
    grid = pattern_of.reshape(clusters, -1)
    return max(numbers, default=0) < grid.shape[1] and bool((grid[:, numbers] != UNREADABLE).all())


def plan_pages(index: FileIndex, field: Field, start: int, stop: int) -> Iterator[ByteRange]:
    """Say where the pages of a field lie, of all clusters with entries of a range."""
    for cluster in _clusters(index, start, stop):
        for column in field.columns:
            pages = _pages(index, cluster, column)
            for place, _, _ in pages.places(range(len(pages.seeks))):
                yield place


def open_columns(
    index: FileIndex, field: Field, pieces: Pieces, *, start: int, stop: int
) -> dict[str, npt.NDArray[Any]]:
    """Decompress the columns of a field.

    Parameters
    ----------
    index : FileIndex
    field : Field
    pieces : mapping
        The bytes of what `plan_pages` says.
    start, stop : int
        Entry range.

    Returns
    -------
    dict
        Elements of all clusters with entries of the range, by key.

    Raises
    ------
    BrokenBytesError
        A page's checksum does not agree, or its content has another length.
    """
    clusters = _clusters(index, start, stop)
    return {column.key: _open_column(index, column, clusters, pieces) for column in field.columns}


def make_field(
    index: FileIndex,
    field: Field,
    columns: Mapping[str, npt.NDArray[Any]],
    *,
    start: int,
    stop: int,
) -> ak.Array:
    """Make an array of a field's columns.

    Parameters
    ----------
    index : FileIndex
    field : Field
    columns : mapping
        What `open_columns` gave.
    start, stop : int
        Entry range.

    Returns
    -------
    awkward.Array
    """
    clusters = _clusters(index, start, stop)
    if not clusters:
        array = ak.Array(field.form.length_zero_array())
    else:
        first, last = index.boundaries[clusters[0]], index.boundaries[clusters[-1] + 1]
        buffers = {
            f"{key}-{role}": content
            for key, content in columns.items()
            for role in ("data", "offsets")
        }
        whole = ak.from_buffers(field.form, last - first, buffers)
        array = whole[start - first : min(stop, last) - first]
    for step in field.steps:
        array = array[step]
    return array


def _clusters(index: FileIndex, start: int, stop: int) -> range:
    if start >= min(stop, index.entries):
        return range(0)
    return range(bisect_right(index.boundaries, start) - 1, bisect_left(index.boundaries, stop))


def _pages(index: FileIndex, cluster: int, column: PageColumn) -> Baskets:
    width = len(index.table) // (len(index.boundaries) - 1)
    pages = index.table.get(cluster * width + column.number)
    if pages is None:
        raise KeyError(column.key)
    return pages


def _open_column(
    index: FileIndex, column: PageColumn, clusters: range, pieces: Pieces
) -> npt.NDArray[Any]:
    pages_of = [_pages(index, cluster, column) for cluster in clusters]
    begin = 1 if column.is_offset else 0
    total = begin + sum(int(pages.firsts[-1]) for pages in pages_of)
    elements = np.empty(total, dtype=column.dtype)
    elements[:begin] = 0
    for pages in pages_of:
        end = begin + int(pages.firsts[-1])
        for place, first, last in pages.places(range(len(pages.seeks))):
            body = pieces[place]
            if index.has_checksums:
                body = check_page(body)
            open_page(column, body, elements[begin + first : begin + last])
        if column.is_offset and begin > 1:
            elements[begin:end] += elements[begin - 1]
        begin = end
    return np.diff(elements) if column.is_cardinality else elements


def check_page(raw: memoryview) -> memoryview:
    """Give a page's bytes without its checksum, which must agree.

    Raises
    ------
    BrokenBytesError
        It does not.
    """
    body, told = raw[:-CHECKSUM_BYTES], raw[-CHECKSUM_BYTES:]
    if xxhash.xxh3_64_intdigest(body) != int.from_bytes(told, "little"):
        raise BrokenBytesError("the checksum of a page does not agree")
    return body


def open_page(column: PageColumn, body: memoryview, elements: npt.NDArray[Any]) -> None:
    """Decompress one page.

    Parameters
    ----------
    column : PageColumn
    body : memoryview
        The page's bytes, without checksum.
    elements : numpy.ndarray
        Filled with what is in it.

    Raises
    ------
    BrokenBytesError
        The content has another length.
    """
    count = len(elements)
    size = -(-count // 8) if column.is_bit else count * column.dtype.itemsize
    if len(body) > size:
        raise BrokenBytesError(f"a page of {len(body):,} bytes, where {size:,} were due")
    data = np.frombuffer(body, dtype=np.uint8) if len(body) == size else decompress(body, size)
    _unpack(column, data, elements)


def _unpack(column: PageColumn, data: Bytes, elements: npt.NDArray[Any]) -> None:
    count, width = len(elements), column.dtype.itemsize
    if column.is_bit:
        elements[:] = np.unpackbits(data, count=count, bitorder="little")
    elif column.is_split:
        elements.view(np.uint8).reshape(count, width)[:] = data.reshape(width, count).T
    else:
        elements[:] = data.view(column.dtype.newbyteorder("<"))
    if column.is_zigzag:
        unsigned = elements.view(f"u{width}")
        unsigned[:] = (unsigned >> 1) ^ -(unsigned & 1)
    elif column.is_delta:
        np.cumsum(elements, out=elements)
