"""The members of the archive: JSON, arrays, pickles; equal values give equal bytes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

STAMP = (1980, 1, 1, 0, 0, 0)  # the same value gives the same bytes
_BLOCK_BYTES = 1 << 20
_MODE = 0o644 << 16
# A probe of this many words decides whether an array is worth deflating.
_PROBE_BLOCKS, _PROBE_BYTES = 64, 4096
_MOSTLY = 0.75
_SMALL_BYTES = 512
_HEADER_BYTES = 60_000  # what version 1.0 of NumPy's format can hold, and some room


@dataclass(slots=True)
class MemberWriter:
    """Adds members under a prefix, numbering arrays and pickles."""

    archive: zipfile.ZipFile
    prefix: str
    n_arrays: int = 0
    n_pickles: int = 0

    def write_json(self, name: str, data: Any) -> None:
        """Write one JSON document."""
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._write_bytes(name, text.encode())

    def write_array(self, array: NDArray[Any]) -> int:
        """Write one array without pickle and return its number."""
        number = self.n_arrays
        self.n_arrays += 1
        deflated = _is_mostly_zero(array)
        with self._open(f"arrays/{number}.npy", array.nbytes + 4096, deflated) as stream:
            _write_npy(stream, array)
        return number

    def write_pickle(self, data: bytes) -> int:
        """Write one pickle and return its number."""
        number = self.n_pickles
        self.n_pickles += 1
        self._write_bytes(f"pickles/{number}.pkl", data)
        return number

    def _write_bytes(self, name: str, data: bytes) -> None:
        with self._open(name, len(data), len(data) > _SMALL_BYTES) as stream:
            stream.write(data)

    @contextmanager
    def _open(self, name: str, size_bytes: int, deflated: bool) -> Iterator[IO[bytes]]:  # noqa: FBT001
        info = zipfile.ZipInfo(f"{self.prefix}/{name}", STAMP)
        info.external_attr = _MODE
        info.file_size = size_bytes  # lets zipfile choose zip64 ahead of time
        if deflated:
            info.compress_type = zipfile.ZIP_DEFLATED
            # There is no public way to choose a level for a member that is written in parts;
            # the attribute lost its underscore in Python 3.13.
            level = "compress_level" if hasattr(info, "compress_level") else "_compresslevel"
            setattr(info, level, 1)
        with self.archive.open(info, "w") as stream:
            yield stream


@dataclass(frozen=True, slots=True)
class MemberReader:
    """Reads members under a prefix."""

    archive: zipfile.ZipFile
    prefix: str

    def read_json(self, name: str) -> Any:
        """Read one JSON document."""
        return json.loads(self.archive.read(f"{self.prefix}/{name}"))

    def read_array(self, number: int) -> NDArray[Any]:
        """Read one array; pickles in it are refused."""
        with self._open_array(number) as stream:
            array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
        return array

    def read_array_into(self, number: int, target: NDArray[Any]) -> None:
        """Read one array into memory that is there already.

        An array of the same layout needs no copy on the way.
        """
        with self._open_array(number) as stream:
            if npy.read_magic(stream) == (1, 0):
                shape, in_columns, dtype = npy.read_array_header_1_0(stream)
                flat = target.T if in_columns else target
                if (shape, dtype) == (target.shape, target.dtype) and flat.flags.c_contiguous:
                    _fill(flat, stream)
                    return
        target[...] = self.read_array(number)

    def read_pickle(self, number: int) -> bytes:
        """Read the bytes of one pickle."""
        return self.archive.read(f"{self.prefix}/pickles/{number}.pkl")

    def _open_array(self, number: int) -> IO[bytes]:
        return self.archive.open(f"{self.prefix}/arrays/{number}.npy")


def _fill(target: NDArray[Any], stream: IO[bytes]) -> None:
    memory = target.reshape(-1).view(np.uint8)
    place = 0
    while place < len(memory):
        block = stream.read(min(_BLOCK_BYTES, len(memory) - place))
        if not block:
            raise EOFError(f"{len(memory) - place} bytes of an array are missing")
        memory[place : place + len(block)] = np.frombuffer(block, np.uint8)
        place += len(block)


def _write_npy(stream: IO[bytes], array: NDArray[Any]) -> None:
    # Left to itself, NumPy warns where names of fields need the newest version.
    header = str(npy.dtype_to_descr(array.dtype))
    if not header.isascii() or len(header) > _HEADER_BYTES:
        npy.write_array(stream, array, version=(3, 0), allow_pickle=False)
        return
    memory = _memory(array)
    if memory is None:
        npy.write_array(stream, array, version=(1, 0), allow_pickle=False)
        return
    # As `write_array` would, but from the memory as it lies: twice as fast, and no copies.
    npy.write_array_header_1_0(stream, npy.header_data_from_array_1_0(array))
    for place in range(0, len(memory), _BLOCK_BYTES):
        stream.write(memory[place : place + _BLOCK_BYTES].data)


def _memory(array: NDArray[Any]) -> NDArray[np.uint8] | None:
    """The bytes of an array in the order in which its file has them, or None if scattered."""
    flat = array if array.flags.c_contiguous else array.T
    if not flat.flags.c_contiguous or flat.dtype.itemsize == 0:
        return None
    return flat.reshape(-1).view(np.uint8)


def _is_mostly_zero(array: NDArray[Any]) -> bool:
    """Tell from a few blocks whether deflating pays."""
    data = _memory(array)
    if data is None or len(data) < _SMALL_BYTES:
        return False
    step = max(_PROBE_BYTES, len(data) // _PROBE_BLOCKS)
    probes = [data[i : i + _PROBE_BYTES] for i in range(0, len(data), step)]
    zeros = sum(len(probe) - int(np.count_nonzero(probe)) for probe in probes)
    return zeros > _MOSTLY * sum(map(len, probes))
