from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest
import uproot
import xxhash

from beampipe.reading.index.codecs import BrokenBytesError
from beampipe.reading.index.encoding import decode_index, encode_index
from beampipe.reading.index.fields import PageColumn
from beampipe.reading.index.making import gather_baskets
from beampipe.reading.index.pages import (
    check_page,
    gather_pages,
    has_pages,
    make_field,
    open_columns,
    open_page,
    plan_pages,
)
from beampipe.reading.index.reading import (
    FetchedBytes,
    can_read,
    decode_column,
    fetch_ranges,
    plan_ranges,
)

BY_ROOT = Path(__file__).parent / "made_by_root"
COMPRESSIONS = {
    "none": None,
    "zlib": uproot.ZLIB(1),
    "lzma": uproot.LZMA(1),
    "lz4": uproot.LZ4(4),
    "zstd": uproot.ZSTD(3),
}
# An optional and a variant, packed floats, and a pair's member whose name is a number.
LEFT_TO_UPROOT = {"o", "v", "ft", "fq", "vp.1"}
RANGES = [(0, 120), (0, 50), (49, 51), (50, 100), (7, 113), (119, 120), (100, 120)]
KINDS = ("bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


def assert_same(found, due):
    assert found.layout.form == due.layout.form
    assert found.type == due.type
    assert ak.array_equal(found, due, equal_nan=True)


def paths_of(tree):
    return [field.path for field in tree.ntuple.all_fields if field.path is not None]


def assert_fields_equal(found, names, start, stop):
    index = decode_index(encode_index(found.index))
    ranges = plan_ranges(index, found.template, names, start=start, stop=stop)
    fetched = fetch_ranges(found.tree.file.source, ranges)
    for name in names:
        array = decode_column(index, found.template, fetched, name=name, start=start, stop=stop)
        assert_same(array, found.tree[name].array(entry_start=start, entry_stop=stop))


@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_every_type_that_root_writes(start, stop, index_file):
    found = index_file(BY_ROOT / "fields.root")
    names = set(paths_of(found.tree))
    readable = {name for name in names if can_read(found.index, found.template, name)}
    assert names - readable == LEFT_TO_UPROOT
    assert len(readable) == 25
    assert_fields_equal(found, sorted(readable), start, stop)


def test_every_field_of_a_real_file(real_data, index_file):
    found = index_file(real_data / "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root")
    names = paths_of(found.tree)
    assert len(names) == 12
    assert all(can_read(found.index, found.template, name) for name in names)
    for start, stop in ((0, 1000), (17, 500), (999, 1000)):
        assert_fields_equal(found, names, start, stop)


def test_the_fields_of_a_wide_file(real_data, index_file):
    # Of 1,903 fields, those of one in twelve: describing one takes uproot milliseconds.
    found = index_file(real_data / "nano_dy_rntuple.root")
    names = paths_of(found.tree)[::12]
    assert all(can_read(found.index, found.template, name) for name in names)
    assert_fields_equal(found, names, 0, 40)
    assert_fields_equal(found, names, 3, 20)


def columns_of(start, stop):
    entries = np.arange(start, stop)
    counts = entries % 4
    columns = {}
    for number, kind in enumerate(KINDS):
        items = np.arange(int(counts.sum())) * 37 - 500 + number
        columns[f"flat_{kind}"] = ak.Array((entries * 91 - 400).astype(kind))
        columns[f"lists_{kind}"] = ak.unflatten(items.astype(kind), counts)
    columns["text"] = ak.Array([f"{'é' * (entry % 5)}#{entry}" for entry in entries.tolist()])
    columns["deep"] = ak.unflatten(columns["lists_i4"], np.ones(len(counts), dtype=np.int64))
    return columns


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_type_and_codec_that_uproot_writes(compression, index_file, tmp_path):
    path, start = tmp_path / "n.root", 0
    with uproot.recreate(path, compression=COMPRESSIONS[compression]) as file:
        for size in (50, 1, 69):
            columns = columns_of(start, start + size)
            if start == 0:
                file.mkrntuple("Events", columns)
            else:
                file["Events"].extend(columns)
            start += size
    found = index_file(path)
    assert found.index.boundaries == (0, 50, 51, 120)
    names = [field.name for field in found.tree.fields]
    assert len(names) == 24
    assert all(can_read(found.index, found.template, name) for name in names)
    for begin, end in RANGES:
        assert_fields_equal(found, names, begin, end)


@pytest.mark.parametrize("at", [(0, 0), (7, 7), (120, 130), (200, 300)])
def test_nothing_is_of_the_right_type(at, index_file):
    found = index_file(BY_ROOT / "fields.root")
    for name in ("f", "vf", "s", "vvi", "a", "vp"):
        assert plan_ranges(found.index, found.template, [name], start=at[0], stop=at[1]) == []
        array = decode_column(
            found.index, found.template, FetchedBytes(), name=name, start=at[0], stop=at[1]
        )
        assert len(array) == 0
        assert array.layout.form.type == found.tree[name].array().layout.form.type


def test_no_cluster_is_read_that_has_nothing_of_a_range(index_file):
    found = index_file(BY_ROOT / "fields.root")
    field = found.template.find("f")
    first = list(plan_pages(found.index, field, 0, 50))
    assert len(first) == 1
    assert list(plan_pages(found.index, field, 49, 51)) != first
    assert len(list(plan_pages(found.index, field, 49, 51))) == 2


def test_a_flipped_byte_of_a_page_is_an_error(index_file):
    found = index_file(BY_ROOT / "fields.root")
    field = found.template.find("vf")
    places = list(plan_pages(found.index, field, 0, 120))
    fetched = fetch_ranges(found.tree.file.source, places)
    for place in places:
        raw = bytes(fetched.pieces[place])
        for at in range(len(raw)):
            broken = bytearray(raw)
            broken[at] ^= 0x10
            pieces = fetched.pieces | {place: memoryview(broken)}
            with pytest.raises(BrokenBytesError, match="checksum"):
                open_columns(found.index, field, pieces, start=0, stop=120)
        for size in (0, 5, len(raw) - 1):
            pieces = fetched.pieces | {place: memoryview(raw)[:size]}
            with pytest.raises(BrokenBytesError):
                open_columns(found.index, field, pieces, start=0, stop=120)


def plain(dtype, **how):
    names = ("is_bit", "is_split", "is_zigzag", "is_delta", "is_offset", "is_cardinality")
    given = dict.fromkeys(names, False) | how
    return PageColumn("column-0", 0, np.dtype(dtype), **given)


@pytest.mark.parametrize(
    ("column", "body", "due"),
    [
        (plain("i4"), b"\x01\0\0\0\xff\xff\xff\xff", [1, -1]),
        (plain("i2", is_split=True), b"\x01\x02\x00\x10", [1, 0x1002]),
        (plain("i2", is_split=True, is_zigzag=True), b"\x01\x02\x00\x00", [-1, 1]),
        (plain("i8", is_delta=True, is_offset=True), bytes([3, *[0] * 7, 4, *[0] * 7]), [3, 7]),
        (plain("bool", is_bit=True), b"\x02", [False, True]),
    ],
)
def test_how_elements_are_written(column, body, due):
    elements = np.empty(2, dtype=column.dtype)
    open_page(column, memoryview(body), elements)
    assert elements.tolist() == due
    for wrong in (body + b"\0", body[:-1]):
        with pytest.raises(BrokenBytesError):
            open_page(column, memoryview(wrong), elements)


def page(elements, *, has_checksum=True):
    locator = SimpleNamespace(offset=1 << 40, num_bytes=8)
    return SimpleNamespace(num_elements=elements, has_checksum=has_checksum, locator=locator)


def pages(*of, offset=0, suppressed=False):
    return SimpleNamespace(pages=list(of), element_offset=offset, suppressed=suppressed)


def test_a_checksum_is_checked():
    body = b"a page"
    raw = body + xxhash.xxh3_64_intdigest(body).to_bytes(8, "little")
    assert check_page(memoryview(raw)) == body
    for wrong in (b"A" + raw[1:], raw[:-1] + b"?", raw[:-1], raw[:4], b""):
        with pytest.raises(BrokenBytesError, match="checksum"):
            check_page(memoryview(wrong))


def test_pages_without_checksums_are_found():
    clusters = [[pages(page(3, has_checksum=False)), pages()]]
    found, has_checksums = gather_pages(SimpleNamespace(page_link_list=clusters))
    assert not has_checksums
    assert found[0].sizes.tolist() == [8]
    assert found[1].sizes.tolist() == []


def test_what_cannot_be_told_is_left_to_uproot():
    clusters = [
        [pages(page(3)), pages(page(3, has_checksum=False)), pages(suppressed=True), pages()],
        [pages(page(2), page(1), offset=3), pages(page(1), offset=3), pages(), pages(offset=1)],
        [pages(page(1), offset=6), pages(), pages(), pages(), pages(page(1), offset=7)],
    ]
    found, has_checksums = gather_pages(SimpleNamespace(page_link_list=clusters))
    assert has_checksums
    readable = [None if one is None else one.firsts.tolist() for one in found]
    assert readable == [
        *([0, 3], None, None, [0], None),
        *([0, 2, 3], None, None, None, None),
        *([0, 1], None, None, None, None),
    ]
    assert found[0].seeks.tolist() == [1 << 40]
    assert found[0].sizes.tolist() == [16]


def test_a_field_is_known_if_all_its_pages_are(index_file):
    found = index_file(BY_ROOT / "fields.root")
    field = found.template.find("f")
    assert has_pages(found.index, field)
    table = gather_baskets([None] * len(found.index.table))
    index = decode_index(encode_index(found.index))
    object.__setattr__(index, "table", table)
    assert not has_pages(index, field)
    object.__setattr__(index, "table", gather_baskets([]))
    assert not has_pages(index, field)


def test_fields_of_no_cluster_are_empty(index_file, tmp_path):
    with uproot.recreate(tmp_path / "e.root") as file:
        file.mkrntuple("Events", {"x": "f8"})
    found = index_file(tmp_path / "e.root")
    assert can_read(found.index, found.template, "x")
    field = found.template.find("x")
    assert len(make_field(found.index, field, {}, start=0, stop=0)) == 0
