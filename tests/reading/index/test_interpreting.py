from __future__ import annotations

from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.library import _libraries
from uproot.interpretation.numerical import AsDouble32, AsDtype, AsFloat16
from uproot.interpretation.strings import AsStrings

from beampipe.reading.index.baskets import Basket
from beampipe.reading.index.codecs import BrokenBytesError
from beampipe.reading.index.interpreting import Part, make_column

KEY_BYTES = 80
ENTRIES = 12
LIBRARY = _libraries["ak"]
OPTIONS = {"ak_add_doc": False}
NUMBERS = ["?", "i1", "u1", ">i2", "<i2", ">u2", ">i4", "<i4", ">u4", ">i8", ">u8", ">f4", "<f8"]
SCALARS = {
    **{kind: AsDtype(kind) for kind in NUMBERS},
    "fixed": AsDtype(np.dtype((">f4", (2, 3)))),
    "to another type": AsDtype(">i2", "i8"),
    "record": AsDtype([("x", ">f4"), ("y", ">i2"), ("z", "u1")]),
    "Double32": AsDouble32(-10.0, 10.0, 12),
    "Double32 truncated": AsDouble32(0.0, 0.0, 10),
    "Float16": AsFloat16(-1.0, 1.0, 8),
    "Float16 truncated": AsFloat16(0.0, 0.0, 12),
    "Float16 fixed": AsFloat16(-1.0, 1.0, 8, to_dims=(2,)),
}
UNCOUNTED = "Float16 fixed"  # uproot divides the bytes of their lists by one number's


