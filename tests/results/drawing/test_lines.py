from __future__ import annotations

import hist
import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.results.runs_by_hand import make_mass, make_zoo

from beampipe.results.drawing.canvas import house_style
from beampipe.results.drawing.lines import draw_line, draw_nothing
from beampipe.results.drawing.views import plan_views


def draw(histogram, **options):
    axes = Figure().add_subplot()
    with house_style():
        draw_line(axes, plan_views("h", histogram, **options)[0])
        axes.figure.draw_without_rendering()
    return axes


@pytest.fixture(scope="module")
def zoo():
    return make_zoo()


def test_a_dimuon_spectrum_is_on_two_logarithmic_axes():
    axes = draw(make_mass(1))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlabel() == r"$m_{\mu\mu}$ [GeV]"
    assert axes.get_xlim() == pytest.approx((0.25, 300))
    assert {"1", "10", "100"} < {text.get_text() for text in axes.get_xticklabels()}


def test_a_flat_one_is_linear_from_zero(zoo):
    axes = draw(zoo["n_jets"])
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] == 0
    assert [text.get_text() for text in axes.get_xticklabels()] == [str(i) for i in range(10)]


def test_the_line_is_the_values(zoo):
    axes = draw(zoo["met"])
    steps = [patch for patch in axes.patches if hasattr(patch, "get_data")]
    values, edges, _ = steps[-1].get_data()
    assert np.allclose(values, zoo["met"].values())
    assert np.allclose(edges, zoo["met"].axes[0].edges)


def test_errors_are_bars_where_there_is_room(zoo):
    axes = draw(zoo["met"])
    (bars,) = axes.collections
    lengths = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()]
    errors = np.sqrt(zoo["met"].variances())
    assert np.allclose(lengths, 2 * errors[errors > 0])


def test_a_stack_adds_up_to_the_sum_and_has_a_legend():
    left, right = make_mass(1), make_mass(2, scale=2)
    axes = draw(left + right, parts={"DY": left, "TT": right})
    steps = [patch.get_data() for patch in axes.patches if hasattr(patch, "get_data")]
    whole, lower, outline, _band = (step.values for step in steps)
    assert np.allclose(lower, right.values()), "the larger one is at the bottom"
    assert np.allclose(whole, (left + right).values())
    assert np.allclose(outline, (left + right).values())
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["DY", "TT"]


def test_an_overlay_has_one_line_per_category(zoo):
    axes = draw(zoo["by_channel"])
    assert axes.get_legend().get_title().get_text() == "channel"
    assert len(axes.get_legend().get_texts()) == 3
    highest = zoo["by_channel"][:, "nominal", :].values().max()
    assert highest < axes.get_ylim()[1] < 2 * highest


def test_a_profile_is_points(zoo):
    axes = draw(zoo["profile"])
    y = axes.lines[0].get_ydata()
    assert np.isnan(y[20:]).all()
    assert axes.get_ylabel() == "Mean"


@pytest.mark.parametrize("name", ["empty", "weighted_mean"])
def test_nothing_to_see_is_said(zoo, name):
    assert [text.get_text() for text in draw(zoo[name]).texts] == ["no entries"]


def test_all_nan_is_drawn():
    histogram = hist.Hist.new.Reg(3, 0, 1).Double()
    histogram.view()[:] = np.nan
    assert draw(histogram).get_ylim() == (0, 1)


def test_negative_weights_are_seen():
    histogram = hist.Hist.new.Reg(2, 0, 1).Weight().fill([0.1, 0.9], weight=[-5, 1000])
    axes = draw(histogram)
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] < -5


def test_no_bins_are_no_axes():
    axes = Figure().add_subplot()
    draw_nothing(axes, plan_views("h", hist.Hist(hist.axis.StrCategory([], growth=True)))[0])
    assert not axes.axison
    assert axes.texts[0].get_text() == "no entries"
