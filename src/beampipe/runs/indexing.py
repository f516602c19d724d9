"""Indexes made ahead of time, and what making them costs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import TYPE_CHECKING

from beampipe.datasets.urls import show_url
from beampipe.errors import ArgumentError, BeampipeError, WorkerDiedError
from beampipe.execution.index_desk import IndexDesk
from beampipe.execution.interrupts import terminable
from beampipe.reading.index.shelf import Made, Place
from beampipe.reading.index.store import FOLDER, IndexStore
from beampipe.runs.fork_server import warm_fork_server
from beampipe.worker_environment import ENVIRONMENT

if TYPE_CHECKING:
    from beampipe.datasets.model import FileEntry, Plan
    from beampipe.settings import Settings

_FEWEST_FOR_PROCESSES = 8
_SAMPLES = 32


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """What came of one file.

    Attributes
    ----------
    size_bytes : int
        Of its index, encoded [bytes].
    read_bytes : int
        Asked of the storage for it [bytes].
    seconds : float
        Opening the file and making the index [s].
    is_kept : bool
        Whether the store took it.
    error : BeampipeError or None
        Why there is none.
    """

    entry: FileEntry
    size_bytes: int = 0
    read_bytes: int = 0
    seconds: float = 0.0
    is_kept: bool = False
    error: BeampipeError | None = None


@dataclass(frozen=True, slots=True)
class IndexCost:
    """What indexing a fileset would take.

    Attributes
    ----------
    files : int
        All of them; one that is in two datasets counts once.
    indexed : int
        Files that have an index.
    samples : int
        Files whose indexes the estimates come from; 0: nothing is known, so nothing is estimated.
    seconds, read_bytes, size_bytes : float or None
        For those that have none, all together: time, one after the other [s], what is read of
        them [bytes], what the indexes will take [bytes].
    """

    files: int
    indexed: int
    samples: int = 0
    seconds: float | None = None
    read_bytes: float | None = None
    size_bytes: float | None = None

    @property
    def missing(self) -> int:
        """Files that have no index."""
        return self.files - self.indexed


def find_store(settings: Settings) -> IndexStore:
    """Give the store that the settings name."""
    directory = Path(settings.cache_dir).expanduser() / "metadata" / FOLDER
    return IndexStore(directory, max_bytes=settings.index_cache)


def make_desk(settings: Settings) -> IndexDesk | None:
    """Give what keeps the indexes of a run's files; None where none are to be kept."""
    return IndexDesk(find_store(settings)) if settings.index_cache else None


def list_files(plan: Plan) -> dict[Place, FileEntry]:
    """Give the files of a plan by what an index is of; one in two datasets stands once."""
    files = (cut.file for dataset in plan.datasets for cut in dataset.files)
    return {Place(file.uuid, file.treename): file for file in files}


def estimate_cost(plan: Plan, store: IndexStore) -> IndexCost:
    """Say what indexing a plan's files would take, from what it took where it was done.

    Parameters
    ----------
    plan : Plan
        The fileset, counted.
    store : IndexStore
        Where indexes are kept.
    """
    files = list_files(plan)
    known = store.find_known(files)
    cost = IndexCost(len(files), len(known))
    # Of those that a run made in passing it is not known what opening the file took.
    some = (store.get(place) for place in sorted(known)[:_SAMPLES])
    samples = [made for made in some if made is not None and made.n_bytes > 0]
    if not samples or not cost.missing:
        return cost
    return IndexCost(
        cost.files,
        cost.indexed,
        len(samples),
        seconds=cost.missing * statistics.median(made.seconds for made in samples),
        read_bytes=cost.missing * statistics.median(made.n_bytes for made in samples),
        size_bytes=cost.missing * statistics.median(len(made.data) for made in samples),
    )


