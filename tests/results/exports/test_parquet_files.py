from __future__ import annotations

import importlib.util

import awkward as ak
import hist
import numpy as np
import pytest
from tests.results.runs_by_hand import make_output, make_zoo

from beampipe.errors import ExportError
from beampipe.results.exports.parquet_files import tabulate_histogram, write_parquet

pytest.importorskip("pyarrow")


def test_every_table_can_be_read(tmp_path):
    output = make_output(1)
    exported = write_parquet(output, tmp_path / "out 'µ'")
    tables = {path.stem: ak.from_parquet(path) for path in exported.path.iterdir()}
    assert len(tables) == len(exported.written)
    assert tables["columns.jets"]["value"].to_list() == [[1.0, 2.0], [], [3.0]]
    assert tables["cutflow"].to_list()[1] == {"name": "trigger", "value": 20_000.0}
    assert tables["values"].to_list() == [{"name": "sumw", "value": 50_000.0}]
    assert ak.sum(tables["mass"]["value"]) == output["mass"].sum(flow=True)
    assert exported.skipped == {"runs": "a set", "nested/zoo/nothing": "no bins"}


def test_a_table_has_a_row_per_bin_with_its_flow():
    histogram = hist.Hist.new.StrCat(["a", "b"], name="c").Reg(2, 0, 1, name="x").Weight()
    columns = tabulate_histogram(histogram.fill(["b", "b"], [0.9, 7], weight=[2, 3]))
    assert list(columns) == ["c", "x_low", "x_high", "value", "variance"]
    rows = list(zip(*columns.values(), strict=True))
    assert len(rows) == 3 * 4
    assert ("b", 0.5, 1.0, 2.0, 4.0) in rows
    assert ("b", 1.0, np.inf, 3.0, 9.0) in rows
    assert ("overflow", -np.inf, 0.0, 0.0, 0.0) in rows


def test_a_profile_has_means_and_counts():
    columns = tabulate_histogram(make_zoo()["profile"])
    assert {"mean", "count"} < set(columns)
    assert columns["count"].sum() == 2000


def test_axes_of_one_name_are_kept_apart():
    histogram = hist.Hist(hist.axis.Regular(1, 0, 1, label="value"), hist.axis.Regular(1, 0, 1))
    assert next(iter(tabulate_histogram(histogram))) == "value-2_low"


def test_anything_else_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ExportError, match="is there already"):
        write_parquet({"n": 1}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ExportError, match=r"pip install 'beampipe\[parquet\]'"):
        write_parquet({"n": 1}, tmp_path / "x")


def test_texts_have_no_column(tmp_path):
    output = {"n": 1, "era": "2018", "names": np.array(["a", "b"])}
    exported = write_parquet(output, tmp_path / "x")
    assert exported.written == ("values",)
    assert exported.skipped == {"names": "an array of <U1", "era": "a str"}
