"""An index as bytes: small, checksummed, of a known version; docs/reference/index-format.md.

Baskets of one cluster lie one behind the other, so that in the file's order nearly all that has
to be told of a basket is its size.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import cramjam
import numpy as np
import numpy.typing as npt
import xxhash

from beampipe.reading.index.model import UNREADABLE, BasketTable, FileIndex

VERSION = 1
_MAGIC = b"BPINDEX\n"
_HEAD = struct.Struct("<8sHIQ16s")  # magic, version, description's bytes, body's bytes, checksum
_LEVEL = 19
_MOST_BYTES = 1 << 31
_WORD = 8

Words = npt.NDArray[np.int64]


def encode_index(index: FileIndex) -> bytes:
    """Write an index as bytes.

    Parameters
    ----------
    index : FileIndex

    Returns
    -------
    bytes
        The same for the same index.
    """
    table = index.table
    order = np.argsort(table.seeks, kind="stable").astype(np.int64)
    seeks, sizes = table.seeks[order], table.sizes[order]
    lengths = [len(pattern) for pattern in table.patterns]
    arrays: list[Words] = [
        _zigzag(seeks - _before(seeks + sizes)),
        sizes,
        _zigzag(order - _before(order)),
        table.pattern_of.astype(np.int64) + 1,
        np.array(lengths, dtype=np.int64),
        *(pattern - _before(pattern) for pattern in table.patterns),
        _from_first(index.boundaries),
    ]
    facts = {
        "uuid": index.uuid,
        "treename": index.treename,
        "kind": index.kind,
        "entries": index.entries,
        "layout": index.layout,
        "has_checksums": index.has_checksums,
        "columns": len(table),
        "baskets": len(seeks),
        "patterns": len(lengths),
        "boundaries": len(index.boundaries),
    }
    body = b"".join(map(_pack, arrays))
    described = json.dumps({**facts, "bytes": len(body)}, sort_keys=True).encode()
    packed = bytes(cramjam.zstd.compress(body, _LEVEL))
    check = _checksum(described, packed)
    return _HEAD.pack(_MAGIC, VERSION, len(described), len(packed), check) + described + packed


def decode_index(data: bytes) -> FileIndex | None:
    """Read what `encode_index` wrote.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    FileIndex or None
        None for anything else: torn, damaged, foreign, or of another version.
    """
    if len(data) < _HEAD.size:
        return None
    magic, version, described_bytes, packed_bytes, check = _HEAD.unpack_from(data)
    begin = _HEAD.size
    if (magic, version) != (_MAGIC, VERSION) or len(data) != begin + described_bytes + packed_bytes:
        return None
    described, packed = data[begin : begin + described_bytes], data[begin + described_bytes :]
    if _checksum(described, packed) != check:
        return None
    facts = json.loads(described)
    if facts["bytes"] > _MOST_BYTES:
        return None
    body: Any = np.empty(facts["bytes"], dtype=np.uint8)
    cramjam.zstd.decompress_into(packed, body)
    return _rebuild(facts, _Reader(body))


def _rebuild(facts: dict[str, Any], reader: _Reader) -> FileIndex:
    baskets = facts["baskets"]
    gaps, sizes = _unzigzag(reader.take(baskets)), reader.take(baskets)
    order = np.cumsum(_unzigzag(reader.take(baskets)))
    ends = np.cumsum(gaps + sizes)
    pattern_of = (reader.take(facts["columns"]) - 1).astype(np.int32)
    lengths = reader.take(facts["patterns"])
    patterns = tuple(np.cumsum(reader.take(int(length))) for length in lengths)
    boundaries = np.cumsum(reader.take(facts["boundaries"]))
    table = BasketTable(
        bounds=_bounds(pattern_of, lengths),
        seeks=_scatter(ends - sizes, order),
        sizes=_scatter(sizes, order),
        pattern_of=pattern_of,
        patterns=patterns,
    )
    return FileIndex(
        uuid=facts["uuid"],
        treename=facts["treename"],
        kind=facts["kind"],
        entries=facts["entries"],
        layout=facts["layout"],
        boundaries=tuple(boundaries.tolist()),
        table=table,
        has_checksums=facts["has_checksums"],
    )


class _Reader:
    """Takes arrays off a body, one after the other."""

    def __init__(self, body: npt.NDArray[np.uint8]) -> None:
        self._body = body
        self._at = 0

    def take(self, length: int) -> Words:
        planes = self._body[self._at : self._at + length * _WORD].reshape(_WORD, length)
        self._at += length * _WORD
        return np.ascontiguousarray(planes.T).view("<i8").reshape(length).astype(np.int64)


def _pack(words: Words) -> bytes:
    """Put the lowest bytes of all words first, then the next: most of the others are zeros."""
    return words.astype("<i8").view(np.uint8).reshape(len(words), _WORD).T.tobytes()


def _bounds(pattern_of: npt.NDArray[np.int32], lengths: Words) -> Words:
    """Give where each column's baskets begin: it has one less than its pattern has entries."""
    counts = np.append(lengths - 1, 0)[pattern_of]  # what is unreadable takes the last one
    counts[pattern_of == UNREADABLE] = 0
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])


def _before(words: Words) -> Words:
    """Give what stands before each."""
    return np.concatenate([np.zeros(1, dtype=np.int64), words[:-1]])[: len(words)]


def _from_first(numbers: tuple[int, ...]) -> Words:
    words = np.array(numbers, dtype=np.int64)
    return words - _before(words)


def _scatter(words: Words, order: Words) -> Words:
    out = np.empty_like(words)
    out[order] = words
    return out


def _zigzag(words: Words) -> Words:
    """Make small numbers of either sign small without one."""
    return (words << 1) ^ (words >> 63)


def _unzigzag(words: Words) -> Words:
    return (words >> 1) ^ -(words & 1)


def _checksum(described: bytes, packed: bytes) -> bytes:
    return xxhash.xxh3_128_digest(
        _HEAD.pack(_MAGIC, VERSION, 0, 0, b"") + described + b"\n" + packed
    )
