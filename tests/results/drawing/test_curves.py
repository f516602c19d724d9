from __future__ import annotations

import hist
import numpy as np
import pytest
from tests.results.runs_by_hand import make_mass, make_zoo

from beampipe.results.drawing import curves


@pytest.fixture(scope="module")
def zoo():
    return make_zoo()


def test_weights_have_their_errors(zoo):
    curve = curves.read_curve(zoo["met"])
    assert np.allclose(curve.errors, np.sqrt(zoo["met"].variances()))
    assert curves.is_weighted(zoo["met"])


def test_counts_keep_their_errors_after_an_addition():
    histogram = hist.Hist.new.Reg(2, 0, 1).Double().fill([0.1, 0.1, 0.9])
    added = histogram + histogram
    assert added.variances() is None
    assert np.allclose(curves.read_curve(added).errors, np.sqrt([4, 2]))
    assert curves.count_noun(added) == "Entries"


def test_weights_whose_variances_are_not_known_have_no_errors():
    histogram = hist.Hist.new.Reg(2, 0, 1).Double().fill([0.1], weight=[0.5])
    assert curves.read_curve(histogram).errors is None
    assert curves.count_noun(histogram) == "Weighted entries"


def test_what_is_not_finite_is_nan_and_counted(zoo):
    curve = curves.read_curve(zoo["broken"])
    assert np.isnan(curve.values).sum() == 2
    assert curves.describe_flow(zoo["broken"]) == ("2 bins not finite",)


def test_empty_bins_of_a_profile_have_no_mean(zoo):
    curve = curves.read_curve(zoo["profile"])
    assert np.isnan(curve.values[20:]).all()
    assert np.isfinite(curve.values[:20]).all()
    assert curves.is_empty(curves.read_curve(zoo["weighted_mean"]), profile=True)


def test_bins_beyond_sight_are_joined_and_none_is_lost():
    histogram = hist.Hist.new.Reg(10_001, 0, 1).Weight().fill(np.linspace(0, 0.9999, 5000))
    curve = curves.read_curve(histogram)
    assert len(curve.values) <= curves.MAX_BINS
    assert len(curve.edges) == len(curve.values) + 1
    assert curve.values.sum() == 5000
    assert curve.edges[-1] == 1


def test_images_are_joined_and_turned():
    histogram = hist.Hist.new.Reg(1000, 0, 1).Reg(3, 0, 3).Double().fill([0.5], [2.5])
    x, y, values = curves.read_image(histogram)
    assert values.shape == (len(y) - 1, len(x) - 1)
    assert len(x) - 1 <= curves.MAX_IMAGE_BINS
    assert values[2].sum() == values.sum() == 1


def test_infinite_edges_take_their_neighbours_width():
    histogram = hist.Hist.new.Var([-np.inf, 0, 2, np.inf]).Double()
    assert curves.read_curve(histogram).edges.tolist() == [-2, 0, 2, 4]


def test_log_x_is_for_axes_that_were_binned_so():
    mass = make_mass(1).axes[0]
    assert curves.wants_log_x(mass, mass.edges)
    variable = hist.axis.Variable(np.geomspace(1, 1000, 20))
    assert curves.wants_log_x(variable, variable.edges)
    for axis in (hist.axis.Regular(100, 1, 1000), hist.axis.Variable([0, 1, 1000])):
        assert not curves.wants_log_x(axis, np.asarray(axis.edges))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 10, 100_000], True),
        ([1, 2, 3], False),
        ([-1e4, 10, 1e6], False),
        ([-1, 10, 1e6], True),
        ([0, 0, 0], False),
        ([np.nan, 1, 1e6], True),
        ([], False),
    ],
)
def test_log_scale_is_for_ranges_that_cannot_be_seen_otherwise(values, expected):
    assert curves.wants_log_scale(np.array(values, dtype=float)) is expected


@pytest.mark.parametrize(
    ("label", "unit"),
    [
        ("mass [GeV]", "GeV"),
        (r"$m_{\mu\mu}$ (GeV)", "GeV"),
        ("mass", ""),
        ("f(x)", "x"),
        ("p [GeV] of muons", ""),
    ],
)
def test_units(label, unit):
    assert curves.find_unit(label) == unit


def test_the_y_axis_says_what_and_per_what(zoo):
    def label(histogram):
        return curves.label_values(histogram, np.asarray(histogram.axes[0].edges))

    assert label(zoo["met"]) == "Weighted entries / 4 GeV"
    assert label(zoo["n_jets"]) == "Entries"
    assert label(zoo["profile"]) == "Mean"
    assert label(zoo["empty"]) == "Entries / 0.1"
    assert label(make_mass(1)) == "Entries / bin"


def test_flow_is_named():
    line = hist.Hist.new.Reg(2, 0, 1).Double().fill([-1, 0.5, 2, 3])
    assert curves.describe_flow(line) == ("1 below", "2 above")
    categories = hist.Hist.new.StrCat(["a"]).Double().fill(["a", "b"])
    assert curves.describe_flow(categories) == ("1 in no category",)
    assert curves.describe_flow(hist.Hist.new.Reg(2, 0, 1).Double().fill([0.5])) == ()
