"""Removing old runs, and nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from beampipe.errors import ArgumentError, BeampipeError, RunStorageError
from beampipe.execution.lease import is_held
from beampipe.execution.ledger import Ledger
from beampipe.execution.run_directory import RunDirectory, open_run_directory
from beampipe.execution.runs_index import list_runs
from beampipe.execution.storage import storage_errors

_LEFTOVER = ".pruned-"
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True, slots=True)
class OldRun:
    """A run that may go.

    Attributes
    ----------
    age_s : float
        Since anything was last written into its ledger [s].
    size_bytes : int
        What it takes on the disk [bytes].
    """

    path: Path
    age_s: float
    size_bytes: int


def parse_age(text: str) -> float:
    """Turn ``"7d"`` into seconds.

    Examples
    --------
    >>> parse_age("7d")
    604800.0

    Raises
    ------
    ArgumentError
        ``run-argument``
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([smhdw])\s*", text)
    if match is None:
        raise ArgumentError(
            f"{text!r} is no age.", why="it is a number and a unit", fix="write it like 12h or 7d"
        )
    return float(match[1]) * _UNITS_S[match[2]]


def choose_runs(
    root: Path, *, keep: int | None = None, older_than_s: float | None = None
) -> list[OldRun]:
    """List the runs that may go, the oldest first.

    Parameters
    ----------
    root : Path
        The folder of runs.
    keep : int, optional
        The newest so many stay, whatever their age.
    older_than_s : float, optional
        Only runs that nothing was written to for so long [s].

    Raises
    ------
    ArgumentError
        ``run-argument``: neither was given, which would be all runs.
    """
    if keep is None and older_than_s is None:
        raise ArgumentError(
            "Which runs are to go?",
            why="without a limit it would be all of them",
            fix="say --keep N (the newest N stay), --older-than 7d, or both",
        )
    runs = [path for path in list_runs(root) if _is_removable(path)]
    candidates = runs[: max(0, len(runs) - (keep or 0))]
    now = time.time()
    ages = [(path, now - _last_written(path)) for path in candidates]
    return [
        OldRun(path, age_s, _count_bytes(path))
        for path, age_s in ages
        if older_than_s is None or age_s >= older_than_s
    ]


def _is_removable(path: Path) -> bool:
    """Whether it is a run, lies here itself, and nobody is at work on it."""
    if path.is_symlink() or path.name.startswith("."):
        return False
    try:
        directory, _ = open_run_directory(path)
    except BeampipeError:
        return False
    return not is_held(directory)


def _last_written(path: Path) -> float:
    directory = RunDirectory(path)
    places = (directory.run_file, directory.segments, directory.claims, directory.outcome_file)
    times = []
    for place in places:
        with contextlib.suppress(OSError):
            times.append(place.stat().st_mtime)
    return max(times, default=time.time())


def _count_bytes(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118
    return total


def remove_run(path: Path) -> None:
    """Remove a run for good.

    It is taken first, so that nobody goes on with it meanwhile, then renamed, so that it is no
    run any more whatever happens, then deleted; what a kill leaves behind the next pruning removes.

    Raises
    ------
    NotARunError
        ``run-not-found``: there is no run (any more).
    RunHeldError
        ``run-held``: somebody is at work on it.
    RunStorageError
        ``run-storage``: it cannot be removed.
    """
    directory, run = open_run_directory(path)
    driver = secrets.token_hex(8)
    ledger = Ledger.take(directory, run_id=run["run_id"], driver=driver)
    hidden = path.with_name(f"{_LEFTOVER}{driver}")
    try:
        with storage_errors(path):
            path.rename(hidden)
    except RunStorageError:
        ledger.release()
        raise
    _delete(hidden)


def remove_leftovers(root: Path) -> None:
    """Delete what earlier prunings were killed over."""
    for path in _leftovers(root):
        _delete(path)


def _leftovers(root: Path) -> Iterator[Path]:
    for path in root.glob(f"{_LEFTOVER}*"):
        is_ours = (path / "run.json").is_file() or not any(path.iterdir())
        if is_ours and path.is_dir() and not path.is_symlink():
            yield path


def _delete(path: Path) -> None:
    """Delete a folder that is no run any more; what marks it as one of ours goes last."""
    with storage_errors(path):
        for entry in path.iterdir():
            if entry.name == "run.json":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        shutil.rmtree(path)
