from __future__ import annotations

import json
from dataclasses import fields

import pytest
from tests.cli.hand_made_run import call
from tests.results.runs_by_hand import make_record

from beampipe.errors import RunFormatError
from beampipe.execution import record_reader
from beampipe.execution.record_reader import RunSummary


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Two runs that can be read, and one that was written by a later version."""
    for name in ("a run", "b 'µ'", "later"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").touch()

    def read_summary(run_dir):
        if run_dir.name == "later":
            raise RunFormatError("This run has format version 99.")
        record = make_record(run_dir, complete=run_dir.name == "a run")
        return RunSummary(*(getattr(record, field.name) for field in fields(RunSummary)))

    monkeypatch.setattr(record_reader, "read_summary", read_summary)
    return tmp_path


def test_the_list_says_what_is_whole_and_goes_on_past_what_cannot_be_read(folder):
    result = call("runs", folder)
    assert result.exit_code == 0
    whole, holed = (line for line in result.stdout.splitlines() if "dimuon" in line)
    assert "a run" in whole
    assert "120,000" in whole
    assert "0 %" in whole
    assert "incomplete" in holed
    assert "about" in holed
    assert "10.6 %" in holed
    assert "format version 99" in result.stderr


def test_one_json_array_and_nothing_else(folder):
    runs = json.loads(call("runs", folder, "--json").stdout)
    assert [run["status"] for run in runs] == ["complete", "incomplete"]
    assert runs[1]["events_processed"] == 117_500
    assert runs[0]["wall_s"] == 17.3
    assert runs[0]["missing_share"] == 0
    assert 0.105 < runs[1]["missing_share"] < 0.107
    assert runs[1]["incidents"] == {"retry": 14, "worker-died": 1, "new-kind-of-thing": 1}


def test_no_runs_are_said(tmp_path):
    assert f"There are no runs in {tmp_path}." in call("runs", tmp_path).output
    assert json.loads(call("runs", tmp_path, "--json").stdout) == []
