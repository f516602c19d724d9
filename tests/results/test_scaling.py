from __future__ import annotations

import boost_histogram as bh
import hist
import numpy as np
import pytest

from beampipe.results.scaling import scale_histogram, scale_output

HOSTILE = "Z → µµ 'x' \"q\""


@pytest.mark.parametrize("storage", ["Int64", "Double", "Weight", "Unlimited", "AtomicInt64"])
def test_values_scale_with_the_factor_and_variances_with_its_square(storage):
    histogram = hist.Hist(
        hist.axis.Regular(3, 0, 3, name="x", label=HOSTILE),
        storage=getattr(hist.storage, storage)(),
        name=HOSTILE,
    ).fill([0.5, 0.5, 1.5, 99])
    scaled = scale_histogram(histogram, 0.5)
    assert scaled.values(flow=True).tolist() == [0, 1, 0.5, 0, 0.5]
    assert scaled.variances(flow=True).tolist() == [0, 0.5, 0.25, 0, 0.25]
    assert (scaled.axes[0].label, scaled.name) == (HOSTILE, HOSTILE)
    assert histogram.values(flow=True).tolist() == [0, 2, 1, 0, 1]


def test_variances_that_nobody_knows_are_not_made_up():
    histogram = hist.Hist.new.Reg(3, 0, 3).Double().fill([1, 1], weight=[0.5, 2])
    assert histogram.variances() is None
    scaled = scale_histogram(histogram, 2.0)
    assert scaled.variances() is None
    assert scaled.values().tolist() == [0, 5, 0]


def test_growing_categories_and_plain_boost_histograms():
    histogram = bh.Histogram(bh.axis.StrCategory(["b", "a"], growth=True)).fill(["a", "c"])
    scaled = scale_histogram(histogram, 3.0)
    assert [scaled.axes[0].bin(i) for i in range(3)] == ["b", "a", "c"]
    assert scaled.values().tolist() == [0, 3, 3]


def test_what_no_factor_makes_sense_for_is_left_out_and_named():
    output = {
        "muons": {HOSTILE: hist.Hist.new.Reg(2, 0, 2).Int64().fill([1])},
        "cutflow": {"all": 10, "two": np.int64(4)},
        "profile": hist.Hist.new.Reg(2, 0, 2).Mean(),
        "columns": np.arange(3),
        "largest": 9.5,
        "runs": {1, 2},
    }
    scaled, left_out = scale_output(output, 2.0)
    assert scaled["cutflow"] == {"all": 20, "two": 8}
    assert scaled["muons"][HOSTILE].values().tolist() == [0, 2]
    assert set(scaled) == {"muons", "cutflow"}
    assert left_out == ["profile", "columns", "largest", "runs"]
    assert scale_output({"a": 1, "b": 2}, 2.0) == ({"output": {"a": 2, "b": 4}}, [])
    assert scale_output(None, 2.0) == ({}, [])
