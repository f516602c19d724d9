"""One chunk's columns: each read once, when asked for, with the time and the bytes it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from beampipe.datasets.urls import show_url
from beampipe.errors import ChunkClosedError, ChunkUnreadableError, FileChangedError
from beampipe.reading.faults import MappedReadErrors
from beampipe.reading.trees import OpenTree, is_rntuple

if TYPE_CHECKING:
    from beampipe.reading.column_cache import CachedColumns
    from beampipe.reading.indexed import IndexedColumns


class ColumnLoader:
    """Loads the columns of one entry range of one open tree.

    A column is kept until `close`, because a schema asks for the same counts and indices many
    times.

    Parameters
    ----------
    opened : OpenTree
        The tree.
    start, stop : int
        Entry range.
    on_read : callable, optional
        Told the name of every column before it is read.
    indexed : IndexedColumns, optional
        Reads columns through the file's index; all others are uproot's to read.
    cached : CachedColumns, optional
        Columns that were read before, and where those read now are kept.

    Attributes
    ----------
    bytes_read : int
        Bytes asked of the storage for columns so far.
    read_s : float
        Time spent fetching, decompressing and interpreting so far [s].
    """

    def __init__(
        self,
        opened: OpenTree,
        start: int,
        stop: int,
        *,
        on_read: Callable[[str], None] | None = None,
        indexed: IndexedColumns | None = None,
        cached: CachedColumns | None = None,
    ) -> None:
        self.opened: OpenTree | None = opened
        self.start = start
        self.stop = stop
        self.bytes_read = 0
        self.read_s = 0.0
        self._columns: dict[str, Any] = {}
        self._ready: dict[str, Any] = {}
        self._read_until = opened.requested_bytes
        self._touched: set[str] = set()
        self._on_read = on_read
        self._indexed = indexed
        self._cached = cached
        self._counts = {"columns_cached": 0, "columns_indexed": 0, "columns_uproot": 0}

    @property
    def entries(self) -> tuple[int, int]:
        """Entry range."""
        return (self.start, self.stop)

    @property
    def touched(self) -> tuple[str, ...]:
        """Columns asked for so far, sorted."""
        return tuple(sorted(self._touched))

    def load(self, name: str, *, finish: Callable[[Any], Any] | None = None) -> Any:
        """Give a column, read now or before.

        Parameters
        ----------
        name : str
            Name of the branch or field.
        finish : callable, optional
            Makes what is kept of the array that uproot gives.

        Returns
        -------
        Any
            What `finish` gave, or uproot's array.

        Raises
        ------
        ChunkUnreadableError
            ``reading-chunk-unreadable``: its bytes cannot be fetched or decompressed.
        FileChangedError
            ``reading-file-changed``: the file was rewritten while it was read.
        ReadingError
            ``reading``: the chunk is closed.
        """
        self._touched.add(name)
        if name in self._columns:
            return self._columns[name]
        opened = self._open_tree(name)
        if self._on_read is not None:
            self._on_read(name)
        with self._accounted(opened), MappedReadErrors(opened, entries=self.entries, column=name):
            array = self._ready.pop(name, None)
            if array is None:
                array = self._read(opened, name)
            if len(array) != self.stop - self.start:  # a branch may end before its tree
                raise ValueError(f"it has {len(array)} of {self.stop - self.start} entries")
            column = array if finish is None else finish(array)
        if opened.was_rewritten():
            opened.is_suspect = True
            raise FileChangedError(
                f"{show_url(opened.url)} was rewritten while it was read.",
                why="its size or modification time is not what it was when it was opened",
                fix="let the file be finished, then plan and run again",
                url=show_url(opened.url),
            )
        self._columns[name] = column
        return column

    def fetch(self, names: Collection[str], *, confirms: bool = False) -> None:
        """Fetch the bytes of columns together, in the hope that they are wanted.

        They count as touched only when they are asked for. A failure is left to be met again by
        whoever asks for the column, if anybody does.

        Parameters
        ----------
        names : collection of str
            Which columns; those that lie in the cache are passed over.
        confirms : bool, default False
            As for `IndexedColumns.fetch`.
        """
        if self.opened is None or self._indexed is None or self.start == self.stop:
            return
        with (
            suppress(ChunkUnreadableError),
            self._accounted(self.opened),
            MappedReadErrors(self.opened, entries=self.entries),
        ):
            if self._cached is not None:
                names = [name for name in names if not self._cached.has(name)]
            self._indexed.fetch(names, confirms=confirms)

    def get_ready(self, names: Collection[str]) -> None:
        """Read columns in the hope that they are wanted; for who does that ahead of time.

        Raises
        ------
        ChunkUnreadableError
            ``reading-chunk-unreadable``
        """
        if self.opened is None or self.start == self.stop:
            return
        self.fetch(names, confirms=True)
        for name in names:
            if (self._indexed is not None and self._indexed.has(name)) or (
                self._cached is not None and self._cached.has(name)
            ):
                with (
                    self._accounted(self.opened),
                    MappedReadErrors(self.opened, entries=self.entries, column=name),
                ):
                    self._ready[name] = self._read(self.opened, name)

    def take_over(self, on_read: Callable[[str], None] | None) -> None:
        """Go on with what another thread has got ready: its time is not the chunk's."""
        self._on_read = on_read
        self.read_s = 0.0

    @property
    def column_bytes(self) -> int:
        """Memory that the columns take which were loaded so far."""
        return sum(int(getattr(column, "nbytes", 0)) for column in self._columns.values())

    def metrics(self) -> dict[str, float]:
        """Give the time spent on each stage so far [s], and how many columns were read how."""
        stages: dict[str, float] = {} if self._indexed is None else self._indexed.metrics()
        if self._cached is not None:
            stages |= {"bytes_cached": self._cached.bytes_cached, "keep_s": self._cached.keep_s}
        return stages | self._counts

    def confirm(self) -> None:
        """Make sure that what was read is of the file that was planned; see `OpenTree.confirm`.

        Only then it is kept for later runs.
        """
        if self.opened is None:
            return
        with self._accounted(self.opened):
            self.opened.confirm(self._read_until)
        if self._cached is not None and not self.opened.was_rewritten():
            self._cached.keep()

    def forget(self) -> None:
        """Have columns read again when they are asked for: somebody may have changed them."""
        self._columns.clear()

    def has(self, name: str) -> bool:
        """Tell whether the tree has such a column."""
        opened = self._open_tree(name)
        return (self._indexed is not None and self._indexed.has(name)) or name in opened.tree

    def close(self) -> None:
        """Let go of the columns and of the tree."""
        self._columns.clear()
        self._ready.clear()
        self._indexed = self._cached = self.opened = None

    def _read(self, opened: OpenTree, name: str) -> Any:
        if self._cached is None or self.start == self.stop:
            return self._read_file(opened, name)
        array = self._cached.get(name)
        if array is None:
            array = self._read_file(opened, name)
            self._cached.note(name, array)
        else:
            self._counts["columns_cached"] += 1
        return array

    def _read_file(self, opened: OpenTree, name: str) -> Any:
        if self._indexed is not None and self._indexed.has(name):
            from beampipe.reading.index.codecs import BrokenBytesError

            try:
                array = self._indexed.read(name)
            except BrokenBytesError:
                # The file is broken, and uproot says how; or the index is, and uproot reads it.
                self._indexed.reject()
            else:
                self._counts["columns_indexed"] += 1
                return array
        self._counts["columns_uproot"] += 1
        branch = opened.find(name)
        if self.start == self.stop:
            return empty_column(branch)
        return branch.array(entry_start=self.start, entry_stop=self.stop)

    @contextmanager
    def _accounted(self, opened: OpenTree) -> Iterator[None]:
        began = time.perf_counter()
        with opened.lock:
            bytes_before = opened.requested_bytes
            try:
                yield
            finally:
                self.read_s += time.perf_counter() - began
                n_bytes = opened.requested_bytes - bytes_before
                if n_bytes:  # else another thread may have asked for more, which is not ours
                    self._read_until = opened.requested_bytes
                    self.bytes_read += n_bytes

    def _open_tree(self, name: str) -> OpenTree:
        if self.opened is None:
            raise ChunkClosedError(
                f"Column {name!r} was asked for after its chunk was closed.",
                why="columns load when they are first used, and this one never was",
                fix="use ak.materialize(...) on what the processor returns",
            )
        return self.opened


