"""Reading chunks on a worker: the one interface through which the engine gets events."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.model import Chunk
from beampipe.reading.ahead import LearnedColumns, ReadAhead
from beampipe.reading.boundaries import cluster_boundaries
from beampipe.reading.built import BuiltEvents
from beampipe.reading.chunk_events import ChunkEvents, Opening
from beampipe.reading.indexes import Indexes
from beampipe.reading.loading import ColumnLoader
from beampipe.reading.schemas import resolve_schema
from beampipe.reading.trees import OpenTree, TreePool

if TYPE_CHECKING:
    from beampipe.reading.branches import BranchesBuilder
    from beampipe.reading.column_cache import ColumnCache
    from beampipe.reading.events import NanoEventsBuilder
    from beampipe.reading.index.shelf import Shelf


class _Opened(NamedTuple):
    """A chunk whose file is open, and what that took."""

    opened: OpenTree
    loader: ColumnLoader
    whole: tuple[int, int]
    n_bytes: int


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
        self._ahead: ReadAhead[_Opened] = ReadAhead()
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
        key = (chunk.key, frozenset(avoid), piece)
        prepared = self._ahead.take(key)
        (opened, loader, whole, n_bytes) = prepared or self._open(chunk, frozenset(avoid), piece)
        loader.take_over(on_read)
        opening = Opening(
            whole,
            opened.url,
            time.perf_counter() - began,
            n_bytes,
            self._build_events(chunk, opened, loader, metadata),
            partial(self._learn, chunk, opened, began),
            prepared is not None,
        )
        if prepared is None:
            self._learned.fetch(opened, chunk.plan.file.dataset, loader)
        return ChunkEvents(loader, opening)

    def look_ahead(self, chunk: Chunk, *, avoid: Collection[str] = ()) -> None:
        """Read the columns of a chunk in a thread, if that is worth it.

        The next call of `read` waits for them; if it is for another chunk, they are thrown away.

        Parameters
        ----------
        chunk : Chunk
            Which is most likely to be read next.
        avoid : collection of str, optional
            As for `read`.
        """
        if self._ahead.is_worth_it and self._pool.can_go_ahead(chunk.plan.file):
            replicas, whole = frozenset(avoid), (0, 1)
            key = (chunk.key, replicas, whole)
            self._ahead.start(key, lambda: self._get_ready(chunk, replicas))

    def drop_ahead(self) -> None:
        """Let go of what was read ahead: nobody comes for it."""
        self._ahead.drop()

    def close(self) -> None:
        """Close every file."""
        self._ahead.take(None)
        self._pool.close()

    def _open(self, chunk: Chunk, avoid: frozenset[str], piece: tuple[int, int]) -> _Opened:
        opened = self._pool.get(chunk.plan.file, avoid=avoid)
        with opened.lock:
            self._indexes.make(opened)
            bytes_before = opened.requested_bytes if opened.chunks_served else 0
            opened.chunks_served += 1
            needs_borders = chunk.plan.n_chunks > 1 and chunk.plan.steps is None
            whole = chunk_range(chunk, cluster_boundaries(opened) if needs_borders else None)
            n_bytes = opened.requested_bytes - bytes_before
        start, stop = entries = _cut(whole, *piece)
        cache = self._columns
        loader = ColumnLoader(
            opened,
            start,
            stop,
            indexed=self._indexes.columns(opened, entries),
            cached=None if cache is None else cache.columns(opened, entries),
        )
        return _Opened(opened, loader, whole, n_bytes)

    def _get_ready(self, chunk: Chunk, avoid: frozenset[str]) -> _Opened:
        found = self._open(chunk, avoid, (0, 1))
        dataset = chunk.plan.file.dataset
        found.loader.get_ready(self._learned.known(found.opened, dataset))
        return found

    def _build_events(
        self, chunk: Chunk, opened: OpenTree, loader: ColumnLoader, metadata: Mapping[str, Any]
    ) -> Callable[[bool], BuiltEvents]:
        def build(is_whole: bool) -> BuiltEvents:  # noqa: FBT001
            # A copy: what a processor changes in it is no other chunk's to see.
            about = _describe(chunk, opened, loader.start, loader.stop) | deepcopy(dict(metadata))
            return self._builder.build(opened, loader, about, whole=is_whole)

        return build

    def _learn(self, chunk: Chunk, opened: OpenTree, began: float, loader: ColumnLoader) -> None:
        self._learned.learn(opened, chunk.plan.file.dataset, loader.touched)
        waited_s = loader.metrics().get("fetch_s", 0.0)
        took_s = time.perf_counter() - began
        self._ahead.learn(waited_s=waited_s, took_s=took_s, n_bytes=loader.column_bytes)


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
