"""Encoded indexes on disk, kept from one run to the next.

One file per index, written under another name and renamed: whoever is killed at any moment leaves
the old file, the new one, or none. A file speaks for itself: which index it holds and the checksum
stand in it, and what does not fit is as good as not there. Names are digests, as in the metadata
cache.

How much is kept is told by the length of a file that everybody makes longer by what he adds: so
nobody has to look through everything until it is time to throw something away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import struct
import tempfile
import time
from collections.abc import Collection, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from beampipe.datasets.metadata_cache import default_directory
from beampipe.reading.index.shelf import Made, Place

FOLDER = "indexes-v1"
DEFAULT_BYTES = 2_000_000_000

_MAGIC = b"BPINDEX1"
_DIGEST_BYTES = 16
# Magic, the place's digest, seconds, bytes read, length of the index; then the checksum of all.
_HEAD = struct.Struct(f"<8s{_DIGEST_BYTES}sdQQ")
_START = _HEAD.size + _DIGEST_BYTES
_MOST_READ_BYTES = 256_000_000
_LARGEST_SHARE = 8
"""No index is kept that takes more than this part of the store: it would push out the others."""
_BLOCK_BYTES = 4096
_LOW_WATER = 0.8
_TOUCH_EVERY_S = 3600.0
_LITTER_AGE_S = 3600.0
_MOST_FAILURES = 3
_MOST_ASKED = 512
_USAGE, _ID, _TEMPORARY, _SUFFIX = "usage", "id", ".new-", ".index"
# What trying again does not mend.
_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


class StorePlace(NamedTuple):
    """Where a store lies, and how to know that it is the same one seen from another machine."""

    directory: str
    token: str


class _File(NamedTuple):
    used_at: float
    blocks: int
    path: str


class IndexStore:
    """Encoded indexes by file and tree; for any number of processes at a time.

    It never makes anything fail: where it can't be read or written, files are indexed again.

    Parameters
    ----------
    directory : path, optional
        Made when first written to. By default the folder ``indexes-v1`` beside the counts of
        files, ``$XDG_CACHE_HOME/beampipe/metadata``.
    max_bytes : int, default 2 GB
        What may be kept; of more, those that were not used for the longest time go. 0: nothing
        is written.
    """

    def __init__(
        self, directory: str | os.PathLike[str] | None = None, *, max_bytes: int = DEFAULT_BYTES
    ) -> None:
        self.directory = default_directory() / FOLDER if directory is None else Path(directory)
        self.max_bytes = max_bytes
        self._n_failures = 0

    def get(self, place: Place) -> Made | None:
        """Give an index.

        Parameters
        ----------
        place : Place
            File uuid and tree.

        Returns
        -------
        Made or None
            None where there is none, or what is there is torn or something else.
        """
        path = self._path(place)
        try:
            data, used_at = _read(path)
        except OSError:
            return None
        made = _unpack(place, data)
        if made is not None and time.time() - used_at > _TOUCH_EVERY_S:
            with contextlib.suppress(OSError):
                os.utime(path)
        return made

    def read(self, place: Place) -> bytes | None:
        """Give an index without what it took to make it."""
        made = self.get(place)
        return None if made is None else made.data

    def put(self, place: Place, made: Made) -> bool:
        """Keep an index, in the place of what may be there.

        Parameters
        ----------
        place : Place
            File uuid and tree.
        made : Made
            The encoded index, and what it took to make it.

        Returns
        -------
        bool
            Whether it is kept.
        """
        data = _pack(place, made)
        if len(data) * _LARGEST_SHARE > self.max_bytes or self._n_failures >= _MOST_FAILURES:
            return False
        path = self._path(place)
        try:
            self._make_directory()
            path.parent.mkdir(exist_ok=True, mode=0o700)
            # Counted first: who is killed in between has counted too much, which a tidying mends.
            used = self._count_in(_blocks(len(data)))
            _write(path, data)
            if used * _BLOCK_BYTES > self.max_bytes:
                self.tidy()
        except OSError as error:
            self._n_failures += error.errno in _HOPELESS
            return False
        return True

    def find_known(self, places: Collection[Place]) -> set[Place]:
        """Tell which indexes are there, by their names; none is opened.

        Parameters
        ----------
        places : collection of Place
            Files and trees.
        """
        names = {self._path(place): place for place in places}
        if len(names) <= _MOST_ASKED:
            return {place for path, place in names.items() if path.is_file()}
        # One look into each folder costs less than thousands of questions to a file server.
        there = {entry.path for entry in self._scan() if entry.name.endswith(_SUFFIX)}
        return {place for path, place in names.items() if str(path) in there}

    def tidy(self) -> None:
        """Throw away what was not used for the longest time, and what the dead left half done.

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
                if total <= _LOW_WATER * most:
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

    def place(self) -> StorePlace | None:
        """Tell others where this store is; None where it can be neither found nor made."""
        path = self.directory / _ID
        token = _read_token(path)
        if token is None and self.max_bytes > 0:
            with contextlib.suppress(OSError):
                self._make_directory()
                _write(path, secrets.token_hex(_DIGEST_BYTES).encode())
            token = _read_token(path)  # another process may have been quicker, or just after
        return None if token is None else StorePlace(str(self.directory.absolute()), token)

    def _make_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _path(self, place: Place) -> Path:
        name = _digest(place).hex()
        return self.directory / name[:2] / (name[2:] + _SUFFIX)

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
                elif entry.name.endswith(_SUFFIX) and stat.S_ISREG(found.st_mode):
                    yield _File(found.st_mtime, _blocks(found.st_size), entry.path)

    def _scan(self) -> Iterator[os.DirEntry[str]]:
        for shard in range(256):
            with contextlib.suppress(OSError), os.scandir(self.directory / f"{shard:02x}") as all_:
                yield from all_


