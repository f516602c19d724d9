"""Where a run looks for earlier ones (whole stories: tests/functional/test_reuse.py)."""

from pathlib import Path

import pytest

from beampipe.errors import ArgumentError
from beampipe.runs.reusing import absolute_paths, has_any, places_to_look


def test_paths_are_given_as_one_or_several(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert absolute_paths(()) == absolute_paths(None) == ()
    assert absolute_paths("x") == absolute_paths(Path("x")) == (tmp_path / "x",)
    assert absolute_paths(["x", tmp_path]) == (tmp_path / "x", tmp_path)
    with pytest.raises(ArgumentError, match="is not a list of files"):
        absolute_paths(3)


def test_a_fresh_run_looks_nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv("BEAMPIPE_RUN_ROOT", str(tmp_path / "runs"))
    assert places_to_look((), fresh=True) == ()
    assert places_to_look((tmp_path,), fresh=False) == (tmp_path, tmp_path / "runs")
    with pytest.raises(ArgumentError, match="no runs to take from"):
        places_to_look((tmp_path / "x",), fresh=False)


def test_an_empty_folder_holds_nothing(tmp_path):
    assert not has_any([tmp_path, tmp_path / "missing"])
    (tmp_path / "x").mkdir()
    assert has_any([tmp_path])
