from __future__ import annotations

import hist
import numpy as np
import pytest
import uproot
from tests.results.runs_by_hand import HOSTILE, make_output, make_zoo

from beampipe.results.exports.root_file import find_obstacle, write_root


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    output = {**make_output(1), "four": hist.Hist.new.Reg(1, 0, 1).Reg(1, 0, 1).Reg(1, 0, 1)}
    output["four"] = output["four"].Reg(1, 0, 1).Double()
    return output, write_root(output, tmp_path_factory.mktemp("root") / "out µ.root")


@pytest.mark.parametrize(
    "name", ["met", "eta_phi", "by_channel", "three", "n_jets", "cuts", "empty"]
)
def test_values_variances_and_flow_come_back(written, name):
    output, exported = written
    expected = output["nested"]["zoo"][name]
    with uproot.open(exported.path) as file:
        found = file[f"nested/zoo/{name}"]
    assert np.array_equal(found.values(), expected.values())
    variances = expected.variances()
    if variances is not None:
        assert np.allclose(found.variances(), variances)
    for index, axis in enumerate(expected.axes):
        if not isinstance(axis, (hist.axis.StrCategory, hist.axis.Integer)):
            assert np.allclose(found.axis(index).edges(), axis.edges)
    if name == "met":
        assert np.allclose(found.values(flow=True), expected.values(flow=True))


def test_categories_keep_their_names(written):
    with uproot.open(written[1].path) as file:
        axis = file["nested/zoo/by_channel"].axis(0)
        assert list(axis.labels()) == ["ee", "µµ <b>", "e$\\mu"]


def test_a_profile_keeps_its_means(written):
    output, exported = written
    profile = output["nested"]["zoo"]["profile"]
    with uproot.open(exported.path) as file:
        found = file["nested/zoo/profile"]
    filled = profile.counts() > 0
    assert np.allclose(found.values()[filled], profile.values()[filled])


def test_cutflows_and_numbers_are_there(written):
    with uproot.open(written[1].path) as file:
        flow = file["cutflow"]
        assert dict(zip(flow.axis().labels(), flow.values(), strict=True))["trigger"] == 20_000
        assert float(file["sumw"]) == 50_000


def test_hostile_names_are_cleaned_of_slashes_only(written):
    with uproot.open(written[1].path) as file:
        assert f"nested/zoo/{HOSTILE.replace('/', '_')};1" in file.keys(recursive=True)


def test_what_root_cannot_hold_is_named_with_its_reason(written):
    skipped = written[1].skipped
    assert "4 axes" in skipped["four"]
    assert skipped["nested/zoo/nothing"] == "no bins"
    assert "weighted means" in skipped["nested/zoo/weighted_mean"]
    assert "parquet" in skipped["columns/jets"]
    assert skipped["runs"] == "a set"
    assert not set(skipped) & set(written[1].written)


def test_means_over_two_axes_are_an_obstacle():
    assert find_obstacle(hist.Hist.new.Reg(1, 0, 1).Reg(1, 0, 1).Mean())
    assert not find_obstacle(make_zoo()["profile"])


def test_names_that_become_one_are_kept_apart(tmp_path):
    histogram = make_zoo()["met"]
    exported = write_root({"a;b": histogram, "a_b": histogram}, tmp_path / "x.root")
    with uproot.open(exported.path) as file:
        assert file.keys(cycle=False) == ["a_b", "a_b-2"]