def make_indexes(
    files: Sequence[FileEntry],
    store: IndexStore,
    *,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[IndexedFile]:
    """Make the indexes of files and keep them, in parallel.

    Parameters
    ----------
    files : sequence of FileEntry
        Those that have none.
    store : IndexStore
        Where they are kept.
    workers : int, optional
        Processes; by default one per core, 0 is this process.
    on_progress : callable, optional
        Called in this thread with (files done, files in all).

    Returns
    -------
    list of IndexedFile
        In the order of `files`; what cannot be indexed has its error.

    Raises
    ------
    ArgumentError
        ``run-argument``: indexes are not kept.
    KeyboardInterrupt
        Ctrl-C or SIGTERM; what was made is kept.
    """
    if store.max_bytes == 0:
        raise ArgumentError(
            "Indexes cannot be made ahead of time, as none are kept.",
            why="the setting `index_cache` is off",
            fix='set `index_cache` to a size, like "2 GB"',
        )
    n_workers = (os.cpu_count() or 1) if workers is None else workers
    done: list[IndexedFile | None] = [None] * len(files)
    with terminable(), closing(_index_all(files, store, n_workers)) as results:
        for count, (number, indexed) in enumerate(results, start=1):
            done[number] = indexed
            if on_progress is not None:
                on_progress(count, len(files))
    return [one for one in done if one is not None]


def index_file(entry: FileEntry, store: IndexStore) -> IndexedFile:
    """Make the index of one file and keep it (what a process does).

    Parameters
    ----------
    entry : FileEntry
        The file as it was counted.
    store : IndexStore
        Where to keep it.
    """
    from beampipe.reading.faults import MappedReadErrors
    from beampipe.reading.index.encoding import encode_index
    from beampipe.reading.index.making import make_index
    from beampipe.reading.trees import TreePool

    began = time.perf_counter()
    pool = TreePool(max_open=1)
    try:
        opened = pool.get(entry)
        with MappedReadErrors(opened, entries=(0, entry.entries)):
            index = make_index(opened, treename=entry.treename)
        read_bytes = opened.requested_bytes
    except BeampipeError as error:
        return IndexedFile(entry, error=error)
    finally:
        pool.close()
    seconds = time.perf_counter() - began
    made = Made(encode_index(index), seconds, read_bytes)
    is_kept = store.put(Place(index.uuid, index.treename), made)
    return IndexedFile(entry, len(made.data), read_bytes, seconds, is_kept)


def _index_all(
    files: Sequence[FileEntry], store: IndexStore, n_workers: int
) -> Generator[tuple[int, IndexedFile]]:
    numbers = range(len(files))
    if n_workers < 2 or len(files) < _FEWEST_FOR_PROCESSES:
        for number in numbers:
            yield number, index_file(files[number], store)
        return
    suspects: list[int] = []
    with ExitStack() as stack:
        stack.enter_context(warm_fork_server(ENVIRONMENT))
        yield from _index_in(n_workers, files, numbers, store=store, suspects=suspects)
        # A process died, and with it what the others were at: each of these by itself.
        for number in suspects:
            again: list[int] = []
            yield from _index_in(1, files, [number], store=store, suspects=again)
            if again:
                yield number, IndexedFile(files[number], error=_died(files[number]))


def _index_in(
    n_workers: int,
    files: Sequence[FileEntry],
    numbers: Sequence[int],
    *,
    store: IndexStore,
    suspects: list[int],
) -> Iterator[tuple[int, IndexedFile]]:
    with _processes(min(n_workers, len(numbers))) as pool:
        futures = {pool.submit(index_file, files[number], store): number for number in numbers}
        for future in as_completed(futures):
            try:
                indexed = future.result()
            except BrokenProcessPool:
                suspects.append(futures[future])
            else:
                yield futures[future], indexed


@contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Have some processes, which are gone at the end, also where that is Ctrl-C."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin_process)
    try:
        yield pool
    except BaseException:
        # Nobody wants to wait for a file server, for files that are not wanted any more.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown()


def _begin_process() -> None:
    """Leave Ctrl-C to the parent, and end when it is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)


def _died(entry: FileEntry) -> WorkerDiedError:
    return WorkerDiedError(
        f"The process that indexed {show_url(entry.urls[0])} died.",
        why="it did so twice, the second time with nothing else running",
        fix="look for the reason in the system's log: memory, most of all",
    )
