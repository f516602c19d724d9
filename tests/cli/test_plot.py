from __future__ import annotations

import pytest
from tests.cli.hand_made_run import call, pretend_run
from tests.results.runs_by_hand import make_mass, make_record


@pytest.fixture
def record(monkeypatch, tmp_path):
    record = make_record(tmp_path / "run 'µ'")
    record.output.clear()
    record.output["muons"] = {"mass": make_mass(1), "again": make_mass(2)}
    pretend_run(monkeypatch, record)
    return record


def test_one_file_per_histogram_in_the_run_directory(record):
    result = call("plot", "latest")
    assert result.exit_code == 0
    names = ["muons.mass.png", "muons.again.png"]
    assert result.stdout.split("\n")[:-1] == [str(record.run_dir / "plots" / n) for n in names]


def test_only_one_elsewhere_in_another_format(record, tmp_path):
    folder = tmp_path / "µ plots"
    result = call("plot", "latest", "--only", "muons/ma*", "--format", "svg", "--output", folder)
    assert result.exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["muons.mass.svg"]


def test_a_wrong_name_gets_the_closest(record):
    result = call("plot", "latest", "--only", "muons/mas")
    assert result.exit_code == 1
    assert "did you mean 'muons/mass'" in result.stderr


def test_no_histogram_is_said(record):
    record.output.clear()
    result = call("plot", "latest")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "holds no histogram" in result.stderr
