"""Word of the chunk that a worker is at, left where it outlives the worker's process.

A process that is killed cannot say what it was doing. So each thread of a worker keeps a line
in a small file up to date, and who is left on the host reads it: the nanny, another worker, or
the client. The kernel keeps what was written, whatever becomes of the process.

Lines are written, not mapped into memory: it takes 1 µs more, and a file system that is full or
gone is an error here, where with a mapping it would be a signal that kills the worker.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import struct
import tempfile
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from beampipe.execution.bundles import Trail
from beampipe.execution.manifest import ChunkKey
from beampipe.execution.pool import Crumb

_HEADER, _LINE = 1024, 2048
_FULL = _HEADER - 1  # where the header says that a bundle found no free line
_SPARE_LINES = 8  # a task that secedes leaves its thread to another one
_COLUMNS, _COLUMN_BYTES, _UUID_BYTES = 8, 120, 512
# Length and checksum of what follows; then whether a chunk is under way, bundle, k, uuid's length.
_SEAL, _HEAD = struct.Struct("<HI"), struct.Struct("<BqqH")
_IDLE, _BEGUN, _UNSAID = 0, 1, 2
_STALE_S = 3600.0
_SUFFIX = ".crumbs"


@dataclass(frozen=True, slots=True)
class Crumbs:
    """What the file of one worker says.

    Attributes
    ----------
    path : Path
        The file.
    pid : int
        The worker's process.
    has_nanny : bool
        Whether a nanny watches it, who can say how it ended.
    begun : tuple of Crumb or None
        The chunks under way; None where the file cannot say.
    is_alive : bool
        Whether the process, or one that it forked, is still there.
    """

    path: Path
    pid: int
    has_nanny: bool
    begun: tuple[Crumb, ...] | None
    is_alive: bool = False


class _Line(Trail):
    """The line of one thread."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._start = b""
        self._columns: deque[bytes] = deque(maxlen=_COLUMNS)
        self._lock = threading.Lock()  # columns are read ahead in other threads
        self._idle = _seal(_HEAD.pack(_IDLE, 0, 0, 0))

    def begin(self, bundle: int, chunk: ChunkKey) -> None:
        """Say that a chunk begins."""
        uuid = chunk[0].encode("utf-8", "surrogatepass")
        if len(uuid) > _UUID_BYTES:  # half a name could be another file's
            start = _HEAD.pack(_UNSAID, bundle, chunk[1], 0)
        else:
            start = _HEAD.pack(_BEGUN, bundle, chunk[1], len(uuid)) + uuid
        with self._lock:
            self._start = start
            self._columns.clear()
            self._write(_seal(start))

    def read(self, column: str) -> None:
        """Say that a column of it is about to be read; may come from any thread."""
        text = column.encode("utf-8", "replace")[:_COLUMN_BYTES]
        with self._lock:
            if self._start:
                self._columns.append(bytes((len(text),)) + text)
                self._write(_seal(self._start + b"".join(self._columns)))

    def end(self) -> None:
        """Say that the chunk has ended, well or not."""
        with self._lock:
            self._start = b""
            self._write(self._idle)

    def _write(self, line: bytes) -> None:
        # A file system that is gone must not end a run that is doing well; what is there then
        # still names the last chunk that could be written, or does not fit its checksum.
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, line, self._offset)


class CrumbFile:
    """The lines of one worker for one run; made by `open_crumbs`.

    Parameters
    ----------
    path : Path
        The file, which is taken away at the end.
    descriptor : int
        The open file; a lock on it lasts as long as the process.
    n_lines : int
        How many bundles can be under way at a time.
    """

    def __init__(self, path: Path, descriptor: int, n_lines: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._n_lines = n_lines
        self._free = [_Line(descriptor, _HEADER + i * _LINE) for i in reversed(range(n_lines))]
        self._lock = threading.Lock()
        self._is_closed = False

    @contextlib.contextmanager
    def trail(self) -> Iterator[Trail]:
        """Lend a line for one bundle."""
        line = self._take()
        try:
            yield line or Trail()
        finally:
            if line is not None:
                self._give_back(line)

    def _take(self) -> _Line | None:
        with self._lock:
            if self._free and not self._is_closed:
                return self._free.pop()
            if not self._is_closed:
                with contextlib.suppress(OSError):
                    os.pwrite(self._descriptor, b"\1", _FULL)
            return None

    def _give_back(self, line: _Line) -> None:
        line.end()
        with self._lock:
            self._free.append(line)
            if self._is_closed:
                self._close_unused()

    def close(self) -> None:
        """Take the file away, as soon as no bundle is under way.

        A worker that is cut off from its scheduler closes while its chunks still run.
        """
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._close_unused()

    def _close_unused(self) -> None:
        if len(self._free) == self._n_lines:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)


