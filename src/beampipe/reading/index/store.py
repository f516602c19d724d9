"""Encoded indexes on disk, kept from one run to the next.

A file speaks for itself: which index it holds and the checksum stand in it, and what does not fit
is as good as not there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
from collections.abc import Collection
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from beampipe.datasets.metadata_cache import default_directory
from beampipe.reading.index.shelf import Made, Place
from beampipe.reading.kept_files import KeptFiles, read_file, write_file

FOLDER = "indexes-v1"
DEFAULT_BYTES = 2_000_000_000

_MAGIC = b"BPINDEX1"
_DIGEST_BYTES = 16
# Magic, the place's digest, seconds, bytes read, length of the index; then the checksum of all.
_HEAD = struct.Struct(f"<8s{_DIGEST_BYTES}sdQQ")
_START = _HEAD.size + _DIGEST_BYTES
_MOST_READ_BYTES = 256_000_000
_TOUCH_EVERY_S = 3600.0
_ID, _SUFFIX = "id", ".index"


class StorePlace(NamedTuple):
    """Where a store lies, and how to know that it is the same one seen from another machine."""

    directory: str
    token: str


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
        self._files = KeptFiles(self.directory, max_bytes=max_bytes, suffix=_SUFFIX)

    @property
    def max_bytes(self) -> int:
        """What may be kept [bytes]."""
        return self._files.max_bytes

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
        path = self._files.path(_digest(place))
        try:
            data = read_file(path, most_bytes=_MOST_READ_BYTES, touch_after_s=_TOUCH_EVERY_S)
        except OSError:
            return None
        return _unpack(place, bytes(data))

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
        return self._files.put(_digest(place), _pack(place, made))

    def find_known(self, places: Collection[Place]) -> set[Place]:
        """Tell which indexes are there, by their names; none is opened.

        Parameters
        ----------
        places : collection of Place
            Files and trees.
        """
        digests = {_digest(place): place for place in places}
        return {digests[digest] for digest in self._files.find_known(digests)}

    def place(self) -> StorePlace | None:
        """Tell others where this store is; None where it can be neither found nor made."""
        path = self.directory / _ID
        token = _read_token(path)
        if token is None and self.max_bytes > 0:
            with contextlib.suppress(OSError):
                self._files.make_directory()
                write_file(path, secrets.token_hex(_DIGEST_BYTES).encode())
            token = _read_token(path)  # another process may have been quicker, or just after
        return None if token is None else StorePlace(str(self.directory.absolute()), token)


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
        text = bytes(read_file(path, most_bytes=_MOST_READ_BYTES)).decode("ascii")
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
