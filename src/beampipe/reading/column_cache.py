"""Columns that were read before, kept as arrays beside the worker.

What is kept is the array of one column of one entry range, as it came from the file and before any
schema saw it. It is found by the file's own uuid, its size and (of a local file) its modification
time; whoever reads it has opened the planned file and knows these. A file speaks for itself, and
is checked as a whole before anything of it is used.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import tempfile
import time
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import xxhash

from beampipe.reading.kept_files import KeptFiles, read_file
from beampipe.reading.trees import OpenTree

READS = 1
"""To be raised when a change of Beampipe changes what a column holds when it is read."""

_FOLDER = "beampipe-columns-{uid}"
_VERSION = "v1"
_MAGIC = b"BPCOLUM1"
_DIGEST_BYTES = 16
# Magic, digest of what it is, length of the description, length of all; then the checksum.
_HEAD = struct.Struct(f"<8s{_DIGEST_BYTES}sQQ")
_START = _HEAD.size + _DIGEST_BYTES
_ALIGNED_BYTES = 64
_SUFFIX = ".column"
_TOUCH_EVERY_S = 60.0
_LEAST_LOCAL_BYTES = 64 * 1024
"""What is smaller is read from a local file as quickly."""
_FREE_SHARE = 2
_IN_MEMORY = {"tmpfs", "ramfs"}


class ColumnRoom(NamedTuple):
    """What columns may take on each worker's host.

    Attributes
    ----------
    max_bytes : int
        No more than this, and no more than half of what is free there.
    directory : str or None
        Where; None: below the host's folder for temporary files, unless that lies in memory.
    """

    max_bytes: int
    directory: str | None = None


class ColumnCache:
    """Columns on the disk of this host, for any number of processes at a time.

    Parameters
    ----------
    directory : Path
    max_bytes : int
        What was not used for the longest time goes first; but nothing that was used since this
        object was made, for it is most likely wanted again in the same order.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self._files = KeptFiles(
            directory, max_bytes=max_bytes, suffix=_SUFFIX, spare_after=time.time()
        )

    def columns(self, opened: OpenTree, entries: tuple[int, int]) -> CachedColumns:
        """Give what is kept of one entry range of a tree."""
        return CachedColumns(self._files, opened, entries)


class CachedColumns:
    """The columns of one entry range, as far as they are kept.

    Parameters
    ----------
    files : KeptFiles
    opened : OpenTree
        The planned file, whose uuid was checked.
    entries : (int, int)
        Entry range.

    Attributes
    ----------
    bytes_cached : int
        Bytes of columns found so far.
    keep_s : float
        Time spent on keeping columns [s].
    """

    def __init__(self, files: KeptFiles, opened: OpenTree, entries: tuple[int, int]) -> None:
        self.bytes_cached = 0
        self.keep_s = 0.0
        self._files = files
        self._opened = opened
        self._about = _describe(opened, entries)
        self._new: dict[bytes, list[bytes | memoryview]] = {}

    def has(self, name: str) -> bool:
        """Tell whether a column seems to be kept."""
        return self._files.path(self._digest(name)).is_file()

    def get(self, name: str) -> Any:
        """Give a column.

        Parameters
        ----------
        name : str
            As in ``tree[name]``.

        Returns
        -------
        awkward.Array or None
            None where it is not kept, or is damaged.
        """
        digest = self._digest(name)
        with suppress(OSError):
            data = read_file(
                self._files.path(digest),
                most_bytes=self._files.max_bytes,
                touch_after_s=_TOUCH_EVERY_S,
            )
            array = _unpack(digest, data)
            if array is not None:
                self.bytes_cached += len(data)
                return array
        return None

    def note(self, name: str, array: Any) -> None:
        """Remember a column that was just read of the file, to be kept by `keep`."""
        if array.nbytes >= (_LEAST_LOCAL_BYTES if self._opened.is_local else 0):
            digest = self._digest(name)
            self._new[digest] = _pack(digest, array)

    def keep(self) -> None:
        """Keep what was noted; only for who is sure that all of it is of the planned file.

        What a processor has changed in place meanwhile is not what was read, and is not kept.
        """
        began = time.perf_counter()
        while self._new:
            digest, (head, checksum, *content) = self._new.popitem()
            if _checksum(head, *content) == checksum:
                self._files.put(digest, head, checksum, *content)
        self.keep_s += time.perf_counter() - began

    def _digest(self, name: str) -> bytes:
        text = f"{self._about}\0{name}".encode("utf-8", "surrogateescape")
        return blake2b(text, digest_size=_DIGEST_BYTES).digest()


