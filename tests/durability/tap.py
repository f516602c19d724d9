"""Every operation on a file system that a run makes, one by one.

A tap stands between Beampipe and the operating system. It sees each operation before it is done:
it may write it down, kill or stop the process, or fail in its place.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from beampipe.execution import storage


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes
    ----------
    kind : str
        ``create``, ``write``, ``sync``, ``mkdir``, ``rmdir``, ``rename``, ``unlink``,
        or ``note``, which is no operation: the program says that something is promised now.
    path : str
        What it is done to.
    target : str
        The new name of a rename.
    offset, data : int, bytes
        Of a write.
    """

    kind: str
    path: str
    target: str = ""
    offset: int = 0
    data: bytes = b""


class TappedFile(io.RawIOBase):
    """A file whose writes are seen, also those that zipfile makes when it goes back."""

    def __init__(self, path: str, mode: int, see: Callable[[Operation], None]) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        self._path, self._see, self._place = path, see, 0

    def fileno(self) -> int:
        return self._descriptor

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place}
        size = os.fstat(self._descriptor).st_size
        self._place = begin.get(whence, size) + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer) -> int:
        data = os.pread(self._descriptor, len(buffer), self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def write(self, data) -> int:
        self._see(Operation("write", self._path, offset=self._place, data=bytes(data)))
        n_written = os.pwrite(self._descriptor, data, self._place)
        self._place += n_written
        return n_written

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)


@contextmanager
def tapped(root: Path, see: Callable[[Operation], None]) -> Iterator[None]:  # noqa: C901
    """Let `see` see every operation below `root` before it is done."""
    open_, fsync, close, dup = os.open, os.fsync, os.close, os.dup
    opened: dict[int, str] = {}

    def look(kind: str, path, target="") -> None:
        if str(path).startswith(str(root)):
            see(Operation(kind, str(path), str(target)))

    def tapped_open(path, flags, mode=0o777, **more) -> int:
        if flags & os.O_CREAT:
            look("create", path)
        descriptor = open_(path, flags, mode, **more)
        opened[descriptor] = str(path)
        return descriptor

    def tapped_dup(descriptor) -> int:
        copy = dup(descriptor)
        opened[copy] = opened[descriptor]
        return copy

    def tapped_close(descriptor) -> None:
        opened.pop(descriptor, None)
        close(descriptor)

    def tapped_fsync(descriptor) -> None:
        look("sync", opened[descriptor])
        fsync(descriptor)

    def by_path(kind, function):
        def call(path, *args, **more) -> None:
            look(kind, path, args[0] if kind == "rename" else "")
            function(path, *args, **more)

        return call

    def new_file(path, mode):
        return io.BufferedRandom(TappedFile(str(path), mode, see))

    with (
        mock.patch.multiple(
            os,
            open=tapped_open,
            close=tapped_close,
            dup=tapped_dup,
            fsync=tapped_fsync,
            replace=by_path("rename", os.replace),
            mkdir=by_path("mkdir", os.mkdir),
            unlink=by_path("unlink", os.unlink),
            rmdir=by_path("rmdir", os.rmdir),
        ),
        mock.patch.object(storage, "new_file", new_file),
    ):
        yield
