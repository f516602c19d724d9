"""Reads columns through an index: which bytes, fetched together, made into arrays."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from beampipe.reading.index.baskets import open_basket
from beampipe.reading.index.fields import Field
from beampipe.reading.index.interpreting import Counts, Part, make_column, make_flat
from beampipe.reading.index.model import Baskets, ByteRange, FileIndex
from beampipe.reading.index.pages import has_pages, make_field, open_columns, plan_pages
from beampipe.reading.index.template import Column, LayoutTemplate

GAP_BYTES = 32 * 1024
"""Bytes between two ranges that are rather fetched for nothing than asked around.

Of a local file: about what copying costs as much as another call.
"""
MOST_BYTES = 16 * 1024 * 1024
"""Ranges are not joined beyond this, so that several can be under way and memory stays small."""


@dataclass(slots=True, eq=False)
class FetchedBytes:
    """What was fetched of a file for one chunk, and what it took to make columns of it.

    Attributes
    ----------
    pieces : dict
        Bytes by the place that was asked for.
    requested_bytes : int
        Bytes asked of the storage, those between places included.
    decompress_s, interpret_s : float
        Spent by `decode_column` [s].
    counts : dict
        Lengths of lists that several columns share, by counting column and entries.
    """

    pieces: dict[ByteRange, memoryview] = field(default_factory=dict)
    requested_bytes: int = 0
    decompress_s: float = 0.0
    interpret_s: float = 0.0
    counts: dict[tuple[int, int, int], Counts] = field(default_factory=dict)

    def add(self, other: FetchedBytes) -> None:
        """Take over what was fetched later."""
        self.pieces |= other.pieces
        self.requested_bytes += other.requested_bytes


def can_read(index: FileIndex, template: LayoutTemplate, name: str) -> bool:
    """Tell whether a column can be read through the index, or is uproot's to read.

    Parameters
    ----------
    index : FileIndex
    template : LayoutTemplate
        Of the index's layout.
    name : str
        As in ``tree[name]``.

    Returns
    -------
    bool
    """
    return (
        _find(index, template, name) is not None or _find_field(index, template, name) is not None
    )


def plan_ranges(
    index: FileIndex, template: LayoutTemplate, names: Iterable[str], *, start: int, stop: int
) -> list[ByteRange]:
    """Say which bytes hold some columns of an entry range.

    Parameters
    ----------
    index : FileIndex
    template : LayoutTemplate
        Of the index's layout.
    names : iterable of str
        As in ``tree[name]``. Those that the index cannot read are passed over.
    start, stop : int
        Entry range.

    Returns
    -------
    list of ByteRange
        In the file's order, each once; with those of the columns that count the lists.
    """
    places: set[ByteRange] = set()
    for name in names:
        field, found = _find_field(index, template, name), _find(index, template, name)
        if field is not None:
            places.update(plan_pages(index, field, start, stop))
        if found is None:
            continue
        column, baskets = found
        covering = baskets.covering(start, stop)
        places.update(place for place, _, _ in baskets.places(covering))
        counter = None if column.counter is None else index.table.get(column.counter.position)
        if counter is not None and covering:
            entries = int(baskets.firsts[covering.start]), int(baskets.firsts[covering.stop])
            covering = counter.covering(*entries)
            places.update(place for place, _, _ in counter.places(covering))
    return sorted(places)


def fetch_ranges(
    source: Any, ranges: Iterable[ByteRange], *, gap_bytes: int = GAP_BYTES
) -> FetchedBytes:
    """Fetch byte ranges together.

    Parameters
    ----------
    source : uproot.source.chunk.Source
        Of the open file: ``opened.tree.file.source``.
    ranges : iterable of ByteRange
        In any order.
    gap_bytes : int, optional
        Ranges no further apart are fetched as one.

    Returns
    -------
    FetchedBytes

    Raises
    ------
    OSError
        The storage gave fewer bytes, or an error.
    """
    groups = list(coalesce(sorted(ranges), gap_bytes=gap_bytes))
    fetched = FetchedBytes()
    if not groups:
        return fetched
    spans = [(group[0].seek, max(place.stop for place in group)) for group in groups]
    chunks = source.chunks(spans, notifications=queue.Queue())
    for group, (begin, stop), chunk in zip(groups, spans, chunks, strict=True):
        raw = memoryview(chunk.raw_data)
        fetched.requested_bytes += stop - begin
        for place in group:
            fetched.pieces[place] = raw[place.seek - begin : place.stop - begin]
    return fetched


def coalesce(ranges: Iterable[ByteRange], *, gap_bytes: int) -> Iterator[list[ByteRange]]:
    """Group ranges that are fetched as one.

    Parameters
    ----------
    ranges : iterable of ByteRange
        Sorted.
    gap_bytes : int
        Ranges no further apart belong together, up to `MOST_BYTES`.

    Yields
    ------
    list of ByteRange
    """
    group: list[ByteRange] = []
    begin = stop = 0
    for place in ranges:
        if group and place.seek <= stop + gap_bytes and place.stop <= begin + MOST_BYTES:
            group.append(place)
            stop = max(stop, place.stop)
            continue
        if group:
            yield group
        group, begin, stop = [place], place.seek, place.stop
    if group:
        yield group


def decode_column(
    index: FileIndex,
    template: LayoutTemplate,
    fetched: FetchedBytes,
    *,
    name: str,
    start: int,
    stop: int,
) -> ak.Array:
    """Make an array of a column's fetched bytes.

    Parameters
    ----------
    index : FileIndex
    template : LayoutTemplate
        Of the index's layout.
    fetched : FetchedBytes
        With what `plan_ranges` says of the column.
    name : str
        As in ``tree[name]``; one that `can_read`.
    start, stop : int
        Entry range.

    Returns
    -------
    awkward.Array
        Equal to ``tree[name].array(entry_start=start, entry_stop=stop)``, in values and type.

    Raises
    ------
    BrokenBytesError
        The bytes are not what they should be.
    KeyError
        The index cannot read the column, or its bytes were not fetched.
    """
    decoder, field = _Decoder(index, fetched), _find_field(index, template, name)
    if field is not None:
        return decoder.decode_field(field, start, stop)
    found = _find(index, template, name)
    if found is None:
        raise KeyError(name)
    column, baskets = found
    stop = min(stop, int(baskets.firsts[-1]))
    parts = decoder.open_parts(column, baskets, start, stop)
    with decoder.interpreting():
        return make_column(column.interpretation, parts)


class _Decoder:
    """Opens the baskets of a column and, where they are asked for, of the one that counts."""

    def __init__(self, index: FileIndex, fetched: FetchedBytes) -> None:
        self._index = index
        self._fetched = fetched
        self._inner_s = 0.0

    def decode_field(self, field: Field, start: int, stop: int) -> ak.Array:
        """Make an array of a field of an RNTuple."""
        began, pieces = time.perf_counter(), self._fetched.pieces
        columns = open_columns(self._index, field, pieces, start=start, stop=stop)
        self._fetched.decompress_s += time.perf_counter() - began
        with self.interpreting():
            return make_field(self._index, field, columns, start=start, stop=stop)

    def open_parts(self, column: Column, baskets: Baskets, start: int, stop: int) -> list[Part]:
        """Open the baskets that hold entries of a range."""
        began, pieces, counter = time.perf_counter(), self._fetched.pieces, column.counter
        parts = []
        for place, first, last in baskets.places(baskets.covering(start, stop)):
            if first == last:
                continue
            basket = open_basket(pieces[place], place, last - first)
            counts = None if counter is None else partial(self._counts, counter, first, last)
            parts.append(Part(basket, max(start - first, 0), min(stop, last) - first, counts))
        spent = time.perf_counter() - began
        self._fetched.decompress_s += spent
        self._inner_s += spent
        return parts

    @contextmanager
    def interpreting(self) -> Iterator[None]:
        """Account what is not spent on decompressing counts meanwhile."""
        began, self._inner_s = time.perf_counter(), 0.0
        try:
            yield
        finally:
            self._fetched.interpret_s += time.perf_counter() - began - self._inner_s

    def _counts(self, counter: Column, first: int, last: int) -> Counts:
        key, kept = (counter.position, first, last), self._fetched.counts
        if key not in kept:
            kept[key] = self._count(counter, first, last)
        return kept[key]

    def _count(self, counter: Column, first: int, last: int) -> Counts:
        baskets = self._index.table.get(counter.position)
        if baskets is None:
            raise KeyError(counter.name)
        parts = self.open_parts(counter, baskets, first, last)
        return make_flat(counter.interpretation, parts).astype(np.int64)


def _find(index: FileIndex, template: LayoutTemplate, name: str) -> tuple[Column, Baskets] | None:
    column = template.find(name)
    if not isinstance(column, Column) or index.layout != template.layout:
        return None
    baskets = index.table.get(column.position)
    return None if baskets is None else (column, baskets)


def _find_field(index: FileIndex, template: LayoutTemplate, name: str) -> Field | None:
    field = template.find(name)
    if not isinstance(field, Field) or index.layout != template.layout:
        return None
    return field if has_pages(index, field) else None
