from __future__ import annotations

import pytest

from beampipe.results.contents import Leaf, sort_contents
from beampipe.results.cutflow import find_cutflows, is_cutflow, read_cuts


@pytest.mark.parametrize(
    ("name", "counts", "expected"),
    [
        ("n", {"all": 10, "a": 5, "b": 5}, True),
        ("n", {"all": 5, "a": 10}, False),
        ("n", {"all": 5, "a": -1}, False),
        ("my_cutflow", {"all": 5, "a": 10}, True),
        ("sumw", {"DY": 10, "TT": 5}, False),
    ],
)
def test_what_falls_or_says_so_is_a_cutflow(name, counts, expected):
    assert is_cutflow(name, counts, datasets=["DY", "TT", "QCD"]) is expected


def test_efficiencies_of_previous_and_first():
    cuts = read_cuts({"all": 200.0, "a": 50.0, "b": 25.0})
    assert [cut.of_previous for cut in cuts] == [None, 0.25, 0.5]
    assert [cut.of_first for cut in cuts] == [1.0, 0.25, 0.125]


def test_nothing_is_divided_by_zero_or_less():
    cuts = read_cuts({"all": 0.0, "a": 0.0, "b": float("nan")})
    assert all(cut.of_previous is None and cut.of_first is None for cut in cuts)


def test_counts_per_dataset_stand_beside_the_sum():
    by_dataset = {"DY": {"flow": {"all": 3, "a": 1}}, "TT": {"flow": {"all": 7}, "x": 1}}
    tables = sort_contents({"flow": {"all": 10, "a": 1}, "rises": {"x": 1, "y": 2}}).tables
    cutflows, rest = find_cutflows(tables, by_dataset)
    assert [flow.name for flow in cutflows] == ["flow"]
    assert cutflows[0].by_dataset == {"DY": {"all": 3.0, "a": 1.0}, "TT": {"all": 7.0}}
    assert [leaf.name for leaf in rest] == ["rises"]


def test_keys_need_not_be_text():
    cutflows, _ = find_cutflows([Leaf(("cuts",), {1: 5, 2: 4})], {})
    assert [cut.name for cut in cutflows[0].cuts] == ["1", "2"]
