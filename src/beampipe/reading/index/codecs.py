"""Takes apart ROOT's compressed blocks, with the fastest library for each codec.

All of them work without holding Python's lock. What a block says of itself is checked, because
no decompressor checks all of it: a wrong length here would be wrong numbers later.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import cramjam
import numpy as np
import numpy.typing as npt
import xxhash

_libdeflate: Any = None
with suppress(ImportError):  # there is none for some kinds of processor
    import deflate as _libdeflate

_HEADER = struct.Struct("<2sBHBHB")  # codec, method, packed bytes, bytes: of 24 bits each
_CramjamError: Any = cramjam.DecompressionError
_LZ4_CHECKSUM_BYTES = 8

Bytes = npt.NDArray[np.uint8]


class BrokenBytesError(ValueError):
    """Bytes of a file that are not what they should be."""


def decompress(packed: memoryview, size: int) -> Bytes:
    """Decompress the blocks of a basket or a page.

    Parameters
    ----------
    packed : memoryview
        One or several blocks, each with ROOT's header of nine bytes, and nothing behind them.
    size : int
        What must come out [bytes].

    Returns
    -------
    numpy.ndarray of uint8
        Read-only after some codecs.

    Raises
    ------
    BrokenBytesError
        The blocks do not add up, or a codec cannot make sense of its bytes.
    """
    content, at = _open_block(packed, 0, size)
    if at == len(packed) and len(content) == size:  # nearly always
        return np.frombuffer(content, dtype=np.uint8)
    whole, unpacked = np.empty(size, dtype=np.uint8), 0
    while True:
        whole[unpacked : unpacked + len(content)] = np.frombuffer(content, dtype=np.uint8)
        unpacked += len(content)
        if at == len(packed):
            break
        content, at = _open_block(packed, at, size - unpacked)
    if unpacked != size:
        raise BrokenBytesError(f"blocks of {unpacked:,} bytes in all, where {size:,} were due")
    return whole


def _open_block(packed: memoryview, at: int, room: int) -> tuple[Any, int]:
    """Decompress one block; give its content, and where the next begins."""
    try:
        name, _, low, high, length_low, length_high = _HEADER.unpack_from(packed, at)
    except struct.error as error:
        raise BrokenBytesError("no room for the header of a compressed block") from error
    begin = at + _HEADER.size
    stop = begin + low + (high << 16)
    length = length_low + (length_high << 16)
    if stop > len(packed):
        raise BrokenBytesError(f"a compressed block ends at {stop:,} of {len(packed):,} bytes")
    if length > room:
        raise BrokenBytesError(f"a block of {length:,} bytes, where at most {room:,} were due")
    codec = _CODECS.get(name)
    if codec is None:
        raise BrokenBytesError(f"{name!r} is no codec of ROOT")
    content = codec(packed[begin:stop], length)
    if len(content) != length:
        raise BrokenBytesError(f"a block of {len(content):,} bytes that says it has {length:,}")
    return content, stop


def _zlib(packed: memoryview, length: int) -> Any:
    try:
        return zlib.decompress(packed, bufsize=length)
    except zlib.error as error:
        raise BrokenBytesError(f"zlib: {error}") from error


def _zlib_at_once(packed: memoryview, length: int) -> Any:
    try:
        return _libdeflate.zlib_decompress(packed, length)
    except _libdeflate.DeflateError as error:
        raise BrokenBytesError(f"zlib: {error}") from error


def _lz4(packed: memoryview, length: int) -> Any:
    told, block = packed[:_LZ4_CHECKSUM_BYTES], packed[_LZ4_CHECKSUM_BYTES:]
    if xxhash.xxh64_intdigest(block) != int.from_bytes(told, "big"):
        raise BrokenBytesError("lz4: the checksum does not agree")
    content: Any = np.empty(length, dtype=np.uint8)
    try:
        filled = cramjam.lz4.decompress_block_into(block, content, output_len=length)
    except _CramjamError as error:
        raise BrokenBytesError(f"lz4: {error}") from error
    return content[:filled]


def _zstd(packed: memoryview, length: int) -> Any:
    content: Any = np.empty(length, dtype=np.uint8)
    try:
        filled = cramjam.zstd.decompress_into(packed, content)
    except _CramjamError as error:
        raise BrokenBytesError(f"zstd: {error}") from error
    return content[:filled]


def _lzma(packed: memoryview, length: int) -> Any:
    del length  # the format knows
    try:
        return lzma.decompress(packed, format=lzma.FORMAT_XZ)
    except lzma.LZMAError as error:
        raise BrokenBytesError(f"lzma: {error}") from error


_CODECS: dict[bytes, Callable[[memoryview, int], Any]] = {
    b"ZL": _zlib if _libdeflate is None else _zlib_at_once,
    b"L4": _lz4,
    b"ZS": _zstd,
    b"XZ": _lzma,
}