def open_crumbs(prefix: str, worker: str, n_threads: int, *, has_nanny: bool) -> CrumbFile | None:
    """Make the file of a worker for a run.

    Parameters
    ----------
    prefix : str
        The run's.
    worker : str
        Its address.
    n_threads : int
        How many bundles it does at a time.
    has_nanny : bool
        Whether a nanny watches its process.

    Returns
    -------
    CrumbFile or None
        None where this host has no place for it; the run does without.
    """
    sweep_crumbs()
    n_lines = n_threads + _SPARE_LINES
    facts = {"prefix": prefix, "worker": worker, "pid": os.getpid(), "has_nanny": has_nanny}
    header = json.dumps(facts | {"lines": n_lines}).encode()
    if len(header) > _HEADER - _SEAL.size - 1:
        return None
    blank = _seal(header).ljust(_HEADER, b"\0") + bytes(n_lines * _LINE)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for folder in _folders():
        path = folder / f"{_stem(prefix, worker)}-{os.getpid()}{_SUFFIX}"
        with contextlib.suppress(OSError):
            _make_private(folder)
            path.unlink(missing_ok=True)
            descriptor = os.open(path, flags, 0o600)
            if _is_filled(descriptor, blank):
                return CrumbFile(path, descriptor, n_lines)
            path.unlink(missing_ok=True)
            os.close(descriptor)
    return None


def _is_filled(descriptor: int, blank: bytes) -> bool:
    """Take the lock and the space; what is written later then needs none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.write(descriptor, blank) == len(blank)
    except OSError:
        return False


def read_crumbs(prefix: str, worker: str, pid: int | None = None) -> Crumbs | None:
    """Read what a worker on this host left.

    Parameters
    ----------
    prefix : str
        The run's.
    worker : str
        Its address.
    pid : int, optional
        Its process, for an address at which another worker may be by now.

    Returns
    -------
    Crumbs or None
        None where there is no file, or several that could be meant.
    """
    found = [
        crumbs
        for folder in _folders()
        if _is_private(folder)
        for path in sorted(folder.glob(f"{_stem(prefix, worker)}-*{_SUFFIX}"))
        if (crumbs := _read_file(path, prefix, worker)) and pid in {None, crumbs.pid}
    ]
    if len(found) > 1:
        found = [crumbs for crumbs in found if not crumbs.is_alive]
    return found[0] if len(found) == 1 else None


def drop_crumbs(crumbs: Crumbs) -> None:
    """Take the file away of a worker that is no more."""
    with contextlib.suppress(OSError):
        crumbs.path.unlink(missing_ok=True)


def sweep_crumbs(stale_s: float = _STALE_S) -> None:
    """Take away what workers left that have been gone for long.

    Parameters
    ----------
    stale_s : float
        Age from which a file that no process holds is taken away [s].
    """
    for folder in _folders():
        if not _is_private(folder):
            continue
        for path in folder.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > stale_s and not _is_held(path):
                    path.unlink()


def _seal(body: bytes) -> bytes:
    return _SEAL.pack(len(body), zlib.crc32(body)) + body


def _unseal(data: bytes) -> bytes | None:
    """What was sealed, None where it is torn."""
    if len(data) < _SEAL.size:
        return None
    length, checksum = _SEAL.unpack_from(data)
    body = data[_SEAL.size : _SEAL.size + length]
    return body if len(body) == length and zlib.crc32(body) == checksum else None


def _folders() -> Iterator[Path]:
    """Where files may lie, the best place first; all processes of a host must say the same.

    In memory nothing is written to a disk, and a full disk does not matter.
    """
    name = f"beampipe-{os.geteuid()}"
    places = [Path("/dev/shm"), Path(tempfile.gettempdir())]  # noqa: S108 (a folder that is private)
    return (place / name for place in places if place.is_dir())


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(folder):
        raise PermissionError(folder)


def _is_private(folder: Path) -> bool:
    """Whether nobody else can have put anything there."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    is_mine = status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077
    return stat.S_ISDIR(status.st_mode) and is_mine


def _stem(prefix: str, worker: str) -> str:
    return hashlib.sha256(f"{prefix}\n{worker}".encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _is_held(path: Path) -> bool:
    """Whether the process that made it is there, wherever its number is one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _read_file(path: Path, prefix: str, worker: str) -> Crumbs | None:
    try:
        data = path.read_bytes()
        header = _unseal(data[:_HEADER]) or b""
        facts = json.loads(header)
        if (facts["prefix"], facts["worker"]) != (prefix, worker):
            return None
        is_whole = len(data) == _HEADER + facts["lines"] * _LINE and not data[_FULL]
        lines = [data[i : i + _LINE] for i in range(_HEADER, len(data), _LINE)]
        begun = _read_lines(lines) if is_whole else None
        pid, has_nanny = int(facts["pid"]), bool(facts["has_nanny"])
        return Crumbs(path, pid, has_nanny, begun, is_alive=_is_held(path))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_lines(lines: Sequence[bytes]) -> tuple[Crumb, ...] | None:
    """The chunks under way; None where any line cannot be trusted."""
    begun = []
    for line in lines:
        if not line.strip(b"\0"):
            continue  # this thread never did a bundle
        body = _unseal(line)
        if body is None or len(body) < _HEAD.size:
            return None
        state, bundle, k, length = _HEAD.unpack_from(body)
        if state == _IDLE:
            continue
        if state != _BEGUN:
            return None
        end = _HEAD.size + length
        uuid = body[_HEAD.size : end].decode("utf-8", "surrogatepass")
        begun.append(Crumb(bundle, (uuid, k), tuple(_read_columns(body[end:]))))
    return tuple(begun)


def _read_columns(data: bytes) -> Iterator[str]:
    while data:
        end = 1 + data[0]
        yield data[1:end].decode("utf-8", "replace")
        data = data[end:]
