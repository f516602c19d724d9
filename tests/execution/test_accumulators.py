import copy
import operator
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from fractions import Fraction

import awkward as ak
import boost_histogram as bh
import hist
import numpy as np
import pandas as pd
import pytest
from coffea.processor import (
    accumulate,
    column_accumulator,
    defaultdict_accumulator,
    dict_accumulator,
    list_accumulator,
    set_accumulator,
    value_accumulator,
)
from hypothesis import given
from hypothesis import strategies as st

from beampipe.errors import AccumulationError, ProcessorOutputError
from beampipe.execution.accumulators import (
    add_into,
    add_outputs,
    check_output,
    copy_output,
    shares_state,
    take_output,
)

STORAGES = ["Double", "Int64", "AtomicInt64", "Unlimited", "Weight", "Mean", "WeightedMean"]


class OnlyAdds:
    """A user's object with nothing but ``__add__``."""

    def __init__(self, n):
        self.n = n

    def __add__(self, other):
        return OnlyAdds(self.n + other.n)

    def __eq__(self, other):
        return self.n == other.n

    __hash__ = None


class HandsBack:
    """A user's ``+`` that answers with an operand when it can."""

    def __init__(self, items):
        self.items = items

    def __add__(self, other):
        return other if not self.items else self


@dataclass(frozen=True)
class Constant:
    n: int

    def __add__(self, other):
        return Constant(self.n + other.n)


def make_hist(counts, storage="Double", axis="StrCategory", *, dtype=str):
    """Fill a histogram that grows; `counts` maps a category to a number of entries."""
    category = getattr(hist.axis, axis)([], growth=True, name="channel")
    h = hist.Hist(
        category,
        hist.axis.Regular(3, 0, 3, name="x"),
        storage=getattr(hist.storage, storage)(),
    )
    for name, n in counts.items():
        extra = {"sample": np.arange(n) / 7 + n} if "Mean" in storage else {}
        if storage in ("Double", "Weight", "WeightedMean"):
            extra["weight"] = np.arange(n) / 3 - 1.1
        h.fill(np.array([name] * n, dtype=dtype), np.arange(n) % 4 - 0.5, **extra)
    return h


def bins_by_name(h):
    view = h.view(flow=True)
    return {name: view[i].tolist() for i, name in enumerate(h.axes[0])}


# -- checking ---------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {},
        0,
        1.5,
        True,
        "text",
        b"bytes",
        (1, 2),
        [1],
        set(),
        frozenset(),
        Counter(a=1),
        defaultdict(list, a=[1]),
        np.zeros(2),
        np.float32(1),
        ak.Array([[1], []]),
        make_hist({"a": 1}),
        dict_accumulator(a=1),
        column_accumulator(np.zeros(2)),
        value_accumulator(int, 2),
        OnlyAdds(1),
        {"deep": {"deeper": {1: OnlyAdds(2)}}},
    ],
)
def test_what_can_be_added_passes(value):
    check_output(value)


def test_none_is_refused_with_what_to_do():
    with pytest.raises(ProcessorOutputError, match="returned None") as caught:
        check_output(None)
    assert "return" in caught.value.fix


@pytest.mark.parametrize(
    ("value", "path", "kind"),
    [
        ({"a": {"b": None}}, 'output["a"]["b"]', "NoneType"),
        ({"a": [1], 3: object()}, "output[3]", "object"),
        ({"Z → µµ \"q\" 'x'": {}.keys()}, 'output["Z → µµ "q" \'x\'"]', "dict_keys"),
        (print, "output", "builtin_function_or_method"),
        (defaultdict(int, {("a", 1): range(3)}), "output[('a', 1)]", "range"),
    ],
)
def test_what_cannot_be_added_is_refused_by_path_and_type(value, path, kind):
    with pytest.raises(ProcessorOutputError) as caught:
        check_output(value)
    assert caught.value.path == path
    assert caught.value.type == kind
    assert path in str(caught.value)


