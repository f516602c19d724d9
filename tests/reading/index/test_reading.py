from __future__ import annotations

import functools
import queue

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

from beampipe.reading.index.codecs import BrokenBytesError
from beampipe.reading.index.encoding import decode_index, encode_index
from beampipe.reading.index.model import ByteRange
from beampipe.reading.index.reading import (
    MOST_BYTES,
    FetchedBytes,
    can_read,
    coalesce,
    decode_column,
    fetch_ranges,
    plan_ranges,
)

COMPRESSIONS = {
    "none": None,
    "zlib": uproot.ZLIB(1),
    "lzma": uproot.LZMA(1),
    "lz4": uproot.LZ4(4),
    "zstd": uproot.ZSTD(3),
}
RANGES = [(0, 111), (0, 70), (69, 72), (70, 71), (3, 40), (80, 111), (110, 111), (50, 50), (0, 0)]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_column_is_what_uproot_reads(compression, index_file, write_types, assert_equal):
    found = index_file(write_types(compression=COMPRESSIONS[compression]))
    names = found.tree.keys()
    assert all(can_read(found.index, found.template, name) for name in names)
    for start, stop in RANGES:
        for name in names:
            column = found.read(name, start, stop)
            if start < stop:
                due = found.tree[name].array(entry_start=start, entry_stop=stop)
                assert_equal(column, due)
            else:
                assert column.type == found.tree[name].array(entry_stop=0).type
                assert len(column) == 0
            assert len(column) == stop - start


@pytest.fixture(scope="module")
def make_tree(tmp_path_factory):
    """Write a tree of some lists of entries, each a basket; the same one only once."""
    folder = tmp_path_factory.mktemp("hypothesis")

    @functools.cache
    def write(kind, baskets, compression):
        path = folder / f"{kind}-{'-'.join(map(str, baskets))}-{compression}.root"
        with uproot.recreate(path, compression=COMPRESSIONS[compression]) as file:
            start = 0
            for size in baskets:
                columns = two_columns(kind, start, start + size)
                if start == 0:
                    file.mktree("Events", {key: value.type for key, value in columns.items()})
                file["Events"].extend(columns)
                start += size
        return path

    return write


def two_columns(kind, start, stop):
    counts = (np.arange(start, stop) * 7919) % 5
    items = np.random.default_rng(start).integers(0, 100, int(counts.sum())).astype(kind)
    flat = np.random.default_rng(stop).integers(0, 100, stop - start).astype(kind)
    return {"flat": ak.Array(flat), "lists": ak.unflatten(items, counts)}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_type_basket_and_range(make_tree, data):
    kind = data.draw(st.sampled_from(["bool", "i1", "u2", "i4", "f4", "u8", "f8"]))
    baskets = tuple(data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=5)))
    path = make_tree(kind, baskets, data.draw(st.sampled_from(sorted(COMPRESSIONS))))
    ends = data.draw(st.lists(st.integers(0, sum(baskets)), min_size=2, max_size=2))
    start, stop = sorted(ends)
    from beampipe.datasets.counting import count_file
    from beampipe.datasets.model import FileSpec
    from beampipe.reading.index.making import make_index
    from beampipe.reading.index.template import LayoutTemplate
    from beampipe.reading.trees import TreePool

    pool = TreePool()
    opened = pool.get(count_file(FileSpec((str(path),), None), "DY"))
    index, template = decode_index(encode_index(make_index(opened))), LayoutTemplate(opened)
    ranges = plan_ranges(index, template, ["flat", "lists"], start=start, stop=stop)
    fetched = fetch_ranges(opened.tree.file.source, ranges)
    for name in ("flat", "lists"):
        found = decode_column(index, template, fetched, name=name, start=start, stop=stop)
        due = opened.tree[name].array(entry_start=start, entry_stop=stop)
        assert found.type == due.type
        assert found.to_list() == due.to_list()
    pool.close()