def random_bytes(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def itemsize_of(scalar):
    return scalar.itemsize * int(np.prod(getattr(scalar, "to_dims", ()), dtype=int))


def keep_sane(scalar, data):
    """Make bytes that nobody warns of: what is neither true nor false, and signalling NaNs."""
    if scalar == AsDtype("?"):
        data &= 1
    if isinstance(scalar, AsFloat16):
        data &= 0x7F


def flat_basket(scalar, entries=ENTRIES, seed=0):
    size = itemsize_of(scalar) * entries
    data = random_bytes(size, seed)
    keep_sane(scalar, data)
    return Basket(data, None, entries, KEY_BYTES)


def list_basket(scalar, header=0, seed=0, *, entries=ENTRIES):
    counts = np.random.default_rng(seed).integers(0, 5, entries)
    offsets = np.zeros(entries + 1, dtype=np.int64)
    np.cumsum(header + counts * itemsize_of(scalar), out=offsets[1:])
    data = random_bytes(int(offsets[-1]), seed)
    keep_sane(scalar, data)
    return Basket(data, offsets, entries, KEY_BYTES), counts


def by_uproot(interpretation, baskets, start, stop, counts=None):
    """Do what uproot's reader does with the same baskets."""
    branch = SimpleNamespace(object_path="x", file=SimpleNamespace(file_path="f"))
    arrays, borders = {}, [0]
    for number, basket in enumerate(baskets):
        borders.append(borders[-1] + basket.entries)
        if borders[-1] <= start or stop <= borders[-2]:
            continue  # its reader would not read it
        known = None if counts is None else counts[number]
        stand_in = SimpleNamespace(basket_num=number, counts=known, byte_offsets=basket.bounds())
        offsets = None if basket.told is None else basket.bounds().astype(np.int32)
        arrays[number] = interpretation.basket_array(
            basket.data, offsets, stand_in, branch, {}, KEY_BYTES, LIBRARY, OPTIONS
        )
    return interpretation.final_array(arrays, start, stop, borders, LIBRARY, branch, OPTIONS)


RANGES = [(0, 24), (0, 12), (5, 20), (11, 13), (3, 4), (12, 24), (20, 24)]


def parts_of(baskets, start, stop, counts=None):
    parts, first = [], 0
    for number, basket in enumerate(baskets):
        last = first + basket.entries
        if start < last and first < stop:
            known = None if counts is None else (lambda number=number: counts[number])
            part = Part(basket, max(start - first, 0), min(stop, last) - first, known)
            parts.append(part)
        first = last
    return parts


@pytest.mark.parametrize("name", SCALARS)
def test_numbers_are_what_uproot_makes_of_them(name, assert_equal):
    scalar = SCALARS[name]
    baskets = [flat_basket(scalar, seed=seed) for seed in (1, 2)]
    for start, stop in RANGES:
        found = make_column(scalar, parts_of(baskets, start, stop))
        assert len(found) == stop - start
        assert_equal(found, by_uproot(scalar, baskets, start, stop))


@pytest.mark.parametrize("name", [name for name in SCALARS if name != UNCOUNTED])
@pytest.mark.parametrize("header", [0, 10, 1])
def test_lists_are_what_uproot_makes_of_them(name, header, assert_equal):
    scalar = SCALARS[name]
    interpretation = AsJagged(scalar, header_bytes=header)
    baskets = [list_basket(scalar, header, seed)[0] for seed in (1, 2)]
    for start, stop in RANGES:
        found = make_column(interpretation, parts_of(baskets, start, stop))
        assert len(found) == stop - start
        assert_equal(found, by_uproot(interpretation, baskets, start, stop))


@pytest.mark.parametrize("name", [">f4", "i1", "fixed", "<f8", "?", "Float16"])
@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_lists_counted_by_another_column(name, start, stop, assert_equal):
    scalar = SCALARS[name]
    interpretation = AsJagged(scalar)
    made = [list_basket(scalar, 0, seed) for seed in (1, 2)]
    baskets = [basket._replace(told=None) for basket, _ in made]
    counts = [counts for _, counts in made]
    found = make_column(interpretation, parts_of(baskets, start, stop, counts))
    assert_equal(found, by_uproot(interpretation, baskets, start, stop, counts))
    # The lengths are what the offsets would have said.
    due = by_uproot(interpretation, [basket for basket, _ in made], start, stop)
    assert_equal(found, due)


def string_baskets(header=0):
    baskets = []
    for seed in (1, 2):
        words = [b"x" * ((seed * 97 * n) % 300) for n in range(ENTRIES)]
        written = [
            b"\0" * header
            + (bytes([len(w)]) if len(w) < 255 else b"\xff" + len(w).to_bytes(4, "big"))
            + w
            for w in words
        ]
        offsets = np.cumsum([0, *map(len, written)])
        data = np.frombuffer(b"".join(written), dtype=np.uint8)
        baskets.append(Basket(data, offsets, ENTRIES, KEY_BYTES))
    return baskets


@pytest.mark.parametrize("header", [0, 6])
@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_strings_are_what_uproot_makes_of_them(header, start, stop, assert_equal):
    interpretation, baskets = AsStrings(header_bytes=header), string_baskets(header)
    found = make_column(interpretation, parts_of(baskets, start, stop))
    assert_equal(found, by_uproot(interpretation, baskets, start, stop))


# uproot stumbles where such a range ends with a basket: it asks for the next one, unread.
@pytest.mark.parametrize(("start", "stop"), [one for one in RANGES if one != (0, 12)])
def test_strings_without_offsets(start, stop, assert_equal):
    baskets = [basket._replace(told=None) for basket in string_baskets()]
    found = make_column(AsStrings(), parts_of(baskets, start, stop))
    due = by_uproot(AsStrings(), baskets, start, stop)
    assert_equal(found, due)


def test_strings_without_offsets_up_to_the_end_of_a_basket():
    baskets = [basket._replace(told=None) for basket in string_baskets()]
    found = make_column(AsStrings(), parts_of(baskets, 0, 12))
    due = make_column(AsStrings(), parts_of(string_baskets(), 0, 12))
    assert found.to_list() == due.to_list()


@pytest.mark.parametrize(
    "interpretation",
    [
        *SCALARS.values(),
        AsJagged(SCALARS[">f4"]),
        AsJagged(SCALARS["fixed"], header_bytes=10),
        AsJagged(SCALARS["Float16"]),
        AsStrings(),
    ],
    ids=repr,
)
def test_nothing_is_of_the_same_type(interpretation):
    found = make_column(interpretation, [])
    due = interpretation.final_array({}, 0, 0, [0], LIBRARY, None, OPTIONS)
    assert len(found) == 0
    assert found.type == due.type
    assert found.layout.form.type == due.layout.form.type
    assert isinstance(found, ak.Array)


def only(basket, counts=None):
    known = None if counts is None else (lambda: np.array(counts, dtype=np.int64))
    return [Part(basket, 0, basket.entries, known)]


F4 = AsDtype(">f4")


def raw(size):
    return np.zeros(size, dtype=np.uint8)


@pytest.mark.parametrize(
    ("told", "start", "stop"),
    [
        ([0, 8, 4, 0], 0, 3),
        ([4, 8, 12, 0], 0, 3),
        ([0, -4, 4, 0], 1, 3),
        ([0, 4, 16, 0], 0, 2),
        ([0, 8, 4, 0], 1, 2),
        ([0, 3, 11, 0], 1, 2),
    ],
    ids=[
        "descending",
        "not from the beginning",
        "before the beginning",
        "behind the end",
        "a negative length",
        "not at an item",
    ],
)
def test_offsets_that_make_no_sense_are_an_error(told, start, stop):
    basket = Basket(raw(12), np.array(told), 3, KEY_BYTES)
    with pytest.raises(BrokenBytesError):
        make_column(AsJagged(F4), [Part(basket, start, stop, None)])


@pytest.mark.parametrize(
    ("interpretation", "parts"),
    [
        (F4, only(Basket(raw(7), None, 2, KEY_BYTES))),
        (F4, only(Basket(raw(12), None, 2, KEY_BYTES))),
        (AsFloat16(-1.0, 1.0, 8), only(Basket(raw(12), None, 2, KEY_BYTES))),
        (AsJagged(F4), only(Basket(raw(8), None, 2, KEY_BYTES))),
        (AsJagged(F4), only(Basket(raw(8), None, 2, KEY_BYTES), [1, 2])),
        (AsJagged(F4), only(Basket(raw(8), None, 2, KEY_BYTES), [3, -1])),
        (AsJagged(F4), only(Basket(raw(8), None, 2, KEY_BYTES), [2])),
        (AsJagged(F4), only(Basket(raw(8), np.array([0, 3, 8]), 2, KEY_BYTES))),
        (
            AsJagged(AsDtype(np.dtype((">f4", (3,))))),
            only(Basket(raw(24), np.array([0, 4, 24]), 2, 0)),
        ),
        (AsJagged(F4, header_bytes=10), only(Basket(raw(24), np.array([0, 4, 24]), 2, 0))),
    ],
    ids=[
        "bytes that are no items",
        "more items than entries",
        "more packed items than entries",
        "no lengths",
        "lengths beyond the data",
        "a negative length",
        "lengths of fewer entries",
        "an offset inside an item",
        "an offset inside an array",
        "an entry shorter than its header",
    ],
)
def test_what_does_not_add_up_is_an_error(interpretation, parts):
    with pytest.raises(BrokenBytesError):
        make_column(interpretation, parts)
