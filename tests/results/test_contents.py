from __future__ import annotations

import awkward as ak
import hist
import numpy as np
import pytest
from coffea.processor import column_accumulator, value_accumulator
from tests.results.runs_by_hand import HOSTILE, make_output

from beampipe.results.contents import describe_value, is_number, sort_contents, walk_output


def test_every_leaf_is_sorted_once_and_in_order():
    output = make_output(1)
    contents = sort_contents(output)
    kinds = (
        contents.histograms,
        contents.tables,
        contents.scalars,
        contents.arrays,
        contents.others,
    )
    names = [leaf.name for kind in kinds for leaf in kind]
    assert len(names) == len(set(names)) == len(list(walk_output(output)))
    assert [leaf.name for leaf in contents.tables] == ["cutflow"]
    assert [leaf.name for leaf in contents.scalars] == ["sumw"]
    assert [leaf.name for leaf in contents.arrays] == ["columns/pt", "columns/jets"]
    assert [leaf.name for leaf in contents.others] == ["runs"]
    assert contents.histograms[-1].path == ("nested", "zoo", HOSTILE)


def test_a_bare_histogram_and_a_tuple_of_them_have_names():
    histogram = hist.Hist.new.Reg(2, 0, 1).Double()
    assert [leaf.name for leaf in walk_output(histogram)] == ["output"]
    assert [leaf.name for leaf in walk_output(({"n": 1}, histogram))] == ["0/n", "1"]


def test_nothing_is_no_leaf():
    assert list(walk_output(None)) == []
    assert list(walk_output({"a": None})) == []


def test_coffea_accumulators_show_what_they_hold():
    output = {
        "n": value_accumulator(int, 3),
        "pt": column_accumulator(np.array([1.0, 2.0])),
        "flow": {"a": value_accumulator(int, 2), "b": value_accumulator(int, 1)},
    }
    contents = sort_contents(output)
    assert contents.scalars[0].value == 3
    assert contents.arrays[0].value.tolist() == [1.0, 2.0]
    assert [leaf.name for leaf in contents.tables] == ["flow"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, True),
        (np.float32(2), True),
        (np.array(3), True),
        (True, False),
        (np.bool_(1), False),
        (1j, False),
        ("1", False),
        (np.array([1]), False),
    ],
)
def test_numbers_are_told_from_the_rest(value, expected):
    assert is_number(value) is expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (hist.Hist.new.Reg(3, 0, 1).Reg(2, 0, 1).Double(), "histogram, 3 x 2 bins"),
        (1_234_567, "1,234,567"),
        ({"a": 1, "b": 2}, "2 numbers"),
        ("x" * 200, "x" * 77 + "..."),
        (np.zeros((2, 3)), "array, 2 x 3 float64"),
        (ak.Array([[1], []]), "array, 2 * var * int64"),
        ({1, 2}, "set of 2"),
        (True, "True"),
        (object(), "object"),
    ],
)
def test_values_are_described_in_a_few_words(value, text):
    assert describe_value(value) == text
