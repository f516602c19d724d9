"""Files that are kept from one run to the next, in a folder of bounded size.

One file for each thing kept, written under another name and renamed: whoever is killed at any
moment leaves the old file, the new one, or none. Names are digests, as in the metadata cache.

How much is kept is told by the length of a file that everybody makes longer by what he adds: so
nobody has to look through everything until it is time to throw something away.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

_LARGEST_SHARE = 8
"""Nothing is kept that takes more than this part of the room: it would push out all else."""
_BLOCK_BYTES = 4096
_LOW_WATER = 0.8
_LITTER_AGE_S = 3600.0
_LOOK_AGAIN_S = 60.0
_MOST_FAILURES = 3
_MOST_ASKED = 512
_USAGE, _TEMPORARY = "usage", ".new-"
# What trying again does not mend.
_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


class _File(NamedTuple):
    used_at: float
    blocks: int
    path: str


class KeptFiles:
    """Files by digest; for any number of processes at a time.

    It never makes anything fail: what can't be written is not kept.

    Parameters
    ----------
    directory : Path
        Made when first written to, for the user's own eyes.
    max_bytes : int
        What may be kept; of more, those that were not used for the longest time go. 0: nothing
        is written.
    suffix : str
        Of the files' names, ``".index"``.
    spare_after : float, optional
        What was used after that is not thrown away here, and what finds no room is not kept
        [s since the epoch]. Whoever goes through more than there is room for, in the same order
        every time, would otherwise throw away what he is about to want.
    """

    def __init__(
        self, directory: Path, *, max_bytes: int, suffix: str, spare_after: float = math.inf
    ) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self._suffix = suffix
        self._spare_after = spare_after
        self._n_failures = 0
        self._full_until = -math.inf

    def path(self, digest: bytes) -> Path:
        """Give where something is kept."""
        name = digest.hex()
        return self.directory / name[:2] / (name[2:] + self._suffix)

    def put(self, digest: bytes, *parts: bytes | memoryview) -> bool:
        """Keep something, in the place of what may be there.

        Parameters
        ----------
        digest : bytes
            Names it.
        *parts : bytes-like
            What is written, one after the other.

        Returns
        -------
        bool
            Whether it is kept.
        """
        size_bytes = sum(memoryview(part).nbytes for part in parts)
        if size_bytes * _LARGEST_SHARE > self.max_bytes or self._n_failures >= _MOST_FAILURES:
            return False
        if time.monotonic() < self._full_until:
            return False
        path = self.path(digest)
        try:
            self.make_directory()
            path.parent.mkdir(exist_ok=True, mode=0o700)
            # Counted first: who is killed in between has counted too much, which a tidying mends.
            used = self._count_in(_blocks(size_bytes))
            write_file(path, *parts)
            if used * _BLOCK_BYTES > self.max_bytes and not self.tidy():
                self._full_until = time.monotonic() + _LOOK_AGAIN_S
                path.unlink(missing_ok=True)
                return False
        except OSError as error:
            self._n_failures += error.errno in _HOPELESS
            return False
        return True

    def find_known(self, digests: Collection[bytes]) -> set[bytes]:
        """Tell which things are kept, by their names; none is opened."""
        names = {self.path(digest): digest for digest in digests}
        if len(names) <= _MOST_ASKED:
            return {digest for path, digest in names.items() if path.is_file()}
        # One look into each folder costs less than thousands of questions to a file server.
        there = {entry.path for entry in self._scan() if entry.name.endswith(self._suffix)}
        return {digest for path, digest in names.items() if str(path) in there}

    def tidy(self) -> bool:
        """Throw away what was not used for the longest time, and what the dead left half done.

        Returns
        -------
        bool
            Whether no more is left than may be.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        files = sorted(self._list_files())
        total = sum(file.blocks for file in files)
        most = self.max_bytes // _BLOCK_BYTES
        if total > most:
            for file in files:
                if total <= _LOW_WATER * most or file.used_at >= self._spare_after:
                    break
                with contextlib.suppress(FileNotFoundError):  # another process tidies as well
                    Path(file.path).unlink()
                total -= file.blocks
        descriptor, temporary = tempfile.mkstemp(dir=self.directory, prefix=_TEMPORARY)
        try:
            os.truncate(descriptor, total)
            Path(temporary).replace(self.directory / _USAGE)
        finally:
            os.close(descriptor)
        return total <= most

    def used_bytes(self) -> int:
        """Tell how much is kept, about."""
        try:
            return (self.directory / _USAGE).stat().st_size * _BLOCK_BYTES
        except OSError:
            return 0

    def make_directory(self) -> None:
        """Make the folder, for the user's own eyes."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _count_in(self, blocks: int) -> int:
        """Add to what is kept; gives all of it [blocks]."""
        path = self.directory / _USAGE
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, bytes(blocks))
            used = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if used == blocks:  # the file is new: it may have been lost, and the rest be there
            used += sum(file.blocks for file in self._list_files())
            os.truncate(path, used)
        return used

    def _list_files(self) -> Iterator[_File]:
        now = time.time()
        for entry in self._scan():
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                if entry.name.startswith(_TEMPORARY):
                    if now - found.st_mtime > _LITTER_AGE_S:
                        Path(entry.path).unlink()
                elif entry.name.endswith(self._suffix) and stat.S_ISREG(found.st_mode):
                    yield _File(found.st_mtime, _blocks(found.st_size), entry.path)

    def _scan(self) -> Iterator[os.DirEntry[str]]:
        for shard in range(256):
            with contextlib.suppress(OSError), os.scandir(self.directory / f"{shard:02x}") as all_:
                yield from all_


def read_file(path: Path, *, most_bytes: int, touch_after_s: float = math.inf) -> memoryview:
    """Read a plain file; a pipe that somebody has put there would keep us waiting for ever.

    Parameters
    ----------
    path : Path
    most_bytes : int
        What is longer is none of ours.
    touch_after_s : float, optional
        If it was last used longer ago than that, it is marked as used now [s].

    Returns
    -------
    memoryview
        Of memory that is the caller's own, and may be written.

    Raises
    ------
    OSError
        It cannot be read, or is no plain file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags), "rb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > most_bytes:
            raise OSError(errno.EINVAL, "none of ours", str(path))
        if time.time() - found.st_mtime > touch_after_s:
            with contextlib.suppress(OSError):
                os.utime(path)
        content = memoryview(np.empty(found.st_size, dtype=np.uint8).data)
        size = 0
        while size < len(content):
            size_read = file.readinto(content[size:])
            if not size_read:
                break  # somebody has cut it short meanwhile
            size += size_read
        return content[:size]


def write_file(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file so that it is there as a whole, or not at all.

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)
    try:
        with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
            for part in parts:
                left = memoryview(part).cast("B")
                while left:
                    left = left[file.write(left) :]
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _blocks(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK_BYTES)
