"""Files that are whole or not there, whatever happens and whenever."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
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
    # Not made from `path.name`: one that is as long as names may be has no room for more.
    temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(8)}.tmp")
    with storage_errors(path):
        try:
            with open(temporary, "x+b", opener=_opener(mode)) as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):  # the first error tells more
                temporary.unlink()
            raise
        sync_directory(path.parent)


def _opener(mode: int) -> Any:
    return lambda name, flags: os.open(name, flags, mode)


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


def create_exclusive(path: Path, data: bytes) -> bool:
    """Create a file that must not exist yet; False if somebody else was first.

    O_CREAT | O_EXCL is atomic where file locks are not (NFS, AFS, EOS, Lustre). Its existence
    is what counts, so after an error it stays, with or without its contents.
    """
    with storage_errors(path):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE)
        except FileExistsError:
            return False
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        sync_directory(path.parent)
    return True


def sync_directory(directory: Path) -> None:
    """Make a rename or a new name in `directory` survive a power cut, where that is possible."""
    # Some network file systems refuse to sync a directory; the name is then as safe as it gets.
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