def test_a_dictionary_that_holds_itself_is_refused():
    value = {"a": {}}
    value["a"]["b"] = value
    with pytest.raises(ProcessorOutputError, match="contains itself"):
        check_output(value)
    same = {"n": 1}
    check_output({"a": same, "b": same})  # twice is no circle


# -- adding: coffea is the reference -----------------------------------------

PAIRS = [
    (1, 2),
    (1.5, 2),
    (True, True),
    ("a", "b"),
    ([1], [2, 3]),
    ((1,), (2,)),
    (deque([1]), deque([2])),
    ({1}, {2}),
    ({"a": 1}, {"b": 2, "a": 3}),
    ({"a": {"b": [1]}}, {"a": {"b": [2], "c": {1}}}),
    (defaultdict(int, a=1), defaultdict(int, b=2)),
    (OrderedDict(a=1), OrderedDict(b=2, a=1)),
    ({"n": 1}, defaultdict(int, n=2)),
    (Counter(a=1, b=2), Counter(b=3, c=4)),
    (set_accumulator({1}), set_accumulator({2})),
    (list_accumulator([1]), list_accumulator([2])),
    (defaultdict_accumulator(int, a=1), defaultdict_accumulator(int, a=3, b=2)),
    (
        dict_accumulator(a=defaultdict_accumulator(int, x=1)),
        dict_accumulator(a=defaultdict_accumulator(int, x=1), b=set_accumulator({1})),
    ),
    (np.float32(1.5), np.float32(2)),
    (OnlyAdds(1), OnlyAdds(2)),
    (Fraction(1, 3), Fraction(1, 6)),
]


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_sums_are_coffeas_and_inputs_stay(left, right):
    before = copy.deepcopy((left, right))
    expected = accumulate([copy.deepcopy(left), copy.deepcopy(right)])
    total = add_outputs(left, right)
    assert total == expected
    assert type(total) is type(expected)
    assert (left, right) == before

    in_place = add_into(take_output(copy.deepcopy(left)), right)
    assert in_place == expected
    assert right == before[1]


def test_list_accumulators_are_appended_to_their_own_sum():
    parts = [list_accumulator([number]) for number in range(4)]
    halves = add_outputs(parts[0], parts[1]), add_outputs(parts[2], parts[3])
    assert add_outputs(*halves) == [0, 1, 2, 3]
    assert add_outputs(halves[0], parts[2]) == [0, 1, 2]
    assert add_outputs(parts[2], halves[0]) == [2, 0, 1]


def test_arrays_are_added_element_by_element():
    left, right = np.array([1, 2]), np.array([10, 20])
    assert add_outputs(left, right).tolist() == [11, 22]
    assert left.tolist() == [1, 2]
    total = add_into(left, right)
    assert total is left
    assert left.tolist() == [11, 22]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (np.array([1, 2]), np.array([0.5, 0.5]), [1.5, 2.5]),  # += would raise
        (np.float32([1, 2]), np.float64([1e-9, 0]), [1 + 1e-9, 2]),  # += would round
        (np.array(1), np.array(2), 3),
        (np.array([1, 2]), 3, [4, 5]),
        (0, np.array([1, 2]), [1, 2]),
        (np.array([True, False]), np.array([True, False]), [True, False]),
        (np.array(["a"], object), np.array(["b"], object), ["ab"]),
    ],
)
def test_arrays_of_unlike_types(left, right, expected):
    assert add_outputs(left, right).tolist() == expected
    assert add_into(copy.deepcopy(left), right).tolist() == expected


def test_a_read_only_array_is_added_afresh():
    left = np.array([1.0])
    left.flags.writeable = False  # as Dask hands them over
    assert add_into(left, np.array([2.0])).tolist() == [3.0]


def test_awkward_arrays_are_added_element_by_element():
    left, right = ak.Array([[1], [2, 3]]), ak.Array([[10], [20, 30]])
    for function in (add_outputs, add_into):  # coffea's own iadd raises on these
        assert function(left, right).to_list() == [[11], [22, 33]]
    assert left.to_list() == [[1], [2, 3]]