def open_column_cache(room: ColumnRoom | None) -> ColumnCache | None:
    """Find the cache of this host.

    Parameters
    ----------
    room : ColumnRoom or None
        What it may take; None for nothing.

    Returns
    -------
    ColumnCache or None
        None where there is no room, or the folder is not the user's own.
    """
    if room is None or room.max_bytes <= 0:
        return None
    base = Path(tempfile.gettempdir() if room.directory is None else room.directory)
    if room.directory is None and _lies_in_memory(base):
        return None
    folder = base / _FOLDER.format(uid=os.getuid())
    try:
        free_bytes = _find_room(folder)
    except OSError:
        return None
    return ColumnCache(folder / _VERSION, max_bytes=min(room.max_bytes, free_bytes))


def _find_room(folder: Path) -> int:
    """Make the folder; gives the share that may be taken of what is free there, or ours already.

    Raises
    ------
    OSError
        It cannot be made, or somebody else could write to it: what lies there becomes results.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"'{folder}' is not this user's alone")
    used_bytes = KeptFiles(folder / _VERSION, max_bytes=0, suffix=_SUFFIX).used_bytes()
    return (psutil.disk_usage(str(folder)).free + used_bytes) // _FREE_SHARE


def _lies_in_memory(path: Path) -> bool:
    """Whether what is written there takes the memory that the worker needs."""
    path = path.resolve()
    kinds = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    above = (folder for folder in (path, *path.parents) if folder in kinds)
    return kinds.get(next(above, path)) in _IN_MEMORY


def _describe(opened: OpenTree, entries: tuple[int, int]) -> str:
    """Say all that a column's content depends on, but for its name."""
    stamp = opened.stamp
    file = (opened.file.size_bytes, None) if stamp is None else (stamp.size_bytes, stamp.mtime_ns)
    return repr((_versions(), opened.uuid, opened.file.treename, *file, *entries))


@cache
def _versions() -> tuple[Any, ...]:
    import awkward as ak
    import uproot

    return READS, uproot.__version__, ak.__version__


def _pack(digest: bytes, array: Any) -> list[bytes | memoryview]:
    """Give a file's parts: head, checksum as of now, and the rest, with the array's own memory."""
    import awkward as ak

    form, length, buffers = ak.to_buffers(array)
    content: list[memoryview] = []
    places: dict[str, tuple[int, int]] = {}
    size = 0
    for name, buffer in buffers.items():
        raw = memoryview(buffer).cast("B") if buffer.size else memoryview(b"")
        places[name] = (size, raw.nbytes)
        gap = -raw.nbytes % _ALIGNED_BYTES
        content += [raw, memoryview(bytes(gap))]
        size += raw.nbytes + gap
    about = json.dumps({"form": form.to_json(), "length": length, "buffers": places}).encode()
    about += b" " * (-(_START + len(about)) % _ALIGNED_BYTES)
    head = _HEAD.pack(_MAGIC, digest, len(about), _START + len(about) + size)
    return [head, _checksum(head, about, *content), about, *content]


def _unpack(digest: bytes, data: memoryview) -> Any:
    if len(data) < _START:
        return None
    magic, of, about_bytes, n_bytes = _HEAD.unpack_from(data)
    if (magic, of, n_bytes) != (_MAGIC, digest, len(data)):
        return None
    if bytes(data[_HEAD.size : _START]) != _checksum(data[: _HEAD.size], data[_START:]):
        return None
    import awkward as ak

    about = json.loads(bytes(data[_START : _START + about_bytes]))
    content = data[_START + about_bytes :]
    buffers = {name: content[at : at + size] for name, (at, size) in about["buffers"].items()}
    return ak.from_buffers(ak.forms.from_json(about["form"]), about["length"], buffers)


def _checksum(*parts: bytes | memoryview) -> bytes:
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(part)
    return digest.digest()