def empty_column(branch: Any) -> Any:
    """Give a column without entries, of the type that reading would give, without reading.

    uproot reads a basket even for an empty range.

    Parameters
    ----------
    branch : uproot TBranch or RField

    Returns
    -------
    awkward.Array
    """
    import awkward as ak  # loaded already where there are branches

    return ak.Array(column_form(branch).length_zero_array())


def column_form(branch: Any) -> Any:
    """Give the form of the array that reading a column gives, without reading.

    Parameters
    ----------
    branch : uproot TBranch or RField

    Returns
    -------
    awkward.forms.Form
    """
    if is_rntuple(branch):
        return branch.to_akform()[0].contents[0]
    try:
        form = branch.interpretation.awkward_form(branch.file)
    except AssertionError:  # of arrays in a structure uproot makes arrays, but no form
        form = branch.array(entry_stop=0).layout.form
    return _without_internals(form)


def _without_internals(form: Any) -> Any:
    """Leave out of a form what a class keeps for itself (``@...``), as uproot does of arrays."""
    if form.is_record and not form.is_tuple:
        names = [name for name in form.fields if not name.startswith("@")]
        contents = [_without_internals(form.content(name)) for name in names]
        return form.copy(contents=contents, fields=names)
    if form.is_list or form.is_option or form.is_indexed:
        return form.copy(content=_without_internals(form.content))
    return form
