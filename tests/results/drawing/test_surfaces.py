from __future__ import annotations

import hist
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from tests.results.runs_by_hand import make_zoo

from beampipe.results.drawing.canvas import house_style
from beampipe.results.drawing.surfaces import draw_bars, draw_image
from beampipe.results.drawing.views import plan_views


def draw(function, histogram):
    axes = Figure().add_subplot()
    with house_style():
        function(axes, plan_views("h", histogram)[0])
        axes.figure.draw_without_rendering()
    return axes


def test_bars_are_named_and_in_order():
    axes = draw(draw_bars, make_zoo()["cuts"])
    assert [bar.get_width() for bar in axes.patches] == [1000, 400, 350]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["all events", "two muons, opposite charge", "trigger"]
    low, high = axes.get_ylim()
    assert low > high, "the first category is on top"
    assert axes.get_xlabel() == "Entries"


def test_empty_bars_say_so():
    axes = draw(draw_bars, hist.Hist.new.StrCat(["a"]).Double())
    assert axes.texts[0].get_text() == "no entries"


def test_an_image_has_a_bar_and_blank_empty_bins():
    histogram = hist.Hist.new.Reg(3, 0, 3, name="x").Reg(2, 0, 2, name="y").Double()
    axes = draw(draw_image, histogram.fill([0.5, 0.5, 2.5], [1.5, 1.5, 0.5]))
    (mesh,) = axes.collections
    values = mesh.get_array()
    assert values.shape == (2, 3)
    assert values[1, 0] == 2
    assert values.count() == 2
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    assert axes.figure.axes[1].get_ylabel() == "Entries"


def test_a_wide_range_has_a_logarithmic_scale():
    histogram = hist.Hist.new.Reg(40, 0, 1).Reg(1, 0, 1).Double()
    histogram.view()[:, 0] = np.geomspace(1, 1e6, 40)
    (mesh,) = draw(draw_image, histogram).collections
    assert isinstance(mesh.norm, LogNorm)


def test_an_empty_image_and_one_of_categories_with_hostile_names():
    axes = draw(draw_image, hist.Hist.new.Reg(2, 0, 1).Reg(2, 0, 1).Double())
    assert axes.texts[0].get_text() == "no entries"
    categories = hist.Hist.new.StrCat(["$\\frac{", "b" * 50]).Bool().Double().fill(["b" * 50], [1])
    axes = draw(draw_image, categories)
    assert axes.get_xticklabels()[0].get_text() == "$\\frac{"