def test_columns_are_appended():
    left, right = column_accumulator(np.ones(2)), column_accumulator(np.zeros(1))
    assert add_outputs(left, right).value.tolist() == [1, 1, 0]
    assert add_into(left, right).value.tolist() == [1, 1, 0]
    jagged = column_accumulator(ak.Array([[1]])), column_accumulator(ak.Array([[], [2]]))
    assert add_outputs(*jagged).value.to_list() == [[1], [], [2]]
    assert add_outputs(value_accumulator(int, 2), value_accumulator(int, 3)).value == 5


def test_pandas_adds_as_pandas_does():
    left = pd.DataFrame({"n": [1, 2]})
    for function in (add_outputs, add_into):
        assert function(left, left)["n"].tolist() == [2, 4]
    assert left["n"].tolist() == [1, 2]


def test_counters_keep_negative_and_zero_counts():
    # Counter's own + gives 3 or 1 here, depending on which two meet first.
    parts = [Counter(w=-1), Counter(w=-1), Counter(w=3, z=0)]
    assert dict(add_outputs(add_outputs(parts[0], parts[1]), parts[2])) == {"w": 1, "z": 0}
    assert dict(add_outputs(parts[0], add_outputs(parts[1], parts[2]))) == {"w": 1, "z": 0}
    assert type(add_outputs(parts[0], parts[1])) is Counter


def test_frozen_sets_are_united():
    assert add_outputs(frozenset({1}), frozenset({2})) == frozenset({1, 2})
    assert add_into(frozenset({1}), frozenset({2})) == frozenset({1, 2})
    assert add_into({1}, frozenset({2})) == {1, 2}


def test_coffeas_dictionaries_may_hold_anything_that_adds():
    left = dict_accumulator(h=make_hist({"a": 2}), n=1)
    total = add_outputs(left, dict_accumulator(h=make_hist({"a": 3}), n=2))
    assert type(total) is dict_accumulator
    assert total["n"] == 3
    assert left["n"] == 1


def test_a_defaultdict_stays_one_and_meets_a_plain_dict_from_either_side():
    total = add_outputs(defaultdict(int, a=1), defaultdict(int, b=1))
    assert total.default_factory is int
    # coffea's iadd refuses the second order
    assert add_into({"a": 1}, defaultdict(int, a=2)) == {"a": 3}
    assert add_into(defaultdict(int, a=2), {"a": 1}) == {"a": 3}


# -- adding histograms --------------------------------------------------------


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(
    ("axis", "names", "dtype"), [("StrCategory", "abµ", str), ("IntCategory", (7, -3, 11), int)]
)
@pytest.mark.parametrize("function", [add_outputs, add_into])
def test_growing_categories_meet_by_name(storage, axis, names, dtype, function):
    one, two, three = names
    left = make_hist({one: 3, two: 5}, storage, axis, dtype=dtype)
    right = make_hist({three: 4, two: 2}, storage, axis, dtype=dtype)
    alone = {**bins_by_name(left), **bins_by_name(right)}
    right_before = bins_by_name(right)

    total = function(left.copy(), right)

    assert list(total.axes[0]) == [one, two, three]
    got = bins_by_name(total)
    assert got[one] == alone[one]
    assert got[three] == alone[three]
    # The one in both: as two histograms with this category alone would add up.
    both = make_hist({two: 5}, storage, axis, dtype=dtype)
    both += make_hist({two: 2}, storage, axis, dtype=dtype)
    assert got[two] == bins_by_name(both)[two]
    assert bins_by_name(right) == right_before
    assert total.axes[0].name == "channel"


