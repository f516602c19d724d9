"""Reading chunks on a worker: the one interface through which the engine gets events."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.model import Chunk
from beampipe.reading.ahead import LearnedColumns
from beampipe.reading.boundaries import cluster_boundaries
from beampipe.reading.built import BuiltEvents, LeftOutError
from beampipe.reading.columns import known_columns
from beampipe.reading.faults import find_read_error
from beampipe.reading.indexes import Indexes
from beampipe.reading.loading import ColumnLoader
from beampipe.reading.schemas import resolve_schema
from beampipe.reading.trees import OpenTree, TreePool

if TYPE_CHECKING:
    from beampipe.reading.branches import BranchesBuilder
    from beampipe.reading.column_cache import ColumnCache
    from beampipe.reading.events import NanoEventsBuilder
    from beampipe.reading.index.shelf import Shelf

Output = TypeVar("Output")
_MOST_NARROW = 8  # tries, before nothing is left out


class Opening(NamedTuple):
    """What it took to open a chunk, how its events are built, and what happens at the end.

    Attributes
    ----------
    chunk : (int, int)
        Entry range of the whole chunk, where only a piece of it is read.
    url : str
        The replica used.
    seconds : float
    n_bytes : int
    build : callable
        Takes whether nothing is to be left out.
    on_close : callable
        Told the columns used.
    """

    chunk: tuple[int, int]
    url: str
    seconds: float
    n_bytes: int
    build: Callable[[bool], BuiltEvents]
    on_close: Callable[[tuple[str, ...]], None]


class ChunkEvents:
    """The events of one chunk, and what reading them took.

    Attributes
    ----------
    start, stop : int
        Entry range.
    chunk : (int, int)
        Entry range of the whole chunk, where this is a piece of it.
    url : str
        The replica used.
    open_s : float
        Time spent opening, 0 where the tree was open already, and preparing the events [s].

    Notes
    -----
    Columns load when they are first used, so a result that still holds unused ones must be
    materialised before `close`.
    """

    def __init__(self, loader: ColumnLoader, opening: Opening) -> None:
        self.start = loader.start
        self.stop = loader.stop
        self.chunk = opening.chunk
        self.url = opening.url
        self.open_s = opening.seconds
        self._loader = loader
        self._opening = opening
        self._built: BuiltEvents | None = None
        self._counts = {"chunks_full_form": 0, "chunks_again": 0}

    @property
    def events(self) -> Any:
        """What a processor gets, with all columns in their places."""
        return self._whole().events

    def call(self, function: Callable[[Any], Output]) -> Output:
        """Give what a function returns of the events.

        Columns that were not used before may be left out; where that could make a difference,
        the function is called again, at last with all of them in their places. What it returns
        must hold nothing that is still to be loaded.

        Parameters
        ----------
        function : callable
            Called once or more.

        Returns
        -------
        Any
            What it returned of the last call.
        """
        for _ in range(_MOST_NARROW):
            built = self._built = self._build(whole=False)
            if not built.is_narrow:
                break
            with suppress(LeftOutError):
                try:
                    output = function(built.events)
                except Exception as error:
                    # Of another form it might not have raised that; of this machine and these
                    # bytes it would.
                    if isinstance(error, MemoryError) or find_read_error(error):
                        raise
                    break
                if not built.was_asked_for_more:  # a processor can catch anything
                    built.learn()
                    return output
            built.learn()
            self._counts["chunks_again"] += 1
        built = self._whole()
        output = function(built.events)
        built.learn()
        return output

    def _whole(self) -> BuiltEvents:
        if self._built is None or self._built.is_narrow:
            self._built = self._build(whole=True)
        return self._built

    def _build(self, *, whole: bool) -> BuiltEvents:
        began = time.perf_counter()
        built = self._opening.build(whole)
        self.open_s += time.perf_counter() - began
        self._counts["chunks_full_form"] += not built.is_narrow
        return built

    def columns(self) -> tuple[str, ...]:
        """Give the columns touched so far, sorted."""
        return self._loader.touched

    def known_columns(self) -> tuple[str, ...]:
        """Give the names a processor may ask for: ``"Muon"``, ``"Muon.pt"``, ..."""
        return () if self._built is None else known_columns(self._built.form)

    def read_s(self) -> float:
        """Give the time spent loading columns so far [s]."""
        return self._loader.read_s

    def metrics(self) -> dict[str, float]:
        """Give what reading took so far.

        Returns
        -------
        dict of str to float
            ``open_s`` and ``read_s`` [s], of the latter where known ``fetch_s``,
            ``decompress_s`` and ``interpret_s`` [s]; ``bytes_read`` asked of the storage;
            ``columns_cached``, ``columns_indexed`` and ``columns_uproot``: found in the cache
            (``bytes_cached`` of them), read through the index or by uproot itself; ``keep_s``
            spent on keeping columns [s]; ``chunks_full_form`` and ``chunks_again``: how often the
            events were built with all columns, and the processor was called again.
        """
        return {
            "open_s": self.open_s,
            "read_s": self.read_s(),
            "bytes_read": self._opening.n_bytes + self._loader.bytes_read,
            **self._loader.metrics(),
            **self._counts,
        }

    def check_unchanged(self) -> None:
        """Make sure that the chunk was read from the file that was planned, before it counts.

        Another remote file may have taken the name meanwhile. That takes one small request per
        chunk; a local file is held open and needs none.

        Raises
        ------
        FileChangedError
            ``reading-file-changed``
        DatasetError
            The file's header cannot be read any more.
        """
        if self.stop == self.chunk[1]:  # of several pieces the last one speaks for all
            self._loader.confirm()

    def close(self) -> None:
        """Let go of events, columns and tree."""
        self._built = None
        if self._loader.opened is not None:
            self._opening.on_close(self._loader.touched)
            self._loader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Reader:
    """Reads the chunks of a worker; one per worker thread.

    Parameters
    ----------
    schema : str, type or None
        As for `resolve_schema`.
    max_open : int, default 4
        Trees kept open.
    uproot_options : mapping, optional
        Passed to ``uproot.open``.
    shelf : Shelf, optional
        Indexes of files that are known, where new ones are put; one of its own by default.
    columns : ColumnCache, optional
        Columns that were read before, where new ones are put; none by default.
    """

    def __init__(
        self,
        schema: str | type | None,
        *,
        max_open: int = 4,
        uproot_options: Mapping[str, Any] | None = None,
        shelf: Shelf | None = None,
        columns: ColumnCache | None = None,
    ) -> None:
        self._columns = columns
        self._indexes = Indexes(shelf)
        self._pool = TreePool(
            max_open=max_open, uproot_options=uproot_options, find_index=self._indexes.find
        )
        self._learned = LearnedColumns()
        self._builder = _builder_for(resolve_schema(schema))

    def read(
        self,
        chunk: Chunk,
        metadata: Mapping[str, Any],
        *,
        avoid: Collection[str] = (),
        piece: tuple[int, int] = (0, 1),
        on_read: Callable[[str], None] | None = None,
    ) -> ChunkEvents:
        """Give the events of a chunk; their columns load when they are used.

        Parameters
        ----------
        chunk : Chunk
            What to read.
        metadata : mapping
            The dataset's own metadata, which ``events.metadata`` holds besides coffea's.
        avoid : collection of str, optional
            Replicas that gave trouble; they are tried last.
        piece : (int, int), default (0, 1)
            Part j of m of the chunk's entries instead of all of them.
        on_read : callable, optional
            Told the name of every column before it is read.

        Returns
        -------
        ChunkEvents
            To be closed when the processor is done with it.

        Raises
        ------
        DatasetError
            The file cannot be opened; the first replica's error.
        FileChangedError
            ``reading-file-changed``: the file is not the one that was planned.
        ChunkUnreadableError
            ``reading-chunk-unreadable``: the tree's own description cannot be read.
        """
        began = time.perf_counter()
        opened = self._pool.get(chunk.plan.file, avoid=frozenset(avoid))
        self._indexes.make(opened)
        bytes_before = opened.requested_bytes if opened.chunks_served else 0
        opened.chunks_served += 1
        needs_borders = chunk.plan.n_chunks > 1 and chunk.plan.steps is None
        whole = chunk_range(chunk, cluster_boundaries(opened) if needs_borders else None)
        start, stop = _cut(whole, *piece)
        cache = self._columns
        dataset = chunk.plan.file.dataset
        loader = ColumnLoader(
            opened,
            start,
            stop,
            on_read=on_read,
            indexed=self._indexes.columns(opened, (start, stop)),
            cached=None if cache is None else cache.columns(opened, (start, stop)),
        )
        about = _describe(chunk, opened, start, stop) | dict(metadata)
        self._learned.fetch(opened, dataset, loader)
        opening = Opening(
            whole,
            opened.url,
            time.perf_counter() - began,
            opened.requested_bytes - bytes_before,
            lambda is_whole: self._builder.build(opened, loader, about, whole=is_whole),
            partial(self._learned.learn, opened, dataset),
        )
        return ChunkEvents(loader, opening)

    def close(self) -> None:
        """Close every file."""
        self._pool.close()


def _builder_for(schema: type | None) -> BranchesBuilder | NanoEventsBuilder:
    # coffea and awkward take a second to import: only where files are read.
    if schema is None:
        from beampipe.reading.branches import BranchesBuilder

        return BranchesBuilder()
    from beampipe.reading.events import NanoEventsBuilder

    return NanoEventsBuilder(schema)


def _cut(entries: tuple[int, int], j: int, m: int) -> tuple[int, int]:
    start, stop = entries
    return start + (stop - start) * j // m, start + (stop - start) * (j + 1) // m


def _describe(chunk: Chunk, opened: OpenTree, start: int, stop: int) -> dict[str, Any]:
    """Give what coffea's Runner tells a processor about its chunk, in its order."""
    return {
        "dataset": chunk.plan.file.dataset,
        "filename": opened.url,
        "treename": chunk.plan.file.treename,
        "entrystart": start,
        "entrystop": stop,
        "fileuuid": opened.uuid,
    }
