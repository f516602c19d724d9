"""The how-to "Normalise results", done as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import beampipe as bp
from beampipe.datasets.samples import make_data
from beampipe.errors import IncompleteDatasetError, RunBudgetExceededError

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "normalise-results.md"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what the page says."""
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:python|toml)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    Path("mass.py").write_text(blocks[0])
    Path("files.toml").write_text(blocks[1])
    make_data(Path("mc"), files=4, events=500, seed=1)
    make_data(Path("data"), files=2, events=500, seed=2)
    return blocks[2:]


def test_a_whole_run(place, capsys):
    run = place[0].replace('"files.toml")', '"files.toml", client="inline", progress=False)')
    names: dict = {}
    exec(run, names)  # noqa: S102 (the page's own code)
    scaled = names["scaled"]
    assert scaled.is_complete
    assert "times" in capsys.readouterr().out
    expected = scaled.by_dataset["DY"]["met"].sum(flow=True).value
    assert expected == pytest.approx(6077 * 59_800)
    assert scaled.by_dataset["SingleMuon"]["met"].sum(flow=True).value == 1000


def test_a_truncated_file(place):
    file = Path("mc/events_002.root")
    file.write_bytes(file.read_bytes()[:3000])
    options = {"client": "inline", "progress": False, "on_error": "skip"}
    with pytest.raises(RunBudgetExceededError, match="FileTruncatedError"):
        bp.run("mass.py:process", "files.toml", max_failed="1%", **options)
    result = bp.run("mass.py:process", "files.toml", max_failed="25%", **options)
    names = {"result": result}
    with pytest.raises(IncompleteDatasetError, match=r"about 25.0 %"):
        result.scale_to_luminosity(59_800, data=["SingleMuon"])
    with pytest.warns(UserWarning, match="stand for the others"):
        exec(place[1], names)  # noqa: S102 (the page's own code)
    scaled = names["scaled"]
    assert set(scaled.notes) == {"DY"}
    assert scaled.by_dataset["DY"]["met"].sum(flow=True).value == pytest.approx(6077 * 59_800)
