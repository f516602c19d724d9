"""Where the parts of a run lie, and how a run directory is made and recognised."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beampipe.errors import NotARunError, RunDirectoryExistsError
from beampipe.execution.segments import check_version
from beampipe.execution.storage import (
    DIRECTORY_MODE,
    dump_json,
    dump_sealed,
    load_sealed,
    make_folder,
    storage_errors,
    sync_directory,
    write_atomic,
)

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
        packed_plan = dump_json(plan, indent=1)
        write_atomic(directory.processor_file, processor, mode=_PRIVATE)
        write_atomic(directory.plan_file, packed_plan)
        written = {directory.plan_file: packed_plan, directory.processor_file: processor}
        digests = {path.name: hashlib.sha256(text).hexdigest() for path, text in written.items()}
        data = {"format": FORMAT, "version": VERSION, **run, "sha256": digests}
        write_atomic(directory.run_file, dump_sealed(data, indent=1))
    return directory


def check_member(data: Mapping[str, Any], path: Path, text: bytes) -> None:
    """Make sure that a file is still as it was when the run began.

    Parameters
    ----------
    data : mapping
        The run's `run.json`.
    path : Path
        ``plan.json`` or ``processor.pkl``.
    text : bytes
        What was read from it.

    Raises
    ------
    NotARunError
        ``run-not-found``: it was damaged or changed.
    """
    digests = data.get("sha256", {})
    expected = digests.get(path.name) if isinstance(digests, dict) else None
    if expected is not None and hashlib.sha256(text).hexdigest() != expected:
        raise NotARunError(
            f"The {path.stem} of {path.parent} cannot be read.",
            why=f"{path.name} is not what the run began with: its SHA-256 is not the one in "
            "run.json, so it was damaged or changed",
            fix="bring it back from a copy, or run the analysis again; the segments are untouched",
        )


@contextlib.contextmanager
def _undone_on_error(directory: RunDirectory) -> Iterator[None]:
    """Make the folders; take away what is there if the rest cannot be written.

    Otherwise a full disk would leave something behind that stands in the way of the next try.
    With `run.json` it is a run, whoever is interrupted then: others may have seen it.
    """
    path = directory.path
    made = []
    try:
        try:
            make_folder(path)
            made.append(path)
        except FileExistsError as error:
            if not path.is_dir() or any(path.iterdir()):
                raise _already_there(path) from error
            sync_directory(path.parent)  # who made it may have left that to others
        for folder in (directory.claims, directory.segments):
            try:
                folder.mkdir(DIRECTORY_MODE)
            except FileExistsError as error:  # two runs were given the same empty directory
                raise _already_there(path) from error
            made.append(folder)
        yield
    except BaseException:
        if not directory.run_file.exists():
            with contextlib.suppress(OSError):
                if directory.claims in made:
                    directory.plan_file.unlink(missing_ok=True)
                    directory.processor_file.unlink(missing_ok=True)
                for folder in reversed(made):
                    folder.rmdir()
        raise


def _already_there(path: Path) -> RunDirectoryExistsError:
    quoted = shlex.quote(str(path))
    what, fix = "something else", "choose another --run-dir, or an empty directory"
    if (path / "run.json").exists():
        what = "a run"
        fix = (
            f"`beampipe resume {quoted}` goes on with it, `beampipe show {quoted}` tells what it "
            "holds; for a new run choose another --run-dir"
        )
    elif path.is_dir() and _is_half_made(path):
        what = "the beginning of a run that never began, or is being laid out right now"
        fix = f"if nobody is at it, remove it (`rm -r {quoted}`); nothing was done in it"
    return RunDirectoryExistsError(
        f"The run directory {path} is there already.", why=f"it holds {what}", fix=fix
    )


def _is_half_made(path: Path) -> bool:
    """Whether there is only what comes before a `run.json`, and no work."""
    directory = RunDirectory(path)
    folders = {directory.claims, directory.segments}
    files = {directory.plan_file, directory.processor_file}
    return all(
        entry in files
        or (entry.name.startswith(".") and entry.suffix == ".tmp")
        or (entry in folders and not any(entry.iterdir()))
        for entry in path.iterdir()
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
        text = directory.run_file.read_bytes()
        data = json.loads(text)
    except (OSError, ValueError) as error:
        why = f"{error}" if os.path.lexists(path) else "there is no such directory"
        raise NotARunError(
            f"{path} is not a run.",
            why=why,
            fix="`beampipe runs` lists the runs that are here; a run's directory has a run.json",
        ) from error
    if not isinstance(data, dict) or "format" not in data:
        raise _not_ours(path)
    # First: a newer version may seal its files in another way.
    check_version(data, FORMAT, VERSION, directory.run_file)
    try:
        data = load_sealed(text)
    except ValueError as error:
        raise NotARunError(
            f"The run {path} cannot be read.",
            why=f"its run.json is damaged: {error}",
            fix="bring run.json back from a copy; the segments are untouched",
        ) from error
    if not all(isinstance(data.get(key), str) for key in _TEXTS):
        raise _not_ours(path)
    return directory, data


def _not_ours(path: Path) -> NotARunError:
    return NotARunError(f"{path} is not a run.", why="its run.json was not written by Beampipe")
