"""The columns of one chunk that are read through the file's index."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from beampipe.datasets.urls import is_xrootd
from beampipe.reading.index.codecs import BrokenBytesError
from beampipe.reading.index.model import ByteRange, FileIndex
from beampipe.reading.index.reading import (
    GAP_BYTES,
    FetchedBytes,
    can_read,
    decode_column,
    fetch_ranges,
    plan_ranges,
)
from beampipe.reading.index.template import LayoutTemplate
from beampipe.reading.trees import OpenTree

_REMOTE_GAP_BYTES = 256 * 1024
"""A request costs more there than these bytes.

Not behind XRootD, where hundreds of ranges are one request.
"""


class IndexedColumns:
    """Reads columns of an entry range through the index of their file.

    Parameters
    ----------
    opened : OpenTree
        With its index.
    template : LayoutTemplate
        Of the index's layout.
    entries : (int, int)
        Entry range.
    on_wrong : callable, optional
        Called when the index has told of bytes that are not there.
    """

    def __init__(
        self,
        opened: OpenTree,
        index: FileIndex,
        template: LayoutTemplate,
        entries: tuple[int, int],
        *,
        on_wrong: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_wrong = on_wrong
        self._opened = opened
        self._index = index
        self._template = template
        self._stamp = opened.stamp
        self._start, self._stop = entries
        self._fetched = FetchedBytes()
        self._fetch_s = 0.0

    def has(self, name: str) -> bool:
        """Tell whether a column can be read through the index."""
        return can_read(self._index, self._template, name)

    def fetch(self, names: Collection[str], *, confirms: bool = False) -> None:
        """Fetch the bytes of columns together.

        Parameters
        ----------
        names : collection of str
            As in ``tree[name]``.
        confirms : bool, default False
            Whether to ask for a remote file's header at the same time, which speaks for all that
            was read before.

        Raises
        ------
        OSError
            The storage gave an error, or fewer bytes.
        BrokenBytesError
            The index tells of bytes behind the end of the file, which is no fault of the storage.
        """
        began = time.perf_counter()
        ranges = plan_ranges(self._index, self._template, names, start=self._start, stop=self._stop)
        end = self._opened.file.size_bytes if self._stamp is None else self._stamp.size_bytes
        if end is not None and any(place.stop > end for place in ranges):
            raise BrokenBytesError(f"a basket behind the end of the file, {end:,}")
        missing = [place for place in ranges if place not in self._fetched.pieces]
        if missing:
            self._fetch(missing, confirms=confirms and not self._opened.is_local)
        self._fetch_s += time.perf_counter() - began

    def _fetch(self, places: list[ByteRange], *, confirms: bool) -> None:
        opened, until = self._opened, self._opened.requested_bytes
        header = ByteRange(0, opened.header_bytes)
        joins = opened.is_local or is_xrootd(opened.url)
        gap_bytes = GAP_BYTES if joins else _REMOTE_GAP_BYTES
        wanted = [header, *places] if confirms else places
        self._fetched.add(fetch_ranges(opened.source, wanted, gap_bytes=gap_bytes))
        if confirms:
            opened.see_header(bytes(self._fetched.pieces.pop(header)), until=until)

    def read(self, name: str) -> Any:
        """Give a column; what was not fetched before is fetched now.

        Raises
        ------
        OSError
            The storage gave an error, or fewer bytes.
        BrokenBytesError
            The bytes are not what they should be: they, or the index, are wrong.
        """
        self.fetch((name,))
        return decode_column(
            self._index,
            self._template,
            self._fetched,
            name=name,
            start=self._start,
            stop=self._stop,
        )

    def reject(self) -> None:
        """Say that the index told of bytes that are not there."""
        self._on_wrong()

    def metrics(self) -> dict[str, float]:
        """Give the time spent on each stage so far [s]."""
        return {
            "fetch_s": self._fetch_s,
            "decompress_s": self._fetched.decompress_s,
            "interpret_s": self._fetched.interpret_s,
        }
