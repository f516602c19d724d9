from __future__ import annotations

import json

import pytest
from tests.cli.hand_made_run import call, pretend_run
from tests.results.runs_by_hand import HOSTILE, make_record


@pytest.fixture
def record(monkeypatch, tmp_path):
    record = make_record(tmp_path / "run 'µ'", complete=False)
    pretend_run(monkeypatch, record)
    return record


def test_a_summary_for_people(record):
    result = call("show", "latest")
    assert result.exit_code == 0
    assert "dimuon spectrum  INCOMPLETE" in result.output
    assert "Traceback" not in result.output


def test_failures_with_their_tracebacks(record):
    assert "Traceback (most recent call last)" in call("show", "latest", "--failures").output


def test_one_json_object_and_nothing_else(record):
    described = json.loads(call("show", "latest", "--json").stdout)
    assert described["status"] == "incomplete"
    assert described["is_complete"] is False
    assert described["run_dir"] == str(record.run_dir)
    assert described["datasets"][HOSTILE]["events_failed"] == 1500
    assert [failure["number"] for failure in described["failures"]] == [1, 2, 3, 4]
    assert described["failures"][2]["seen"]["signal"] == 9
    assert described["failures"][2]["kind"] == "worker"
    assert described["datasets"]["DY"]["missing_share"] == 0
    assert 0.15 < described["datasets"][HOSTILE]["missing_share"] < 0.16
    assert described["incidents"][0]["count"] == 12
    assert described["accepted_changes"] == ["numpy 2.2.1 is now 2.3.0 <b>"]
    assert described["outputs"]["mass"] == "histogram, 300 bins"
    assert described["name"] == "dimuon spectrum"


def test_a_run_that_is_not_there_is_a_known_error(tmp_path):
    result = call("show", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "run-not-found" in result.output
