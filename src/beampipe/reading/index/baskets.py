"""Opens one basket, and makes sure that it is the one that the index means."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from beampipe.reading.index.codecs import BrokenBytesError, Bytes, decompress
from beampipe.reading.index.model import ByteRange

_KEY = struct.Struct(">ihiIhh")  # bytes, version, content's bytes, date, key's bytes, cycle
_BIG_KEY_VERSION = 1000
_SEEK = {False: struct.Struct(">i"), True: struct.Struct(">q")}
_SEEK_AT = _KEY.size
_CLASS_AT = {False: _SEEK_AT + 8, True: _SEEK_AT + 16}
_CLASS = b"\x07TBasket"
_TAIL = struct.Struct(">Hiiii")  # version, buffer's size, entries' size, entries, last byte
_TAIL_BYTES = _TAIL.size + 1  # and a flag
_OFFSETS = np.dtype(">i4")
_GENERATE_OFFSETS = 1


class Basket(NamedTuple):
    """What was in a basket.

    Attributes
    ----------
    data : numpy.ndarray of uint8
        Content of the entries.
    told : numpy.ndarray or None
        Where each entry begins, counted from `told_from`, in the file's byte order, and a word
        that tells nothing; None if the basket does not say.
    entries : int
        How many.
    key_bytes : int
        Length of the key.
    told_from : int
        The offset of the first byte of `data`.
    """

    data: Bytes
    told: npt.NDArray[Any] | None
    entries: int
    key_bytes: int
    told_from: int = 0

    def bounds(self) -> npt.NDArray[np.int64] | None:
        """Give where in `data` each entry begins, and the end; None if the basket does not say.

        Raises
        ------
        BrokenBytesError
            They do not ascend from the beginning to the end.
        """
        if self.told is None:
            return None
        bounds = np.empty(self.entries + 1, dtype=np.int64)
        np.subtract(self.told, self.told_from, out=bounds)
        bounds[-1] = len(self.data)
        if bounds[0] != 0 or not is_ascending(bounds):
            raise BrokenBytesError("a basket's offsets do not ascend from its beginning")
        return bounds


def is_ascending(words: npt.NDArray[np.int64]) -> bool:
    """Tell whether none is smaller than the one before."""
    return bool((words[1:] >= words[:-1]).all())


def open_basket(raw: memoryview, place: ByteRange, entries: int) -> Basket:
    """Decompress a basket.

    Parameters
    ----------
    raw : memoryview
        Its bytes, with the key.
    place : ByteRange
        Where the index says that it lies.
    entries : int
        How many entries the index says that it has.

    Returns
    -------
    Basket

    Raises
    ------
    BrokenBytesError
        The key does not agree with the index, or the content not with the key.
    """
    key_bytes, size, last, has_sizes = _check_key(raw, place, entries)
    packed = raw[key_bytes:]
    unpacked = decompress(packed, size) if len(packed) != size else np.frombuffer(packed, np.uint8)
    border = last - key_bytes
    if border == size:
        return Basket(unpacked, None, entries, key_bytes)
    # Their number, an offset for each entry, a zero.
    if size - border != (entries + 2) * _OFFSETS.itemsize:
        raise BrokenBytesError(f"{size - border:,} bytes of offsets for {entries:,} entries")
    told = unpacked[border:].view(_OFFSETS)[1:]
    if has_sizes:
        return Basket(unpacked[:border], np.cumsum(told, dtype=np.int64), entries, key_bytes)
    return Basket(unpacked[:border], told, entries, key_bytes, key_bytes)


def _check_key(raw: memoryview, place: ByteRange, entries: int) -> tuple[int, int, int, bool]:
    """Give the lengths of key and content, where the entries end, and if sizes stand for offsets.

    Sizes compress better; ROOT writes them where a tree has the feature kGenerateOffsetMap. A
    negative size of the buffer of offsets tells that there are features; uproot overlooks it.
    """
    try:
        nbytes, version, size, _, key_bytes, _ = _KEY.unpack_from(raw)
        is_big = version > _BIG_KEY_VERSION
        (seek,) = _SEEK[is_big].unpack_from(raw, _SEEK_AT)
        _, _, buffer, found, last = _TAIL.unpack_from(raw, key_bytes - _TAIL_BYTES)
    except struct.error as error:
        raise BrokenBytesError(f"no room for a basket's key in {len(raw):,} bytes") from error
    begin = _CLASS_AT[is_big]
    if bytes(raw[begin : begin + len(_CLASS)]) != _CLASS:
        raise BrokenBytesError(f"there is no basket at byte {place.seek:,}")
    told, due = (nbytes, len(raw), seek, found), (place.size, place.size, place.seek, entries)
    if told != due or not begin < key_bytes <= last <= key_bytes + size:
        raise BrokenBytesError(
            f"the basket at byte {place.seek:,} has (bytes, bytes read, position, entries) {told},"
            f" the index says {due}; its key has {key_bytes} bytes, its content {size:,}"
        )
    return key_bytes, size, last, buffer < 0 and bool(buffer & _GENERATE_OFFSETS)
