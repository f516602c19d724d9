"""Files that are whole or not there, whatever happens and whenever."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from beampipe.errors import BeampipeError, RunStorageError

_FULL = "free some space or use another --run-dir"
_REASONS = {
    errno.ENOSPC: ("the disk is full", _FULL),
    errno.EDQUOT: ("your quota is used up", _FULL),
    errno.EACCES: ("permission denied", "use a --run-dir that is yours"),
    errno.EPERM: ("permission denied", "use a --run-dir that is yours"),
    errno.EROFS: ("the file system is read-only", "use another --run-dir"),
    errno.EEXIST: ("a file is in the way", "use another --run-dir"),
    errno.ENOTDIR: ("a file is in the way", "use another --run-dir"),
    errno.ENAMETOOLONG: ("the name is too long", "use a shorter --run-dir"),
    errno.ESTALE: ("the file system went away (stale handle)", "check the mount, then resume"),
}
# Whatever the umask says: pickles are loaded only from files that nobody else may write to.
DIRECTORY_MODE = 0o755
FILE_MODE = 0o644


@contextlib.contextmanager
def storage_errors(path: Path, *, verb: str = "write") -> Iterator[None]:
    """Turn what the file system says about `path` into a `RunStorageError`."""
    try:
        yield
    except BeampipeError:  # some of ours are OSErrors too, and say what is meant
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        why, fix = _REASONS.get(error.errno or 0, (reason, "check the path"))
        raise RunStorageError(
            f"Cannot {verb} {path}.", why=why, fix=f"{fix}; what was committed is kept"
        ) from error


@contextlib.contextmanager
def open_atomic(path: Path, *, mode: int = FILE_MODE) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name only when all of it is on the disk.

    The temporary name begins with a dot and is removed on an error; after a kill it stays
    behind and is never read.
    """
    with hidden(path.parent) as temporary:
        with open_hidden(temporary, path, mode=mode) as stream:
            yield stream
        publish(temporary, path)
    with storage_errors(path):
        sync_directory(path.parent)


@contextlib.contextmanager
def hidden(folder: Path) -> Iterator[Path]:
    """Name a file that nobody reads; what lies there still when an error comes is removed."""
    # Not made from the final name: one that is as long as names may be has no room for more.
    temporary = folder / f".{os.getpid()}-{secrets.token_hex(8)}.tmp"
    try:
        yield temporary
    except BaseException:
        with contextlib.suppress(OSError):  # the first error tells more
            temporary.unlink()
        raise


@contextlib.contextmanager
def open_hidden(
    temporary: Path, path: Path, *, mode: int = FILE_MODE, later: Syncing | None = None
) -> Iterator[IO[bytes]]:
    """Write a file that is to be published as `path`; afterwards its contents are on the disk.

    With `later` they are when that is done.
    """
    with storage_errors(path), new_file(temporary, mode) as stream:
        yield stream
        stream.flush()
        if later is None:
            sync_file(stream.fileno())
        else:
            later.add(stream.fileno(), path)


_SYNCS_AT_ONCE = 8
_OPEN_FILES = 64


@dataclass(slots=True)
class Syncing:
    """Files that are synced together: disks take eight in hardly more time than one."""

    _waiting: list[tuple[int, Path]] = field(default_factory=list)

    def add(self, descriptor: int, path: Path) -> None:
        """Take a file; its descriptor may be closed afterwards."""
        # Not opened anew at the end: an error of writing is told to who had the file open then.
        self._waiting.append((os.dup(descriptor), path))
        if len(self._waiting) >= _OPEN_FILES:
            self.finish()

    def finish(self) -> None:
        """Make all that was taken survive a power cut.

        Raises
        ------
        RunStorageError
            ``run-storage``: some of it may be lost.
        """
        waiting, self._waiting = self._waiting, []
        try:
            if len(waiting) == 1:
                self._sync(waiting[0])
            elif waiting:
                with ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
                    list(pool.map(self._sync, waiting))
        finally:
            for descriptor, _ in waiting:
                os.close(descriptor)

    @staticmethod
    def _sync(one: tuple[int, Path]) -> None:
        descriptor, path = one
        with storage_errors(path):
            sync_file(descriptor)

    def close(self) -> None:
        """Let go of what is still open after an error."""
        waiting, self._waiting = self._waiting, []
        for descriptor, _ in waiting:
            os.close(descriptor)


def publish(temporary: Path, path: Path) -> None:
    """Give a hidden file its name. It survives a power cut once the folder is synced."""
    with storage_errors(path):
        temporary.replace(path)


