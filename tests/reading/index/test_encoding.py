from __future__ import annotations

import dataclasses
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beampipe.reading.index import encoding
from beampipe.reading.index.encoding import decode_index, encode_index
from beampipe.reading.index.making import gather_baskets
from beampipe.reading.index.model import Baskets, FileIndex


def make(columns, **facts):
    given_facts = {
        "uuid": "49e2a3d4-0000-11ef-8000-beefbeefbeef",
        "treename": "a/Événements µ",
        "kind": "TTree",
        "entries": 9,
        "layout": "ttree 0123",
        "boundaries": (0, 4, 9),
    }
    return FileIndex(**(given_facts | facts), table=gather_baskets(columns))


def words(*numbers):
    return np.array(numbers, dtype=np.int64)


def assert_same(found, due):
    for field in dataclasses.fields(FileIndex):
        if field.name != "table":
            assert getattr(found, field.name) == getattr(due, field.name)
    for name in ("bounds", "seeks", "sizes", "pattern_of"):
        left, right = getattr(found.table, name), getattr(due.table, name)
        assert left.dtype == right.dtype
        assert left.tolist() == right.tolist()
    assert [p.tolist() for p in found.table.patterns] == [p.tolist() for p in due.table.patterns]


INDEX = make([Baskets(words(100, 1 << 40), words(10, 20), words(0, 4, 9)), None])


def test_what_is_written_is_read():
    assert_same(decode_index(encode_index(INDEX)), INDEX)


def test_an_index_of_nothing():
    assert_same(decode_index(encode_index(make([]))), make([]))
    empty = Baskets(words(), words(), words(0))
    assert_same(decode_index(encode_index(make([empty, None]))), make([empty, None]))


positions = st.integers(0, 1 << 48)


@st.composite
def tables(draw):
    columns = []
    for _ in range(draw(st.integers(0, 6))):
        count = draw(st.integers(0, 5))
        firsts = [0, *sorted(draw(st.lists(positions, min_size=count, max_size=count)))]
        seeks = draw(st.lists(positions, min_size=count, max_size=count))
        sizes = draw(st.lists(st.integers(0, 1 << 31), min_size=count, max_size=count))
        columns.append(Baskets(words(*seeks), words(*sizes), words(*firsts)))
        if draw(st.booleans()):
            columns.append(None)
    return columns


@settings(max_examples=150, deadline=None)
@given(tables(), st.lists(positions, min_size=1, max_size=5))
def test_any_index_comes_back(columns, boundaries):
    index = make(columns, boundaries=tuple(sorted({0, *boundaries})), entries=max(boundaries))
    data = encode_index(index)
    assert_same(decode_index(data), index)
    assert encode_index(decode_index(data)) == data


def test_no_flipped_byte_is_read():
    data = encode_index(INDEX)
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 0x41
        assert decode_index(bytes(broken)) is None, at


def test_no_torn_index_is_read():
    data = encode_index(INDEX)
    for size in range(len(data)):
        assert decode_index(data[:size]) is None, size
    assert decode_index(data + b"\0") is None


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"root" * 50, b"BPINDEX\n" * 20])
def test_nothing_foreign_is_read(data):
    assert decode_index(data) is None


def test_another_version_is_not_read(monkeypatch):
    data = encode_index(INDEX)
    monkeypatch.setattr(encoding, "VERSION", encoding.VERSION + 1)
    newer = encode_index(INDEX)
    assert_same(decode_index(newer), INDEX)
    assert decode_index(data) is None


def test_it_is_small(index_file, write_types):
    path = write_types(baskets=(2000,) * 20)
    index = index_file(path).index
    assert len(index.table.seeks) > 800
    data = encode_index(index)
    assert len(data) < 0.01 * path.stat().st_size
    assert len(data) < 3 * len(index.table.seeks)


def test_the_format_is_as_documented():
    data = encode_index(INDEX)
    magic, version, described, packed, _ = struct.unpack_from("<8sHIQ16s", data)
    assert (magic, version) == (b"BPINDEX\n", 1)
    assert len(data) == 38 + described + packed
