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

from beampipe.errors import RunStorageError

_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space or use another --run-dir"),
    errno.EDQUOT: ("your quota is used up", "free some space or use another --run-dir"),
    errno.EACCES: ("no permission to write there", "use a --run-dir that you may write to"),
    errno.EPERM: ("no permission to write there", "use a --run-dir that you may write to"),
    errno.EROFS: ("the file system is read-only", "use another --run-dir"),
    errno.ESTALE: ("the file system went away (stale handle)", "check the mount, then resume"),
}


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the file system says about `path` into a `RunStorageError`."""
    try:
        yield
    except RunStorageError:
        raise
    except OSError as error:
        why, fix = _REASONS.get(error.errno or 0, (error.strerror or str(error), "check the path"))
        raise RunStorageError(
            f"Cannot write {path}.", why=why, fix=f"{fix}; what was committed is kept"
        ) from error


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name only when all of it is on the disk.

    The temporary name begins with a dot and is removed on an error; after a kill it stays
    behind and is never read.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    with storage_errors(path):
        try:
            with temporary.open("x+b") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds all of it or what it held before."""
    with open_atomic(path) as stream:
        stream.write(data)


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically; what JSON cannot express is written as its `repr`."""
    text = json.dumps(data, indent=1, ensure_ascii=False, default=repr)
    write_atomic(path, text.encode("utf-8", "replace"))


def create_exclusive(path: Path, data: bytes) -> bool:
    """Create a file that must not exist yet; False if somebody else was first.

    O_CREAT | O_EXCL is atomic where file locks are not (NFS, AFS, EOS, Lustre).
    """
    with storage_errors(path):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        sync_directory(path.parent)
    return True


def sync_directory(directory: Path) -> None:
    """Make a rename or a new name in `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Some network file systems refuse to sync a directory; the name is then as safe as it gets.
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
