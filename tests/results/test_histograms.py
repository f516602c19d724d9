from __future__ import annotations

import boost_histogram as bh
import hist
import pytest
from tests.results.runs_by_hand import HOSTILE, add_outputs, make_output

from beampipe.results.contents import Leaf
from beampipe.results.histograms import (
    as_hist,
    collect_histograms,
    find_histograms,
    is_category,
    is_profile,
    match_parts,
    read_categories,
)


def test_histograms_are_collected_with_their_paths():
    found = collect_histograms(make_output(1))
    assert [name for name, _ in found][:2] == ["mass", "nested/zoo/met"]
    assert f"nested/zoo/{HOSTILE}" in dict(found)


def test_a_boost_histogram_becomes_one_of_hist():
    plain = bh.Histogram(bh.axis.Regular(3, 0, 1))
    assert isinstance(as_hist(plain), hist.Hist)
    assert as_hist(as_hist(plain)).axes[0].label is not None


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (hist.axis.StrCategory(["a"]), True),
        (hist.axis.IntCategory([7]), True),
        (hist.axis.Boolean(), True),
        (hist.axis.Integer(0, 3), False),
        (hist.axis.Regular(3, 0, 1), False),
    ],
)
def test_categories_are_told_from_numbers(axis, expected):
    assert is_category(axis) is expected


def test_categories_read_as_text():
    assert read_categories(hist.axis.IntCategory([7, 5])) == ["7", "5"]


def test_means_are_profiles():
    assert is_profile(hist.Hist.new.Reg(3, 0, 1).Mean())
    assert not is_profile(hist.Hist.new.Reg(3, 0, 1).Weight())


class TestMatchParts:
    def parts(self, output, by_dataset):
        return match_parts(find_histograms(output)[0], by_dataset)

    def test_datasets_that_add_up_are_parts(self):
        left, right = make_output(1), make_output(2)
        parts = self.parts(add_outputs(left, right), {"a": left, "b": right})
        assert list(parts) == ["a", "b"]

    def test_a_postprocess_that_scaled_the_sum_leaves_none(self):
        left, right = make_output(1), make_output(2)
        total = add_outputs(left, right)
        total["mass"] = total["mass"] * 0.5
        assert self.parts(total, {"a": left, "b": right}) == {}

    def test_one_dataset_is_no_stack(self):
        left = make_output(1)
        assert self.parts(left, {"a": left}) == {}

    def test_other_axes_are_no_parts(self):
        one = hist.Hist.new.StrCat([], growth=True).Double().fill(["x"])
        other = hist.Hist.new.StrCat([], growth=True).Double().fill(["y"])
        assert match_parts(Leaf((), one + other), {"a": one, "b": other}) == {}
