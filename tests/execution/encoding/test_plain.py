import datetime as dt
import json
import math
import struct
import zoneinfo
from collections import Counter, OrderedDict, defaultdict
from enum import IntEnum

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


class Level(IntEnum):
    ONE = 1


class TaggedDict(dict):
    """A user's dictionary with something of its own."""


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**53 + 1,
        -(2**63),
        0.1,
        -0.0,
        5e-324,
        1.7976931348623157e308,
        math.inf,
        -math.inf,
        1.0,
        "",
        "Z → µµ 'x' \"q\"\n\0",
        "\ud800 half",
        "\ud83d\ude00",  # two half surrogates are not the one letter that they would make
        "😀",
        b"",
        b"\x00\xff",
        1 + 2j,
        complex(-0.0, math.inf),
        [],
        [1, 2.5, "x", None, [True]],
        (),
        (1, (2, [3])),
        set(),
        {1, "a", (2, 3)},
        frozenset({1.5}),
        {},
        {"b": 1, "a": 2, 3: None, (1, 2): [], None: 0, 1.5: 1},
        {"kind": "pickle", "type": "os.system", "pickle": 0},  # a user's own dictionary
        OrderedDict([("b", 1), ("a", 2)]),
        Counter({"a": -1, "b": 0}),
        defaultdict(int, a=1),
        defaultdict(None, a=1),
        defaultdict(list, a=[1]),
        dt.datetime(2026, 11, 1, 1, 30, 0, 7, fold=1),  # noqa: DTZ001
        dt.datetime(2026, 11, 1, 1, 30, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-5, minutes=-30))),
        dt.date(1, 1, 1),
        dt.time(23, 59, 59, 999999),
        dt.timedelta(days=-1, microseconds=1),
    ],
)
def test_values_come_back_the_same(value, round_trip):
    back = round_trip(value)
    assert back == value
    assert type(back) is type(value)
    # `repr` tells 1 from 1.0 and True; that of a set is in the order of its own table.
    if not isinstance(value, (set, frozenset)):
        assert repr(back) == repr(value)


def test_not_a_number_comes_back(round_trip):
    assert math.isnan(round_trip(math.nan))
    assert math.isnan(round_trip([1.0, math.nan])[1])
    assert math.isnan(round_trip(complex(math.nan, 1)).real)


def test_order_and_factories_are_kept(round_trip):
    value = defaultdict(set, {"z": {1}, "a": {2}})
    back = round_trip(value)
    assert list(back) == ["z", "a"]
    assert back["new"] == set()
    assert list(round_trip({3: 1, 1: 2, 2: 3})) == [3, 1, 2]


def test_what_comes_back_is_the_readers_own(round_trip):
    inner = [1]
    back = round_trip({"a": inner, "b": inner})
    back["a"].append(2)
    assert back["b"] == [1]
    assert inner == [1]


def test_a_lambda_as_factory_needs_pickle_but_only_it(store):
    archive = store({"n": defaultdict(lambda: 7, a=1)})
    assert not archive.is_open
    back = archive.read(trust=True)["n"]
    assert back["missing"] == 7
    tree = json.loads(archive.member("value/value.json"))["value"]["items"][0][1]
    assert tree["kind"] == "defaultdict"
    assert tree["items"] == [["a", 1]]


def make_tagged():
    value = TaggedDict(a=1)
    value.tag = "kept"
    return value


def make_tagged_ordered():
    value = OrderedDict(a=1)
    value.tag = "kept"
    return value


@pytest.mark.parametrize("make", [make_tagged, make_tagged_ordered])
def test_attributes_of_containers_are_never_dropped(make, store):
    archive = store(make())
    assert not archive.is_open
    back = archive.read(trust=True)
    assert back == make()
    assert type(back) is type(make())
    assert back.tag == "kept"


@pytest.mark.parametrize(
    "value",
    [Level.ONE, dt.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Zurich"))],
)
def test_types_that_look_plain_and_are_not_need_pickle(value, store):
    archive = store(value)
    assert not archive.is_open
    back = archive.read(trust=True)
    assert back == value
    assert type(back) is type(value)


def test_plain_values_are_plain_json(store):
    document = json.loads(store({"n": [1, 2.5, "µ"]}).member("value/value.json"))
    assert document == {
        "format": "beampipe-value",
        "version": 1,
        "value": {"kind": "dict", "items": [["n", [1, 2.5, "µ"]]]},
    }


def test_the_same_set_gives_the_same_bytes(store):
    one, two = {0, 8}, {8, 0}
    assert list(one) != list(two)  # as with strings from one process to the next
    assert store(one).data == store(two).data


def test_an_integer_longer_than_python_prints_comes_back(round_trip):
    assert round_trip([-(10**5000)]) == [-(10**5000)]


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters())  # with half surrogates
    | st.binary()
    | st.datetimes()
    | st.dates()
    | st.timedeltas()
)
HASHABLE = st.none() | st.integers() | st.text() | st.binary() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=3).map(lambda d: defaultdict(list, d))
        | st.dictionaries(st.text(), st.integers(), max_size=3).map(Counter)
        | st.sets(HASHABLE, max_size=4)
        | st.frozensets(HASHABLE, max_size=4)
    ),
    max_leaves=12,
)


def bits(value):
    """Compare by type and by bit: 1 is not True, -0.0 is not 0.0, nan is nan."""
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, complex):
        return kind, bits(value.real), bits(value.imag)
    if isinstance(value, dict):
        return kind, tuple((bits(key), bits(item)) for key, item in value.items())
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(bits, value))
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(bits, value))
    return kind, value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES)
def test_any_nested_value_comes_back_to_the_bit(round_trip, value):
    assert bits(round_trip(value)) == bits(value)