def new_file(path: Path, mode: int) -> IO[bytes]:
    """Create a file that must not exist yet (O_CREAT | O_EXCL).

    All that is written into a run directory is written to a file that was opened here; tests
    put themselves in this place.
    """
    return open(path, "x+b", opener=lambda name, flags: os.open(name, flags, mode))


def write_atomic(path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
    """Write `data` so that `path` holds all of it or what it held before."""
    with open_atomic(path, mode=mode) as stream:
        stream.write(data)


def dump_json(data: Any, *, indent: int | None = None) -> bytes:
    """Give JSON that reads back as it was; what JSON cannot express becomes its `repr`."""
    try:
        return json.dumps(data, indent=indent, ensure_ascii=False, default=repr).encode()
    except UnicodeEncodeError:
        # Names of files need not be UTF-8: such bytes are lone surrogates in Python, and only
        # JSON's own escapes can hold them.
        return json.dumps(data, indent=indent, default=repr).encode()


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically."""
    write_atomic(path, dump_json(data, indent=1))


_UNSEALED = b"0" * 64


def dump_sealed(data: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    """Give a JSON object that tells whether it is still as it was written.

    Its last key, ``seal``, is the SHA-256 of the text with zeros for the seal's own 64 digits.
    """
    text = dump_json({**data, "seal": _UNSEALED.decode()}, indent=indent)
    head, _, tail = text.rpartition(_UNSEALED)
    return head + hashlib.sha256(text).hexdigest().encode() + tail


def load_sealed(text: bytes) -> dict[str, Any]:
    """Read a JSON object; one without a seal is believed.

    Raises
    ------
    ValueError
        It is no JSON object, or not what its writer wrote.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  as what is no JSON at all
    seal = data.pop("seal", None)
    if seal is not None:
        head, _, tail = text.rpartition(str(seal).encode())
        if hashlib.sha256(head + _UNSEALED + tail).hexdigest() != seal:
            raise ValueError("its seal does not match: it was damaged or changed by hand")
    return data


def create_exclusive(path: Path, data: bytes, *, sync: bool = True) -> bool:
    """Create a file that must not exist yet; False if somebody else was first.

    O_CREAT | O_EXCL is atomic where file locks are not (NFS, AFS, EOS, Lustre). Its existence
    is what counts, so after an error it stays, with or without its contents.

    Parameters
    ----------
    sync : bool, default True
        Make it survive a power cut. Without, its folder has to be synced afterwards for its
        existence, and its contents may be lost.
    """
    with storage_errors(path):
        try:
            stream = new_file(path, FILE_MODE)
        except FileExistsError:
            return False
        with stream:
            stream.write(data)
            stream.flush()
            if sync:
                sync_file(stream.fileno())
        if sync:
            sync_directory(path.parent)
    return True


def make_folder(path: Path) -> None:
    """Make a folder whose name survives a power cut, and those above it that are missing.

    Raises
    ------
    FileExistsError
        It is there already.
    """
    parent = path.parent
    if not parent.exists():
        with contextlib.suppress(FileExistsError):  # somebody else makes the same ones
            make_folder(parent)
    path.mkdir(DIRECTORY_MODE)
    sync_directory(parent)


def sync_file(descriptor: int) -> None:
    """Make what was written to a file survive a power cut."""
    # On macOS fsync leaves it in the disk's own memory, and only this does not.
    full_sync = getattr(fcntl, "F_FULLFSYNC", None)
    if full_sync is not None:
        try:
            fcntl.fcntl(descriptor, full_sync)
        except OSError:  # not every file system has it
            pass
        else:
            return
    os.fsync(descriptor)


# What file systems say that cannot sync a directory. Anything else means that a name was lost.
_NO_DIRECTORY_SYNC = {
    errno.EACCES,
    errno.EBADF,
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EPERM,
}


def sync_directory(directory: Path) -> None:
    """Make a rename or a new name in `directory` survive a power cut, where that is possible.

    Some network file systems refuse to sync a directory; the name is then as safe as it gets.

    Raises
    ------
    OSError
        The disk is broken or full, so the name may be lost.
    """
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            sync_file(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise


def list_folder(folder: Path) -> list[str]:
    """The names in a folder, in no order.

    Not by `Path.glob`, which takes a folder that cannot be read for an empty one: then a run
    would look as if nothing had been done yet.

    Raises
    ------
    RunStorageError
        ``run-storage``: it is not there or cannot be read.
    """
    with storage_errors(folder, verb="read"):
        return [entry.name for entry in folder.iterdir()]


def is_own(path: Path) -> bool:
    """Whether a file or folder is the user's own and no one else may write to it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
