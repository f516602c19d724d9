import sys
from collections import Counter, UserDict, defaultdict

import awkward as ak
import hist
import numpy as np
import pytest
from coffea.processor import column_accumulator, defaultdict_accumulator, dict_accumulator

from beampipe.execution.outputs import (
    approximate_bytes,
    describe_output,
    is_addable,
    is_awkward,
    is_histogram,
    is_set,
    is_tree,
    iter_leaves,
    path_text,
    type_text,
)


class CountsItself(UserDict):
    def __add__(self, other):
        return self


def make_weighted():
    return hist.Hist(
        hist.axis.StrCategory(["Z → µµ"], growth=True, name="channel"),
        hist.axis.Regular(100, 0, 200, name="mass"),
        storage=hist.storage.Weight(),
    )


@pytest.mark.parametrize(
    "value",
    [{}, defaultdict(int), Counter(), dict_accumulator(), defaultdict_accumulator(int), UserDict()],
)
def test_mappings_are_added_key_by_key(value):
    assert is_tree(value)


@pytest.mark.parametrize("value", [CountsItself(), [], 1, "ab", set(), np.zeros(2)])
def test_what_has_its_own_way_of_adding_is_a_leaf(value):
    assert not is_tree(value)


def test_kinds():
    assert is_histogram(make_weighted())
    assert not is_histogram(np.zeros(2))
    assert is_awkward(ak.Array([[1], []]))
    assert is_awkward(ak.Record({"a": 1}))
    assert not is_awkward([[1], []])
    assert is_set(set())
    assert is_set(frozenset())
    assert not is_set({}.keys())
    assert is_addable(1.5)
    assert not is_addable(None)


def test_a_library_that_was_never_loaded_is_not_loaded_to_look(monkeypatch):
    monkeypatch.delitem(sys.modules, "boost_histogram")
    assert not is_histogram(object())
    assert "boost_histogram" not in sys.modules


def test_paths_and_types_read_as_a_user_would_write_them():
    assert path_text(()) == "output"
    assert path_text(("Z → µµ", 3, ("a", 1))) == "output[\"Z → µµ\"][3][('a', 1)]"
    assert type_text(1.5) == "float"
    assert type_text(make_weighted()) == "hist.Hist"
    assert type_text(np.float32(1)) == "numpy.float32"


def test_leaves_come_with_their_paths():
    value = {"a": {"b": 1, "c": [2]}, "d": 3}
    assert list(iter_leaves(value)) == [(("a", "b"), 1), (("a", "c"), [2]), (("d",), 3)]
    assert list(iter_leaves(7)) == [((), 7)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.zeros((10, 10)), 800),
        (make_weighted(), 102 * 16),  # a growing axis has no overflow
        (ak.Array(np.zeros(100)), 800),
        (np.float32(1), 4),
    ],
)
def test_sizes_of_arrays_are_exact(value, expected):
    assert approximate_bytes(value) == expected


@pytest.mark.parametrize("storage", ["Double", "Int64", "Unlimited", "Mean", "WeightedMean"])
def test_sizes_of_histograms(storage):
    h = hist.Hist(hist.axis.Integer(0, 9), storage=getattr(hist.storage, storage)())
    assert approximate_bytes(h) == h.view(flow=True).nbytes


def test_sizes_of_the_rest_are_about_right():
    numbers = [float(i) for i in range(100_000)]
    assert approximate_bytes(numbers) == pytest.approx(sys.getsizeof(numbers) + 24e5, rel=0.01)
    assert approximate_bytes(column_accumulator(np.zeros(1000))) == pytest.approx(8000, rel=0.1)
    assert approximate_bytes({"a": np.zeros(1000)}) == pytest.approx(8000, rel=0.1)
    assert approximate_bytes([]) == sys.getsizeof([])
    assert approximate_bytes(object()) > 0


def test_description_lists_every_leaf():
    value = {
        "DY": {"mass": make_weighted(), "n": 5, "pt": np.zeros((2, 3), np.float32)},
        "jets": ak.Array([[1, 2], []]),
        "runs": {1, 2},
        "column": column_accumulator(np.zeros(4)),
        "odd": object(),
        "scalar": np.float64(0.5),
    }
    leaves = {leaf.path: leaf for leaf in describe_output(value)}
    assert leaves['output["DY"]["mass"]'].kind == "hist.Hist"
    assert leaves['output["DY"]["mass"]'].detail == "channel (1) × mass (100), Weight"
    assert leaves['output["DY"]["n"]'].detail == "5"
    assert leaves['output["DY"]["pt"]'].detail == "2 × 3 float32"
    assert leaves['output["jets"]'].detail == "2 * var * int64"
    assert leaves['output["runs"]'].detail == "2 items"
    assert leaves['output["column"]'].detail == "4 float64"
    assert leaves['output["odd"]'].detail == ""
    assert leaves['output["scalar"]'].detail == "0.5"
    assert leaves['output["DY"]["pt"]'].size_bytes == 24


def test_a_histogram_without_names_or_axes_is_described():
    (leaf,) = describe_output(hist.Hist(hist.axis.Regular(4, 0, 1)))
    assert leaf.detail == "Regular (4), Double"
    (leaf,) = describe_output(hist.Hist())
    assert leaf.detail == "no axes, Double"
