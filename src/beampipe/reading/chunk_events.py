"""The events of one chunk, while a processor has them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from beampipe.reading.built import BuiltEvents, LeftOutError
from beampipe.reading.columns import known_columns
from beampipe.reading.faults import find_read_error
from beampipe.reading.loading import ColumnLoader

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
        Told the loader, before it is closed.
    is_ahead : bool
        Whether it was got ready while another chunk was processed.
    """

    chunk: tuple[int, int]
    url: str
    seconds: float
    n_bytes: int
    build: Callable[[bool], BuiltEvents]
    on_close: Callable[[ColumnLoader], None]
    is_ahead: bool


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
        self._counts = {
            "chunks_full_form": 0,
            "chunks_again": 0,
            "chunks_ahead": int(opening.is_ahead),
        }

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
        if self._built is not None:
            self._loader.forget()  # a processor may have changed columns in place
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
            events were built with all columns, and the processor was called again;
            ``chunks_ahead``: 1 where the columns were read while another chunk was processed,
            so that its stages take more time than ``read_s``.
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
            self._opening.on_close(self._loader)
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
