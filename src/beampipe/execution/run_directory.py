"""Where the parts of a run lie, and how a run directory is made and recognised."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from beampipe.errors import NotARunError, RunDirectoryExistsError
from beampipe.execution.segments import check_version
from beampipe.execution.storage import DIRECTORY_MODE, storage_errors, write_atomic, write_json

FORMAT = "beampipe-run"
VERSION = 1
_TEXTS = ("run_id", "name", "created")
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The paths of one run, format version 1 (see the reference page "The run directory")."""

    path: Path

    @property
    def run_file(self) -> Path:
        """Who, what, when: written once, at the start."""
        return self.path / "run.json"

    @property
    def plan_file(self) -> Path:
        """Files, entries and cuts: written once, at the start."""
        return self.path / "plan.json"

    @property
    def processor_file(self) -> Path:
        """The processor, pickled, for `resume` and `reproduce`."""
        return self.path / "processor.pkl"

    @property
    def claims(self) -> Path:
        """One file per segment number that a driver has claimed."""
        return self.path / "claims"

    @property
    def segments(self) -> Path:
        """The committed values."""
        return self.path / "segments"

    @property
    def lease_file(self) -> Path:
        """Who is at work, for messages."""
        return self.path / "lease.json"

    @property
    def outcome_file(self) -> Path:
        """How the last driver ended."""
        return self.path / "outcome.json"

    @property
    def result_file(self) -> Path:
        """The sum of all segments: a cache."""
        return self.path / "result.zip"


def create_run_directory(
    path: Path, *, run: Mapping[str, Any], plan: Mapping[str, Any], processor: bytes
) -> RunDirectory:
    """Make a run directory; `run.json` comes last, so a directory without it is no run.

    Raises
    ------
    RunDirectoryExistsError
        ``run-directory-exists``: there is something under this name.
    RunStorageError
        ``run-storage``: it cannot be written.
    """
    directory = RunDirectory(path)
    with storage_errors(path), _undone_on_error(directory):
        write_atomic(directory.processor_file, processor, mode=_PRIVATE)
        write_json(directory.plan_file, plan)
        write_json(directory.run_file, {"format": FORMAT, "version": VERSION, **run})
    return directory


@contextlib.contextmanager
def _undone_on_error(directory: RunDirectory) -> Iterator[None]:
    """Make the folders; take away what is there if the rest cannot be written.

    Otherwise a full disk would leave something behind that stands in the way of the next try.
    """
    path = directory.path
    path.parent.mkdir(parents=True, exist_ok=True)
    made = []
    try:
        try:
            path.mkdir(DIRECTORY_MODE)
            made.append(path)
        except FileExistsError as error:
            if not path.is_dir() or any(path.iterdir()):
                raise _already_there(path) from error
        for folder in (directory.claims, directory.segments):
            try:
                folder.mkdir(DIRECTORY_MODE)
            except FileExistsError as error:  # two runs were given the same empty directory
                raise _already_there(path) from error
            made.append(folder)
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if directory.claims in made:
                for file in (directory.processor_file, directory.plan_file, directory.run_file):
                    file.unlink(missing_ok=True)
            for folder in reversed(made):
                folder.rmdir()
        raise


def _already_there(path: Path) -> RunDirectoryExistsError:
    is_run = (path / "run.json").exists()
    quoted = shlex.quote(str(path))
    fix = (
        f"`beampipe resume {quoted}` goes on with it, `beampipe show {quoted}` tells what it "
        "holds; for a new run choose another --run-dir"
        if is_run
        else "choose another --run-dir, or an empty directory"
    )
    what = "a run" if is_run else "something else"
    return RunDirectoryExistsError(
        f"The run directory {path} is there already.", why=f"it holds {what}", fix=fix
    )


def open_run_directory(path: Path) -> tuple[RunDirectory, dict[str, Any]]:
    """Find a run and read its `run.json`.

    Raises
    ------
    NotARunError
        ``run-not-found``
    RunFormatError
        ``run-format``: it was written by a newer version.
    """
    directory = RunDirectory(path)
    try:
        data = json.loads(directory.run_file.read_bytes())
    except (OSError, ValueError) as error:
        why = f"{error}" if os.path.lexists(path) else "there is no such directory"
        raise NotARunError(
            f"{path} is not a run.",
            why=why,
            fix="`beampipe runs` lists the runs that are here; a run's directory has a run.json",
        ) from error
    if not isinstance(data, dict) or "format" not in data:
        raise _not_ours(path)
    check_version(data, FORMAT, VERSION, directory.run_file)
    if not all(isinstance(data.get(key), str) for key in _TEXTS):
        raise _not_ours(path)
    return directory, data


def _not_ours(path: Path) -> NotARunError:
    return NotARunError(f"{path} is not a run.", why="its run.json was not written by Beampipe")


def who_am_i() -> dict[str, Any]:
    """Host and process, as claims and leases name them.

    Process numbers are used again, so the time when the process began belongs to its name.
    """
    begun = psutil.Process().create_time()
    return {"host": socket.gethostname(), "pid": os.getpid(), "begun": begun}
