"""Making a sample: a directory of files, written side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from beampipe.datasets.samples.recipe import MAX_FILES, Recipe, check_whole
from beampipe.errors import SampleError

MAX_WRITERS, WIDE = 4, 500


def make_data(  # noqa: PLR0913  what a sample is made of, each with a default
    directory: str | os.PathLike[str],
    *,
    files: int = 4,
    events: int = 10_000,
    extra_branches: int = 0,
    compression: str = "zlib",
    rntuple: bool = False,
    seed: int = 1,
    on_file: Callable[[Path, bool], None] | None = None,
) -> list[Path]:
    """Make synthetic NanoAOD-like files with known physics in them.

    The tree is called ``Events``. It holds muon pairs from eta, omega, phi, J/psi, psi', the
    three Upsilons and the Z over a falling continuum, electron pairs from the Z, W and Z
    together, top quarks, heavy flavour, jets, missing momentum, triggers and signed weights.

    The columns of file *i* depend on the seed, on *i* and on what each file is made of, not on
    how many files there are. Files that an earlier call made from the same recipe are kept as
    they are; a file of another origin is never overwritten.

    Parameters
    ----------
    directory : path-like
        Where ``events_000.root`` and so on are written; made if it is not there.
    files : int, default 4
        How many files.
    events : int, default 10_000
        Events in each file.
    extra_branches : int, default 0
        Further branches, at most 2,500, in collections, scalars and trigger flags.
    compression : {"zlib", "zstd", "lz4", "lzma", "none"}
        How baskets or pages are compressed.
    rntuple : bool, default False
        Write RNTuples instead of TTrees.
    seed : int, default 1
        Another seed gives other events.
    on_file : callable, optional
        Called for each file once it is there: with its path, and whether it was made just now.

    Returns
    -------
    list of Path
        The files, in order.

    Raises
    ------
    SampleError
        ``dataset-sample``: nonsense was asked for, another file is in the way, or the
        directory cannot be written.
    """
    check_whole("files", files, 1, MAX_FILES)
    recipe = Recipe(
        events=events,
        extra_branches=extra_branches,
        compression=compression,
        rntuple=rntuple,
        seed=seed,
    )
    paths = name_files(directory, files)
    made = find_made_files(paths, recipe)
    missing = [index for index, path in enumerate(paths) if path not in made]
    report = on_file if on_file is not None else _ignore
    for path in made:
        report(path, False)  # noqa: FBT003  a callback has no names
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        _write_files(paths, missing, recipe, report)
    except OSError as error:
        raise SampleError(
            f"The sample cannot be written to {str(directory)!r}.",
            why=f"{type(error).__name__}: {error}",
            fix="choose a directory that you may write to, with room for the files",
        ) from error
    return paths


def name_files(directory: str | os.PathLike[str], files: int) -> list[Path]:
    """Names of a sample's files."""
    return [Path(directory) / f"events_{index:03d}.root" for index in range(files)]


def find_made_files(paths: Iterable[Path], recipe: Recipe) -> list[Path]:
    """Find those files that were made from this recipe before.

    Raises
    ------
    SampleError
        ``dataset-sample``: a file has one of these names and was made otherwise.
    """
    from beampipe.datasets.samples.writing import read_signature  # uproot is slow to import

    there = [(index, path) for index, path in enumerate(paths) if os.path.lexists(path)]
    others = [path for index, path in there if read_signature(path) != recipe.sign(index)]
    if others:
        raise SampleError(
            f"{len(others)} file(s) are in the way, the first is {str(others[0])!r}.",
            why="they were not made from this recipe, and nothing is overwritten",
            fix="choose another directory, or remove them",
        )
    return [path for _, path in there]


def _write_files(
    paths: list[Path], missing: list[int], recipe: Recipe, report: Callable[[Path, bool], None]
) -> None:
    """Write in threads: NumPy and the compressors let go of the interpreter's lock."""
    if not missing:
        return
    from beampipe.datasets.samples.writing import write_file  # uproot is slow to import

    def tell(done: Future[Path]) -> None:
        if not done.cancelled() and done.exception() is None:
            report(done.result(), True)  # noqa: FBT003  a callback has no names

    # Laying out a wide tree holds the lock all the time: writers would only disturb each other.
    side_by_side = MAX_WRITERS if recipe.extra_branches < WIDE else 1
    writers = min(len(missing), os.cpu_count() or 1, side_by_side)
    with ThreadPoolExecutor(writers) as pool:
        futures = [pool.submit(write_file, paths[index], recipe, index) for index in missing]
        for future in futures:
            future.add_done_callback(tell)
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        for future in futures:
            if not future.cancelled():
                future.result()


def _ignore(path: Path, is_new: bool) -> None:  # noqa: FBT001  the same
    """Report to nobody."""
