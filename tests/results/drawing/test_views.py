from __future__ import annotations

import hist
import numpy as np
import pytest
from tests.results.runs_by_hand import make_mass, make_zoo

from beampipe.results.drawing.views import MAX_LAYERS, MAX_PROJECTIONS, plan_views


@pytest.fixture(scope="module")
def zoo():
    return make_zoo()


def one(name, histogram, **options):
    (view,) = plan_views(name, histogram, **options)
    return view


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("met", "line"),
        ("eta_phi", "image"),
        ("by_channel", "line"),
        ("profile", "line"),
        ("cuts", "bars"),
        ("n_jets", "line"),
        ("nothing", "nothing"),
    ],
)
def test_kinds(zoo, name, kind):
    assert one(name, zoo[name]).kind == kind


def test_nominal_is_taken_and_not_summed_with_its_variations(zoo):
    view = one("by_channel", zoo["by_channel"])
    assert view.legend == "channel"
    assert not view.stacked
    assert view.notes == ("syst = nominal",)
    nominal = zoo["by_channel"][:, "nominal", :]
    assert np.array_equal(view.histogram.values(), nominal.project("pt").values())
    layers = dict(view.layers)
    assert list(layers) == ["µµ <b>", "ee", "e$\\mu"]
    assert np.array_equal(layers["ee"].values(), nominal["ee", :].values())


def test_processes_are_stacked():
    histogram = hist.Hist.new.StrCat(["a", "b"], name="process").Reg(2, 0, 1, name="x").Double()
    view = one("h", histogram.fill(["a", "b", "b"], [0.1, 0.1, 0.9]))
    assert view.stacked
    assert [name for name, _ in view.layers] == ["b", "a"]
    assert view.histogram.values().tolist() == [2, 1]


def test_more_than_two_axes_are_projected_each_and_say_so(zoo):
    views = plan_views("three", zoo["three"])
    assert [view.name for view in views] == ["three.x", "three.y", "three.z"]
    assert {view.source for view in views} == {"three"}
    assert views[1].notes == ("summed over x, z",)
    assert np.array_equal(views[1].histogram.values(), zoo["three"].project("y").values())


def test_projections_are_limited():
    axes = [hist.axis.Regular(1, 0, 1, name=f"a{i}") for i in range(MAX_PROJECTIONS + 2)]
    assert len(plan_views("h", hist.Hist(*axes))) == MAX_PROJECTIONS


def test_two_numbers_and_a_category_are_an_image_summed_over_it():
    histogram = hist.Hist.new.StrCat(["a", "b"], name="c").Reg(2, 0, 1).Reg(2, 0, 1).Double()
    view = one("h", histogram.fill(["a", "b"], [0.1, 0.1], [0.1, 0.1]))
    assert view.kind == "image"
    assert view.notes == ("summed over c",)
    assert view.histogram.values().max() == 2


def test_two_categories_are_an_image():
    histogram = hist.Hist.new.StrCat(["a"], name="c").Bool(name="b").Double()
    assert one("h", histogram).kind == "image"


def test_datasets_are_stacked_where_no_category_is_in_the_way(zoo):
    left, right = make_mass(1), make_mass(2, scale=2)
    view = one("mass", left + right, parts={"DY": left, "TT": right})
    assert view.stacked
    assert view.legend == "dataset"
    assert [name for name, _ in view.layers] == ["TT", "DY"]
    assert view.notes == ()


def test_too_many_layers_are_added_up_in_a_stack_and_named_in_an_overlay():
    labels = [f"c{i}" for i in range(14)]
    for axis, stacked in (("process", True), ("region", False)):
        histogram = hist.Hist.new.StrCat(labels, name=axis).Reg(1, 0, 1, name="x").Double()
        for i, label in enumerate(labels):
            histogram.fill(label, np.full(i + 1, 0.5))
        view = one("h", histogram)
        drawn = sum(layer.values().sum() for _, layer in view.layers)
        assert view.layers[0][0] == "c13"
        if stacked:
            assert len(view.layers) == MAX_LAYERS
            assert view.layers[-1][0] == "5 others"
            assert drawn == view.histogram.values().sum()
        else:
            assert len(view.layers) == MAX_LAYERS - 1
            assert view.notes == ("5 smaller ones are not drawn",)


def test_means_are_never_stacked():
    histogram = hist.Hist.new.StrCat(["a", "b"], name="dataset").Reg(2, 0, 1, name="x").Mean()
    view = one("h", histogram.fill(["a", "b"], [0.1, 0.6], sample=[1, 2]))
    assert not view.stacked
    assert len(view.layers) == 2
