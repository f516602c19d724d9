"""What a run's ledger does not tell: where parts were taken from, and what was accepted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beampipe.execution.storage import write_json

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
    """What happened to a run, in its order; empty where nothing was written down."""
    try:
        data = json.loads(history_file(run_dir).read_bytes())
        entries = data["entries"] if data["format"] == FORMAT else []
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(entry for entry in entries if isinstance(entry, dict))


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
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = [{"time": now, **entry} for entry in entries]
    if new:
        known = read_history(run_dir)
        data = {"format": FORMAT, "version": VERSION, "entries": [*known, *new]}
        write_json(history_file(run_dir), data)


def list_texts(history: Iterable[Entry], *kinds: str) -> tuple[str, ...]:
    """The texts of some kinds of entries, each once."""
    texts = (str(entry.get("text", "")) for entry in history if entry.get("what") in kinds)
    return tuple(dict.fromkeys(texts))
