from __future__ import annotations

import struct

import numpy as np
import pytest
import uproot

from beampipe.reading.index.baskets import open_basket
from beampipe.reading.index.codecs import BrokenBytesError
from beampipe.reading.index.model import ByteRange

ENTRIES = 70


@pytest.fixture(params=["lists_f4", "flat_f4", "long_text"])
def stored(request, index_file, write_types):
    """A basket's bytes, where it lies, and uproot's view of it."""
    found = index_file(write_types(compression=uproot.ZLIB(1)))
    baskets = found.index.table.get(found.template.find(request.param).position)
    place = ByteRange(int(baskets.seeks[0]), int(baskets.sizes[0]))
    raw = bytes(found.tree.file.source.chunk(place.seek, place.stop).raw_data)
    return raw, place, found.tree[request.param].basket(0)


def test_a_basket_is_what_uproot_makes_of_it(stored):
    raw, place, due = stored
    basket = open_basket(memoryview(raw), place, ENTRIES)
    assert basket.data.tobytes() == due.data.tobytes()
    assert basket.key_bytes == due.member("fKeylen")
    if due.byte_offsets is None:
        assert basket.bounds() is None
    else:
        assert basket.bounds().tolist() == due.byte_offsets.tolist()


@pytest.mark.parametrize(
    ("at", "what"),
    [(0, "bytes"), (6, "content"), (14, "key"), (18, "position"), (26, "class")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_key_that_does_not_agree_is_an_error(stored, at, what):
    raw, place, _ = stored
    version = struct.unpack_from(">h", raw, 4)[0]
    width = {"position": 8 if version > 1000 else 4, "key": 2, "class": 8}.get(what, 4)
    if what == "class":
        at = raw.index(b"\x07TBasket")
    broken = bytearray(raw)
    broken[at + width - 1] ^= 1
    with pytest.raises(BrokenBytesError):
        open_basket(memoryview(broken), place, ENTRIES)


@pytest.mark.parametrize("entries", [ENTRIES - 1, ENTRIES + 1, 0])
def test_another_number_of_entries_is_an_error(stored, entries):
    raw, place, _ = stored
    with pytest.raises(BrokenBytesError, match=f"{ENTRIES}\\)"):
        open_basket(memoryview(raw), place, entries)


@pytest.mark.parametrize("kept", [0, 3, 20, 60, -1])
def test_a_truncated_basket_is_an_error(stored, kept):
    raw, place, _ = stored
    with pytest.raises(BrokenBytesError):
        open_basket(memoryview(raw[:kept]), place, ENTRIES)


def test_a_basket_from_elsewhere_is_an_error(stored):
    raw, place, _ = stored
    with pytest.raises(BrokenBytesError, match="the index says"):
        open_basket(memoryview(raw), ByteRange(place.seek + 1, place.size), ENTRIES)


def make_basket(offsets, data=b"abcdef", *, big=False, last=None, buffer=1000, body=None):
    """Write an uncompressed basket by hand."""
    key = 18 + (16 if big else 8) + 8 + 2 + 2 + 19
    if body is None:
        body = data if offsets is None else data + _array(offsets, key)
    entries = 3 if offsets is None else len(offsets)
    seek = (1 << 33 if big else 1000, 100)
    head = struct.pack(
        ">ihiIhh", key + len(body), 1004 if big else 4, len(body), 0, key, 1
    ) + struct.pack(">qq" if big else ">ii", *seek)
    last = key + len(data) if last is None else last
    tail = struct.pack(">Hiiiib", 3, 32000, buffer, entries, last, 0)
    raw = head + b"\x07TBasket\x01x\x01t" + tail + body
    return memoryview(raw), ByteRange(seek[0], len(raw)), entries


def _array(offsets, key):
    numbers = [len(offsets) + 1, *(offset + key for offset in offsets), 0]
    return np.array(numbers, dtype=">i4").tobytes()


@pytest.mark.parametrize("big", [False, True], ids=["32 bits", "64 bits"])
def test_positions_of_either_width(big):
    basket = open_basket(*make_basket([0, 1, 4], big=big))
    assert basket.bounds().tolist() == [0, 1, 4, 6]
    assert basket.data.tobytes() == b"abcdef"


def test_sizes_in_place_of_offsets():
    body = b"abcdef" + np.array([4, 0, 1, 3, 0], dtype=">i4").tobytes()
    basket = open_basket(*make_basket([0, 1, 4], body=body, buffer=-(1000 << 8) | 1))
    assert basket.bounds().tolist() == [0, 1, 4, 6]
    with pytest.raises(BrokenBytesError, match="ascend"):
        open_basket(*make_basket([0, 1, 4], body=body)).bounds()


@pytest.mark.parametrize("offsets", [[1, 2, 3], [0, 4, 2], [0, 1, 9], [0, -1, 2]], ids=str)
def test_offsets_that_do_not_ascend_are_an_error(offsets):
    with pytest.raises(BrokenBytesError, match="ascend"):
        open_basket(*make_basket(offsets)).bounds()


def test_too_few_offsets_are_an_error():
    raw, *_ = make_basket(None)
    key_bytes = struct.unpack_from(">h", raw, 14)[0]
    with pytest.raises(BrokenBytesError, match="4 bytes of offsets for 3 entries"):
        open_basket(*make_basket(None, last=key_bytes + 2))
