"""Count the events of files: uuid and entries from as few bytes as will do, many at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import partial
from typing import TYPE_CHECKING, Any

from beampipe.datasets.file_errors import MappedFileErrors, truncated_error
from beampipe.datasets.file_states import SMALLEST_ROOT_FILE_BYTES, FileState, read_file_state
from beampipe.datasets.metadata_cache import FileMetadata, MetadataCache
from beampipe.datasets.model import FileEntry, FileSpec, UncountedFile
from beampipe.datasets.second_tries import SecondTries
from beampipe.datasets.trees import count_entries, find_tree
from beampipe.datasets.urls import is_remote, show_url
from beampipe.error_kinds import classify_error
from beampipe.errors import DatasetError, FileMismatchError, FileUnreadableError

if TYPE_CHECKING:
    import uproot

Asked = tuple[str, FileSpec]
"""A dataset's name and one of its files."""

REMOTE_THREADS = 32
LOCAL_THREADS = 16
PROBE_FILES = 16
SLOW_FILE_S = 0.001
"""Waiting per file from which threads pay: on a local disk they only fight for the interpreter."""
FIRST_REQUEST_BYTES = 4096


def count_files(
    files: Sequence[Asked],
    *,
    cache: MetadataCache | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[FileEntry | UncountedFile]:
    """Count files, in parallel where that is quicker.

    Remote files are counted by 32 threads. Local ones are counted one after the other, as
    nearly all their time goes into Python itself, unless the first few show that the file
    system makes us wait, as a network one does; then by 16.

    Parameters
    ----------
    files : sequence of (str, FileSpec)
        The dataset's name and the file.
    cache : MetadataCache, optional
        Asked first, told afterwards.
    on_progress : callable, optional
        Called in this thread with (files done, files in all).

    Returns
    -------
    list of FileEntry or UncountedFile
        In the order of `files`.
    """
    results: list[FileEntry | UncountedFile | None] = [None] * len(files)
    try:
        for n_done, (index, result) in enumerate(_count_all(files, cache), start=1):
            results[index] = result
            if on_progress is not None:
                on_progress(n_done, len(files))
    finally:
        if cache is not None:
            cache.flush()
    return [result for result in results if result is not None]


def count_file(
    spec: FileSpec,
    dataset: str,
    *,
    cache: MetadataCache | None = None,
    tries: SecondTries | None = None,
) -> FileEntry:
    """Count one file, from the first of its replicas that can be used.

    Where storage fails in passing it is asked again after a moment, before the next replica has
    its turn.

    Parameters
    ----------
    spec : FileSpec
        The file; its `uuid`, `entries` and `steps` are held against what is found.
    dataset : str
        The dataset's name.
    cache : MetadataCache, optional
        Asked first, told afterwards.
    tries : SecondTries, optional
        Shared by the files of a fileset.

    Returns
    -------
    FileEntry
        The replica that answered comes first in its `urls`.

    Raises
    ------
    DatasetError
        The leaf that names the cause; with several replicas, the reason for each.
    """
    errors: list[DatasetError] = []
    tries = tries or SecondTries()
    for url in spec.urls:
        try:
            state, metadata = tries.ask(url, partial(_look_at, url, spec.treename, cache))
            _check_promises(spec, metadata, url=url)
        except DatasetError as error:
            errors.append(error)
            continue
        urls = (url, *(other for other in spec.urls if other != url))
        return FileEntry(
            dataset,
            urls,
            metadata.treename,
            metadata.uuid,
            metadata.entries,
            state.size_bytes,
            metadata.kind,
        )
    raise _no_replica_error(spec, errors)


def read_metadata(url: str, treename: str | None, state: FileState) -> FileMetadata:
    """Open a file and read what there is to know of its tree.

    Parameters
    ----------
    url : str
        Absolute path or URL.
    treename : str or None
        The tree that is asked for, None for the obvious one.
    state : FileState
        What :func:`~beampipe.datasets.file_states.read_file_state` gave.

    Returns
    -------
    FileMetadata
        Tree, uuid, entries, kind.

    Raises
    ------
    DatasetError
        The leaf that names the cause.
    """
    with MappedFileErrors(url), _open(url, state.size_bytes) as file:
        if state.size_bytes is not None and file.fEND > state.size_bytes:
            raise truncated_error(url, size=state.size_bytes, end=file.fEND)
        tree = find_tree(file.root_directory, treename, url=url)
        entries = count_entries(tree, url=url)
        return FileMetadata(tree.name, str(file.uuid), entries, tree.kind)


def _open(url: str, size_bytes: int | None) -> uproot.reading.ReadOnlyFile:
    # uproot takes a second to import, and a plan made from the cache never needs it
    import uproot

    options: dict[str, Any] = {"object_cache": None, "array_cache": None}
    if is_remote(url):
        from beampipe.datasets.remote_source import source_of

        options["handler"] = source_of(url)
        # header and root directory in one request
        options["begin_chunk_size"] = min(
            FIRST_REQUEST_BYTES, size_bytes or SMALLEST_ROOT_FILE_BYTES
        )
    else:
        # plain reads: fsspec costs more than the file, a memory map of a truncated file kills
        options["handler"] = uproot.source.file.MultithreadedFileSource
        options["use_threads"] = False
    return uproot.reading.ReadOnlyFile(url, **options)


def _look_at(
    url: str, treename: str | None, cache: MetadataCache | None
) -> tuple[FileState, FileMetadata]:
    state = read_file_state(url)
    return state, _look_up(url, treename, state, cache)


def _look_up(
    url: str, treename: str | None, state: FileState, cache: MetadataCache | None
) -> FileMetadata:
    known = None if cache is None else cache.get(url, treename, state)
    if known is not None:
        return known
    metadata = read_metadata(url, treename, state)
    if cache is not None:
        cache.put(url, treename, state, metadata)
    return metadata


def _check_promises(spec: FileSpec, found: FileMetadata, *, url: str) -> None:
    """Hold what the fileset says against what the file says."""
    last = max((stop for _start, stop in spec.steps or ()), default=0)
    if spec.uuid is not None and spec.uuid.lower() != found.uuid:
        why = f"the fileset says uuid {spec.uuid}, the file {found.uuid}"
    elif spec.entries is not None and spec.entries != found.entries:
        why = (
            f"the fileset says {spec.entries} entries, tree {found.treename!r} has {found.entries}"
        )
    elif last > found.entries:
        why = f"the fileset's steps reach entry {last}, tree {found.treename!r} has {found.entries}"
    else:
        return
    raise FileMismatchError(
        f"{show_url(url)} is not the file that the fileset describes.",
        why=why,
        fix="preprocess the fileset again, or take uuid, num_entries and steps out of it",
        url=show_url(url),
    )


def _no_replica_error(spec: FileSpec, errors: list[DatasetError]) -> DatasetError:
    verdicts = [classify_error(error) for error in errors]
    verdict = next((one for one in verdicts if one.kind == "transient"), verdicts[0])
    if len(errors) == 1:
        errors[0].add_facts(kind=verdict.kind, rule=verdict.rule)
        return errors[0]
    kinds = {type(error) for error in errors}
    kind = kinds.pop() if len(kinds) == 1 else FileUnreadableError
    reasons = [f"[{error.code}] {error.message} ({error.why})" for error in errors]
    return kind(
        f"None of the {len(errors)} replicas of {show_url(spec.urls[0])} can be used.",
        why="; ".join(reasons),
        fix="repair one of the replicas, or add another one",
        url=show_url(spec.urls[0]),
        replicas=tuple(show_url(url) for url in spec.urls),
        kind=verdict.kind,
        rule=verdict.rule,
    )


def _count_all(
    files: Sequence[Asked], cache: MetadataCache | None
) -> Iterator[tuple[int, FileEntry | UncountedFile]]:
    count = partial(_try_count, cache=cache, tries=SecondTries())
    remote = [i for i, (_, spec) in enumerate(files) if any(is_remote(url) for url in spec.urls)]
    local = sorted(set(range(len(files))).difference(remote))
    for n_done, index in enumerate(local):
        if n_done % PROBE_FILES == 0:
            wall, busy = time.perf_counter(), time.thread_time()
        yield index, count(files[index])
        if (n_done + 1) % PROBE_FILES == 0:
            waited = (time.perf_counter() - wall) - (time.thread_time() - busy)
            # the first batch may have imported uproot, which says nothing about the files
            if n_done >= PROBE_FILES and waited > PROBE_FILES * SLOW_FILE_S:
                yield from _count_in_threads(count, files, local[n_done + 1 :], LOCAL_THREADS)
                break
    yield from _count_in_threads(count, files, remote, REMOTE_THREADS)


def _count_in_threads(
    count: Callable[[Asked], FileEntry | UncountedFile],
    files: Sequence[Asked],
    indices: Sequence[int],
    n_threads: int,
) -> Iterator[tuple[int, FileEntry | UncountedFile]]:
    if not indices:
        return
    pool = ThreadPoolExecutor(min(n_threads, len(indices)), thread_name_prefix="beampipe-count")
    try:
        futures: dict[Future[FileEntry | UncountedFile], int] = {
            pool.submit(count, files[index]): index for index in indices
        }
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        # on Ctrl-C nobody wants to wait for what has not begun
        pool.shutdown(cancel_futures=True)


def _try_count(
    asked: Asked, *, cache: MetadataCache | None, tries: SecondTries
) -> FileEntry | UncountedFile:
    dataset, spec = asked
    try:
        return count_file(spec, dataset, cache=cache, tries=tries)
    except DatasetError as error:
        return UncountedFile(dataset, spec.urls, error, spec.treename)
