from __future__ import annotations

import json

import hist
import numpy as np
import uhi.io.json
from tests.results.runs_by_hand import HOSTILE, make_output

from beampipe.results.exports.json_file import write_json


def read(path):
    return json.loads(path.read_text("utf-8"), object_hook=uhi.io.json.object_hook)


def test_the_output_comes_back_nested_as_it_was(tmp_path):
    output = make_output(1)
    exported = write_json(output, tmp_path / "µ.json")
    assert exported.skipped == {}
    found = read(exported.path)
    assert found["cutflow"] == output["cutflow"]
    assert found["sumw"] == 50_000
    assert found["columns"]["jets"] == [[1.0, 2.0], [], [3.0]]
    assert found["runs"] == [273158, 273302]
    for name, histogram in output["nested"]["zoo"].items():
        back = hist.Hist(found["nested"]["zoo"][name])
        assert np.array_equal(
            back.values(flow=True), histogram.values(flow=True), equal_nan=True
        ), name
        assert [axis.label for axis in back.axes] == [axis.label for axis in histogram.axes]
    assert hist.Hist(found["nested"]["zoo"][HOSTILE]).sum() == 3


def test_a_bare_histogram_is_the_whole_file(tmp_path):
    histogram = hist.Hist.new.Reg(2, 0, 1, name="x").Double().fill([0.1])
    exported = write_json(histogram, tmp_path / "h.json")
    assert hist.Hist(read(exported.path)) == histogram


def test_objects_are_skipped_with_a_reason_wherever_they_are(tmp_path):
    output = {"n": np.int64(3), "thing": object(), "list": [1, object()], "z": 1j}
    exported = write_json(output, tmp_path / "a.json")
    assert read(exported.path) == {"n": 3}
    assert set(exported.skipped) == {"thing", "list", "z"}
    assert "a object" in exported.skipped["list"]
    assert "a complex" in exported.skipped["z"]