def test_a_column_that_ends_before_its_tree(index_file, write_types, assert_equal):
    found = index_file(write_types())
    # As of a branch that was added later: the tree says more entries than it has.
    assert_equal(found.read("flat_f4", 100, 500), found.tree["flat_f4"].array(entry_start=100))
    assert len(found.read("lists_f4", 200, 500)) == 0


def test_one_template_serves_all_files_of_a_layout(index_file, write_types):
    first = index_file(write_types("a.root"))
    second = index_file(write_types("b.root", baskets=(5, 6), compression=uproot.LZ4(1)))
    ranges = plan_ranges(second.index, first.template, ["lists_i2"], start=2, stop=9)
    fetched = fetch_ranges(second.tree.file.source, ranges)
    found = decode_column(second.index, first.template, fetched, name="lists_i2", start=2, stop=9)
    assert found.to_list() == second.tree["lists_i2"].array(entry_start=2, entry_stop=9).to_list()


def test_a_template_of_another_layout_reads_nothing(index_file, write_types, write_events):
    found, other = index_file(write_types()), index_file(write_events())
    assert not can_read(found.index, other.template, "run")
    assert plan_ranges(found.index, other.template, ["run"], start=0, stop=5) == []
    with pytest.raises(KeyError, match="run"):
        decode_column(found.index, other.template, FetchedBytes(), name="run", start=0, stop=5)


def test_lists_come_with_what_counts_them(index_file, write_types):
    found = index_file(write_types())
    lists = plan_ranges(found.index, found.template, ["lists_f4"], start=80, stop=90)
    counts = plan_ranges(found.index, found.template, ["nlists_f4"], start=80, stop=90)
    assert len(lists) == 2
    assert set(counts) < set(lists)
    assert lists == sorted(lists)


def test_bytes_that_were_not_fetched_are_missed(index_file, write_types):
    found = index_file(write_types())
    with pytest.raises(KeyError):
        decode_column(found.index, found.template, FetchedBytes(), name="flat_f4", start=0, stop=5)


class Lazy:
    """A storage that gives too little."""

    def __init__(self, source):
        self._source = source

    def chunks(self, ranges, notifications):
        chunks = self._source.chunks(ranges, notifications)
        for chunk in chunks:
            chunk.wait()
            chunk._raw_data = chunk._raw_data[:-1]
        return chunks


def test_a_storage_that_gives_less_is_an_error(index_file, write_types):
    found = index_file(write_types())
    ranges = plan_ranges(found.index, found.template, ["flat_f4"], start=0, stop=5)
    with pytest.raises(OSError, match="expected Chunk of length"):
        fetch_ranges(Lazy(found.tree.file.source), ranges)


def test_what_is_fetched_is_counted(index_file, write_types):
    found = index_file(write_types())
    ranges = plan_ranges(found.index, found.template, ["flat_f4"], start=0, stop=111)
    before = found.opened.requested_bytes
    apart = fetch_ranges(found.tree.file.source, ranges, gap_bytes=0)
    assert apart.requested_bytes == sum(place.size for place in ranges)
    assert found.opened.requested_bytes - before == apart.requested_bytes
    joined = fetch_ranges(found.tree.file.source, ranges)
    assert joined.requested_bytes == ranges[-1].stop - ranges[0].seek > apart.requested_bytes
    assert {place: bytes(raw) for place, raw in joined.pieces.items()} == {
        place: bytes(raw) for place, raw in apart.pieces.items()
    }


def test_time_is_told(index_file, write_types):
    found = index_file(write_types())
    ranges = plan_ranges(found.index, found.template, ["lists_f4"], start=0, stop=111)
    fetched = fetch_ranges(found.tree.file.source, ranges)
    decode_column(found.index, found.template, fetched, name="lists_f4", start=0, stop=111)
    assert fetched.decompress_s > 0
    assert fetched.interpret_s > 0


def test_pieces_are_added():
    one, other = ByteRange(0, 1), ByteRange(5, 2)
    fetched = FetchedBytes({one: memoryview(b"a")}, 1)
    fetched.add(FetchedBytes({other: memoryview(b"bc")}, 2))
    assert fetched.requested_bytes == 3
    assert list(fetched.pieces) == [one, other]


