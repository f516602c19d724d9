"""What was counted once and need not be counted again, kept from one process to the next.

One JSON line per file, appended with a single write. A process that is killed at any moment
leaves at worst a torn line, which no checksum matches and everybody ignores; the next append
begins with a line end, so that a torn line spoils only itself. Names of files are stored as
digests: they may hold tokens, and they may be nobody's business.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

from beampipe.datasets.file_states import FileState

FILE_NAME = "files-v1.jsonl"
KEY_DIGITS = 32
LINE_START = b'{"k":"'
CHECKSUM_START = b'","c":"'
RECORD_START = b'","r":'
CHECKSUM_DIGITS = 8
KEY_STOP = len(LINE_START) + KEY_DIGITS
RECORD_STOP = KEY_STOP + len(CHECKSUM_START) + CHECKSUM_DIGITS

MAX_PENDING = 1000
"""Counts that wait in memory; a crash loses these."""
WASTE_FACTOR = 2
MIN_WASTED_LINES = 5000
MAX_RECORDS = 500_000
"""Of more than so many files the oldest counts are dropped at the next compaction."""


@dataclass(frozen=True, slots=True)
class FileMetadata:
    """What is worth remembering of a counted file."""

    treename: str
    uuid: str
    entries: int
    kind: str


class MetadataCache:
    """Counts of files, keyed by name, size, version and the tree that was asked for.

    It never makes anything fail: where it can't be read or written, counting just takes longer.
    Several processes may use one directory at the same time.

    Parameters
    ----------
    directory : str or Path, optional
        Made when first written to. By default ``$XDG_CACHE_HOME/beampipe/metadata``.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(default_directory() if directory is None else directory) / FILE_NAME
        self._lines: dict[bytes, bytes] | None = None
        self._pending: list[bytes] = []
        self._n_lines = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._load())

    def get(self, url: str, treename: str | None, state: FileState) -> FileMetadata | None:
        """Look a file up.

        Parameters
        ----------
        url : str
            Absolute path or URL.
        treename : str or None
            The tree that is asked for, None for the obvious one.
        state : FileState
            Size and version that the file has now.

        Returns
        -------
        FileMetadata or None
            None if it is not known, or was known in another version.
        """
        if not state.can_be_remembered:
            return None
        line = self._load().get(_make_key(url, treename))
        record = None if line is None else _parse_record(line)
        if record is None or record[:2] != [state.size_bytes, state.stamp]:
            return None
        return FileMetadata(*record[2:])

    def put(self, url: str, treename: str | None, state: FileState, metadata: FileMetadata) -> None:
        """Remember a file; it reaches the disk at the next :meth:`flush`.

        Parameters
        ----------
        url, treename, state
            As in :meth:`get`.
        metadata : FileMetadata
            What was found in the file.
        """
        if not state.can_be_remembered:
            return
        key = _make_key(url, treename)
        line = _make_line(key, state, metadata)
        self._load()[key] = line
        with self._lock:
            self._pending.append(line)
            is_full = len(self._pending) >= MAX_PENDING
        if is_full:
            self.flush()

    def flush(self) -> None:
        """Append what is new to the file, and tidy the file when most of it is out of date."""
        with self._lock, contextlib.suppress(OSError):
            lines, self._pending = self._pending, []
            if not lines:
                return
            self._append(b"\n" + b"\n".join(lines) + b"\n")
            self._n_lines += len(lines)
            if self._is_wasteful():
                self._compact()

    def _append(self, data: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def _is_wasteful(self) -> bool:
        n_records = len(self._load())
        wasted = self._n_lines - n_records
        return n_records > MAX_RECORDS or (
            wasted > MIN_WASTED_LINES and self._n_lines > WASTE_FACTOR * n_records
        )

    def _compact(self) -> None:
        """Write the living lines anew and swap the files.

        What another process appends in between is lost to the cache, and counted again.
        """
        lines = self._read_lines()
        kept = list(lines.values())[-MAX_RECORDS // 2 :] if len(lines) > MAX_RECORDS else None
        text = b"\n".join(lines.values() if kept is None else kept) + b"\n"
        descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".files-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # or a power cut leaves the new name and no counts
            Path(temporary).replace(self.path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._lines = None

    def _load(self) -> dict[bytes, bytes]:
        if self._lines is None:
            self._lines = self._read_lines()
        return self._lines

    def _read_lines(self) -> dict[bytes, bytes]:
        """Read the file without parsing it: a line is parsed when it is asked for."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except OSError:
            lines = []
        self._n_lines = len(lines)
        living: dict[bytes, bytes] = {}
        for line in lines:
            if line.startswith(LINE_START) and line.endswith(b"}"):
                key = line[len(LINE_START) : KEY_STOP]
                living.pop(key, None)  # so that the order is the order of the last writing
                living[key] = line
        return living


def default_directory() -> Path:
    """Give the folder where counts are kept unless another one is named.

    Returns
    -------
    Path
        ``$XDG_CACHE_HOME/beampipe/metadata``, with ``~/.cache`` where the variable is not set.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "beampipe" / "metadata"


def _make_key(url: str, treename: str | None) -> bytes:
    asked = "" if treename is None else f"tree {treename}"
    text = f"{url}\0{asked}".encode("utf-8", "surrogateescape")
    return blake2b(text, digest_size=KEY_DIGITS // 2).hexdigest().encode()


def _make_line(key: bytes, state: FileState, metadata: FileMetadata) -> bytes:
    record = json.dumps(
        [
            state.size_bytes,
            state.stamp,
            metadata.treename,
            metadata.uuid,
            metadata.entries,
            metadata.kind,
        ],
        separators=(",", ":"),
    ).encode()
    return b"".join(
        [LINE_START, key, CHECKSUM_START, _checksum(key, record), RECORD_START, record, b"}"]
    )


def _parse_record(line: bytes) -> list[Any] | None:
    key, checksum = line[len(LINE_START) : KEY_STOP], line[RECORD_STOP - CHECKSUM_DIGITS :]
    record = line[RECORD_STOP + len(RECORD_START) : -1]
    if checksum[:CHECKSUM_DIGITS] != _checksum(key, record):
        return None
    parsed: list[Any] = json.loads(record)
    return parsed


def _checksum(key: bytes, record: bytes) -> bytes:
    return b"%08x" % zlib.crc32(record, zlib.crc32(key))
