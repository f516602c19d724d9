from __future__ import annotations

import pytest
from coffea.util import load
from tests.results.runs_by_hand import make_output

from beampipe.errors import ExportError
from beampipe.results.exports.coffea_file import write_coffea


class Unpicklable:
    def __reduce__(self):
        raise TypeError("not me")


def test_everything_comes_back(tmp_path):
    output = make_output(1)
    exported = write_coffea(output, tmp_path / "out µ.coffea")
    found = load(exported.path)
    assert found["mass"] == output["mass"]
    assert found["runs"] == output["runs"]
    assert exported.skipped == {}
    assert "nested/zoo/met" in exported.written


def test_what_cannot_be_pickled_is_a_known_error_and_leaves_no_file(tmp_path):
    with pytest.raises(ExportError, match="not me"):
        write_coffea({"x": Unpicklable()}, tmp_path / "a.coffea")
    assert list(tmp_path.iterdir()) == []
