"""What a run's ledger does not tell: where parts were taken from, and what was accepted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beampipe.errors import NotARunError, RunFormatError
from beampipe.execution.segments import check_version
from beampipe.execution.storage import dump_sealed, load_sealed, storage_errors, write_atomic

FORMAT = "beampipe-history"
VERSION = 1
REUSED = "reused"
NOT_REUSED = "not-reused"
ACCEPTED = "accepted-change"
REMARK = "remark"
Entry = Mapping[str, Any]


def history_file(run_dir: Path) -> Path:
    """Where it is kept in a run directory."""
    return run_dir / "history.json"


def read_history(run_dir: Path) -> tuple[Entry, ...]:
    """What happened to a run, in its order; empty where nothing was written down.

    Raises
    ------
    NotARunError
        ``run-not-found``: it was damaged. To pass over it could hide an accepted change.
    RunFormatError
        ``run-format``: it was written by a newer version.
    RunStorageError
        ``run-storage``: it is there and cannot be read.
    """
    path = history_file(run_dir)
    try:
        with storage_errors(path, verb="read"):
            text = _read_if_there(path)
        return () if text is None else _load_entries(path, text)
    except RunFormatError:  # a ValueError too, and says what is meant
        raise
    except ValueError as error:
        raise NotARunError(
            f"The history of {run_dir} cannot be read.",
            why=f"its history.json is damaged: {error}",
            fix="bring history.json back from a copy, or run the analysis again; the segments are "
            "untouched",
        ) from error


def _read_if_there(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _load_entries(path: Path, text: bytes) -> tuple[Entry, ...]:
    data = json.loads(text)
    if not isinstance(data, dict) or "format" not in data:
        raise ValueError("it was not written by Beampipe")
    # First: a newer version may seal its files in another way.
    check_version(data, FORMAT, VERSION, path)
    entries = load_sealed(text).get("entries")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("it holds no list of entries")
    return tuple(entries)


def add_to_history(run_dir: Path, entries: Iterable[Entry]) -> None:
    """Write something down, on the disk before this returns; by the run's driver only.

    Parameters
    ----------
    run_dir : Path
        The run directory.
    entries : iterable of mapping
        With ``what`` and ``text``; the time is added.

    Raises
    ------
    RunStorageError
        ``run-storage``
    NotARunError, RunFormatError
        What is there already cannot be read.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = [{"time": now, **entry} for entry in entries]
    if new:
        known = read_history(run_dir)
        data = {"format": FORMAT, "version": VERSION, "entries": [*known, *new]}
        write_atomic(history_file(run_dir), dump_sealed(data, indent=1))


def list_texts(history: Iterable[Entry], *kinds: str) -> tuple[str, ...]:
    """The texts of some kinds of entries, each once."""
    texts = (str(entry.get("text", "")) for entry in history if entry.get("what") in kinds)
    return tuple(dict.fromkeys(texts))