@pytest.mark.parametrize(
    ("ranges", "gap", "groups"),
    [
        ([], 10, []),
        ([(0, 5)], 0, [1]),
        ([(0, 5), (5, 5), (10, 1)], 0, [3]),
        ([(0, 5), (6, 5)], 0, [1, 1]),
        ([(0, 5), (6, 5), (21, 1), (33, 1)], 10, [3, 1]),
        ([(0, 50), (10, 5), (52, 1)], 2, [3]),
        ([(0, MOST_BYTES - 1), (MOST_BYTES - 1, 1), (MOST_BYTES, 1)], 10, [2, 1]),
        ([(0, 2 * MOST_BYTES), (2 * MOST_BYTES, 1)], 10, [1, 1]),
        ([(1 << 40, 5), ((1 << 40) + 5, 5)], 0, [2]),
    ],
)
def test_ranges_close_to_each_other_are_fetched_as_one(ranges, gap, groups):
    places = [ByteRange(*one) for one in ranges]
    found = list(coalesce(places, gap_bytes=gap))
    assert [len(group) for group in found] == groups
    assert [place for group in found for place in group] == places


def test_nothing_is_asked_for_nothing():
    class Untouchable:
        def chunks(self, *_, **__):
            raise AssertionError

    assert fetch_ranges(Untouchable(), []).pieces == {}


@pytest.mark.parametrize("name", ["flat_f4", "lists_f4", "text", "fixed_i8", "lists_bool"])
@pytest.mark.parametrize("compression", ["none", "zlib", "lz4", "lzma"])
def test_a_byte_that_changes_is_an_error_or_changes_nothing(
    name, compression, index_file, write_types
):
    found = index_file(write_types(compression=COMPRESSIONS[compression]))
    ranges = plan_ranges(found.index, found.template, [name], start=0, stop=70)
    fetched = fetch_ranges(found.tree.file.source, ranges)
    due = found.read(name, 0, 70).to_list()
    column = found.template.find(name)
    seek = int(found.index.table.get(column.position).seeks[0])
    place = next(place for place in ranges if place.seek == seek)
    raw = bytes(fetched.pieces[place])
    border = found.tree[name].basket_key(0).fKeylen
    # Of what is stored as it is, only the key and the offsets can be checked.
    stop = border if compression == "none" else len(raw)
    if compression != "none" and found.tree[name].basket(0).block_compression_info is None:
        stop = border
    quiet = 0
    for at in range(0, stop, 1 if stop < 400 else 3):
        broken = bytearray(raw)
        broken[at] ^= 0x15
        pieces = fetched.pieces | {place: memoryview(broken)}
        try:
            column = decode_column(
                found.index, found.template, FetchedBytes(pieces), name=name, start=0, stop=70
            )
        except BrokenBytesError:
            continue
        quiet += 1
        assert column.to_list() == due, at
    assert quiet < 60  # date, cycle, names, buffer sizes and the like in the key


def test_a_truncated_basket_is_an_error(index_file, write_types):
    found = index_file(write_types(compression=uproot.ZLIB(1)))
    ranges = plan_ranges(found.index, found.template, ["lists_i4"], start=0, stop=70)
    fetched = fetch_ranges(found.tree.file.source, ranges)
    for place in ranges[-1:]:
        for size in range(0, place.size, 7):
            pieces = fetched.pieces | {place: fetched.pieces[place][:size]}
            with pytest.raises(BrokenBytesError):
                decode_column(
                    found.index,
                    found.template,
                    FetchedBytes(pieces),
                    name="lists_i4",
                    start=0,
                    stop=70,
                )


def test_it_is_uproots_source_that_is_asked(index_file, write_types):
    found = index_file(write_types())
    (place,) = plan_ranges(found.index, found.template, ["flat_f4"], start=0, stop=5)
    chunk = found.tree.file.source.chunks([(place.seek, place.stop)], queue.Queue())[0]
    fetched = fetch_ranges(found.tree.file.source, [place])
    assert bytes(fetched.pieces[place]) == chunk.raw_data.tobytes()