def open_store(place: StorePlace) -> IndexStore | None:
    """Open a store for reading, if it can be seen from here.

    Parameters
    ----------
    place : StorePlace
        What `IndexStore.place` gave, maybe on another machine.

    Returns
    -------
    IndexStore or None
        None where another store, or nothing, lies there.
    """
    if _read_token(Path(place.directory) / _ID) != place.token:
        return None
    return IndexStore(place.directory, max_bytes=0)


def _read_token(path: Path) -> str | None:
    try:
        text = _read(path)[0].decode("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return text if len(text) == 2 * _DIGEST_BYTES else None


def _digest(place: Place) -> bytes:
    text = f"{place.uuid}\0{place.treename}".encode("utf-8", "surrogateescape")
    return blake2b(text, digest_size=_DIGEST_BYTES).digest()


def _pack(place: Place, made: Made) -> bytes:
    head = _HEAD.pack(_MAGIC, _digest(place), made.seconds, made.n_bytes, len(made.data))
    return b"".join([head, _checksum(head, made.data), made.data])


def _unpack(place: Place, data: bytes) -> Made | None:
    if len(data) < _START:
        return None
    head, index = data[: _HEAD.size], data[_START:]
    magic, digest, seconds, n_bytes, length = _HEAD.unpack(head)
    if (magic, digest, length) != (_MAGIC, _digest(place), len(index)):
        return None
    if data[_HEAD.size : _START] != _checksum(head, index):
        return None
    return Made(index, seconds, n_bytes)


def _checksum(head: bytes, index: bytes) -> bytes:
    digest = blake2b(head, digest_size=_DIGEST_BYTES)
    digest.update(index)
    return digest.digest()


def _blocks(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK_BYTES)


def _read(path: Path) -> tuple[bytes, float]:
    """Read a plain file; a pipe that somebody has put there would keep us waiting for ever."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 (a descriptor)
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_READ_BYTES:
            raise OSError(errno.EINVAL, "no index", str(path))
        return file.read(), found.st_mtime


def _write(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor)
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