@pytest.mark.parametrize("axis", ["Regular", "Variable"])
def test_axes_of_numbers_that_grew_apart_get_a_remedy_that_names_growth(axis):
    arguments = (3, 0, 3) if axis == "Regular" else ([0, 1, 3],)

    def fill(x):
        return hist.Hist(getattr(hist.axis, axis)(*arguments, growth=True)).fill([x])

    with pytest.raises(AccumulationError) as caught:
        add_outputs({"m": fill(5)}, {"m": fill(9)})
    assert "leave out growth=True on axes of numbers" in caught.value.fix
    other = hist.Hist(hist.axis.StrCategory(["a"]))
    with pytest.raises(AccumulationError) as caught:
        add_outputs({"m": hist.Hist(hist.axis.StrCategory(["b"]))}, {"m": other})
    assert "growth" not in caught.value.fix


@pytest.mark.parametrize("storage", ["Double", "Weight"])
def test_growing_categories_in_any_order_on_several_axes(storage):
    def fill(entries):
        h = hist.Hist(
            hist.axis.StrCategory([], growth=True, name="a"),
            hist.axis.IntCategory([], growth=True, name="b"),
            hist.axis.StrCategory([], growth=True, name="c"),
            storage=getattr(hist.storage, storage)(),
        )
        for a, b, c in entries:
            h.fill(a, b, c, weight=2)
        return h

    entries = [("x", 1, "p"), ("y", 2, "q"), ("x", 2, "r"), ("z", 1, "p"), ("y", 2, "p")]
    whole = fill(entries)
    for cut in range(len(entries) + 1):
        for left, right in [(entries[:cut], entries[cut:]), (entries[cut:], entries[:cut])]:
            total = add_outputs({"h": fill(left)}, {"h": fill(right)})["h"]
            assert total.sum() == whole.sum()
            for a, b, c in entries:
                place = {"a": hist.loc(a), "b": hist.loc(b), "c": hist.loc(c)}
                assert total[place] == whole[place]


def test_a_sum_of_histograms_can_still_be_filled_and_added_to():
    total = add_into(make_hist({"a": 1}), make_hist({"b": 1}))
    total.fill("c", 0.5)
    total = add_into(total, make_hist({"c": 2, "a": 1}))
    assert list(total.axes["channel"]) == ["a", "b", "c"]


def test_histograms_are_added_in_place():
    left = make_hist({"a": 1}, "Weight")
    assert add_into(left, make_hist({"b": 1}, "Weight")) is left


def test_plain_boost_histograms_add():
    h = bh.Histogram(bh.axis.Regular(2, 0, 2)).fill([0.5])
    assert add_outputs(h, h).view().tolist() == [2, 0]


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        (
            hist.Hist(hist.axis.Regular(3, 0, 3)),
            hist.Hist(hist.axis.Regular(3, 0, 4)),
            "axis 0 is Regular(3, 0, 3",
        ),
        (
            hist.Hist(hist.axis.Regular(3, 0, 3)),
            hist.Hist(hist.axis.Regular(3, 0, 3), storage=hist.storage.Weight()),
            "storages Double and Weight",
        ),
        (
            hist.Hist(hist.axis.Regular(3, 0, 3)),
            hist.Hist(hist.axis.Regular(3, 0, 3), hist.axis.Regular(3, 0, 3)),
            "1 axes and 2 axes",
        ),
        (
            hist.Hist(hist.axis.Regular(3, 0, 3, metadata="µ")),
            hist.Hist(hist.axis.Regular(3, 0, 3, metadata="e")),
            "axis 0",
        ),
        (hist.Hist(hist.axis.Regular(3, 0, 3)), 1.5, "only be added to a histogram"),
        (np.ones(3), hist.Hist(hist.axis.Regular(3, 0, 3)), "only be added to a histogram"),
    ],
)
@pytest.mark.parametrize("function", [add_outputs, add_into])
def test_histograms_that_do_not_fit_say_why(left, right, reason, function):
    with pytest.raises(AccumulationError) as caught:
        function({"DY": {"mass": copy.deepcopy(left)}}, {"DY": {"mass": right}})
    assert caught.value.path == 'output["DY"]["mass"]'
    assert reason in caught.value.why


def test_a_histogram_and_a_plain_zero_add():
    assert add_outputs(0, make_hist({"a": 3})) == make_hist({"a": 3})
    h = make_hist({"a": 3})
    total = add_outputs(h, 0)
    assert total == h
    assert total is not h


# -- refusing -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "types"),
    [
        ({"n": 1}, 2.5, ("dict", "float")),
        (1, "a", ("int", "str")),
        ({1}, [1], ("set", "list")),
        ([1], (1,), ("list", "tuple")),
        (np.ones(3), np.ones(1), ("numpy.ndarray", "numpy.ndarray")),  # no broadcasting
        (np.ones(3), np.ones((2, 3)), ("numpy.ndarray", "numpy.ndarray")),
        (ak.Array([1, 2]), ak.Array([1]), ("awkward.Array", "awkward.Array")),
        (ak.Array(["a"]), ak.Array(["b"]), ("awkward.Array", "awkward.Array")),
        (OnlyAdds(1), 1, ("OnlyAdds", "int")),
        (None, 1, ("NoneType", "int")),
        (OrderedDict(a=1), defaultdict(int, a=1), None),
        (
            column_accumulator(np.ones((1, 2))),
            column_accumulator(np.ones((1, 3))),
            ("coffea.column_accumulator", "coffea.column_accumulator"),
        ),
    ],
)
@pytest.mark.parametrize("function", [add_outputs, add_into])
def test_errors_name_the_path_and_both_types(left, right, types, function):
    for one, two in [(left, right), (right, left)]:
        with pytest.raises(AccumulationError) as caught:
            function({"Z → µµ": copy.deepcopy(one)}, {"Z → µµ": two})
        assert caught.value.path == 'output["Z → µµ"]'
        assert caught.value.path in caught.value.message
        assert caught.value.why
        names = {caught.value.left_type, caught.value.right_type}
        if types:
            assert {name.rpartition(".")[2] for name in names} == {
                name.rpartition(".")[2] for name in types
            }


def test_what_a_users_plus_raises_is_kept():
    class Fussy:
        def __add__(self, other):
            raise ZeroDivisionError("no luck")

    with pytest.raises(AccumulationError, match="no luck") as caught:
        add_outputs(Fussy(), Fussy())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# -- owning -------------------------------------------------------------------


def test_nothing_of_the_right_side_stays_in_the_sum():
    shared = make_hist({"a": 1})
    right = {
        "new": {"h": shared, "again": shared, "a": np.zeros(2), "l": [[1]]},
        "list": [{"n": 1}],
    }
    for left in ({}, {"list": []}, {"list": [{"n": 0}], "new": {}}):
        before = copy.deepcopy(left)
        fresh, placed = add_outputs(left, right), add_into(copy.deepcopy(left), right)
        assert left == before
        for total in (fresh, placed):
            assert shares_state(total, right) is None
            assert total["new"]["h"] is not total["new"]["again"]
            assert total["list"][-1] is not right["list"][0]
            assert total["new"]["l"][0] is not right["new"]["l"][0]


def test_a_plus_that_hands_back_an_operand_is_copied():
    empty, full = HandsBack([]), HandsBack([1])
    for left, right in [(empty, full), (full, empty)]:
        total = add_outputs(left, right)
        assert total is not left
        assert total is not right
        assert total.items == [1]
        assert total.items is not full.items


def test_one_object_under_two_keys_is_counted_once_each():
    def process():
        h, other = make_hist({"a": 2}), make_hist({"a": 2})
        return {"h": h, "again": h, "other": other, "view": other.view()}

    total = take_output(process())
    for _ in range(3):
        total = add_into(total, process())
    expected = 4 * make_hist({"a": 2})
    assert total["h"] == total["again"] == total["other"] == expected
    assert total["view"].tolist() == expected.view().tolist()


def test_taking_copies_only_what_must_be():
    h, counts = make_hist({"a": 1}), np.zeros(3)
    output = {"h": h, "inner": {"counts": counts}, "n": 1}
    taken = take_output(output)
    assert taken is output
    assert taken["h"] is h
    assert taken["inner"]["counts"] is counts
    inner = {"n": 1}
    taken = take_output({"a": inner, "b": inner, "slice": counts[1:]})
    assert taken["a"] is inner
    assert taken["b"] is not inner
    assert taken["slice"].base is None


def test_copies_hold_no_object_twice():
    h = make_hist({"a": 1})
    value = defaultdict(list, {"a": h, "b": h})
    copied = copy_output(value)
    assert copied == value
    assert copied.default_factory is list
    assert copied["a"] is not copied["b"]
    assert copied["a"] is not h


def test_an_object_returned_twice_is_found():
    h = make_hist({"a": 1})
    first = {"DY": {"mass": h, "n": 1}}
    assert shares_state(first, {"DY": {"mass": h, "n": 1}}) == 'output["DY"]["mass"]'
    assert shares_state(first, {"elsewhere": [1], "x": h}) == 'output["x"]'
    assert shares_state(first, {"DY": {"mass": make_hist({"a": 1}), "n": 1}}) is None
    assert shares_state(h, h) == "output"
    state = {"n": 1}
    assert shares_state(state, state) == "output"  # a counter inside counts twice as well


@pytest.mark.parametrize(
    "make", [lambda: [1], lambda: {1}, lambda: np.ones(2), lambda: OnlyAdds(1), Counter]
)
def test_every_mutable_type_is_found(make):
    value = make()
    assert shares_state({"a": value}, {"a": value}) == 'output["a"]'
    assert shares_state({"a": make()}, {"a": make()}) is None


@pytest.mark.parametrize(
    "value", [1, 1.5, "text", (1, 2), frozenset({1}), Constant(3), Fraction(1, 2), np.float64(1)]
)
def test_constants_may_come_twice(value):
    assert shares_state({"a": value}, {"a": value}) is None


def test_a_constant_awkward_array_may_come_twice():
    value = ak.Array([1])
    assert shares_state({"a": value}, {"a": value}) is None


# -- properties ---------------------------------------------------------------

# One type per key, so that any two outputs can be added.
LEAVES = st.fixed_dictionaries(
    {},
    optional={
        "int": st.integers(),
        "text": st.text(max_size=3),
        "list": st.lists(st.integers(), max_size=3),
        "set": st.sets(st.integers(0, 9), max_size=3),
        "frozen": st.frozensets(st.integers(0, 9), max_size=3),
        "counter": st.dictionaries(st.text(max_size=2), st.integers(-9, 9), max_size=3).map(
            Counter
        ),
        "array": st.lists(st.integers(-9, 9), min_size=2, max_size=2).map(np.array),
        "hist": st.dictionaries(st.sampled_from("abµ"), st.integers(1, 4), max_size=3).map(
            lambda counts: make_hist(counts, "Int64")
        ),
    },
)
OUTPUTS = LEAVES | st.dictionaries(st.sampled_from("xy"), LEAVES, max_size=2)


def plain(value):
    """Reduce to what can be compared, with categories by name and lists as they are."""
    if isinstance(value, dict) and not isinstance(value, Counter):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return bins_by_name(value) if isinstance(value, hist.Hist) else value


@given(OUTPUTS, OUTPUTS, OUTPUTS)
def test_adding_is_associative_and_leaves_its_inputs_alone(a, b, c):
    before = plain(a), plain(b), plain(c)
    left = add_outputs(add_outputs(a, b), c)
    right = add_outputs(a, add_outputs(b, c))
    placed = add_into(add_into(take_output(copy_output(a)), b), c)
    assert plain(left) == plain(right) == plain(placed)
    assert before == (plain(a), plain(b), plain(c))
    assert not any(shares_state(left, part) for part in (a, b, c))
    assert not any(shares_state(placed, part) for part in (a, b, c))


@given(st.integers(), st.integers())
def test_numbers_add_as_numbers(a, b):
    assert add_outputs(a, b) == add_into(a, b) == operator.add(a, b)
