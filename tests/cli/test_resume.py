from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.hand_made_run import call

import beampipe as bp


@pytest.fixture
def stopped(workplace):
    """A run that ended on errors, and whose cause is gone."""
    Path("bad day").touch()
    done = call(
        *("run", "my analysis.py:picky", "big.root", "--chunksize", "200", "--quiet"),
        *("--schema", "none", "--workers", "0", "--run-dir", "my 'run'"),
    )
    assert done.exit_code == 1
    Path("bad day").unlink()
    return workplace / "my 'run'"


def test_only_what_is_missing_is_done(stopped):
    before = bp.load(stopped).accounting.events_processed
    assert 0 < before < 1000
    done = call("resume", stopped, "--workers", "0", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["status"] == "complete"
    assert told["metrics"]["events"] == 1000 - before
    assert told["datasets"]["data"]["chunks_reused"] > 0
    assert bp.load(stopped).output == {"n": 1000}


def test_a_complete_run_stays_what_it_is(stopped):
    call("resume", stopped, "--workers", "0", "--quiet")
    done = call("resume", stopped, "--workers", "0")
    assert done.exit_code == 0
    assert "COMPLETE" in done.stdout
    assert bp.load(stopped).output == {"n": 1000}


def test_how_errors_are_taken_can_be_changed(stopped):
    Path("bad day").touch()
    assert call("resume", stopped, "--workers", "0", "--quiet").exit_code == 1
    done = call("resume", stopped, "--workers", "0", "--quiet", "--on-error", "skip")
    assert done.exit_code == 4
    assert done.stdout == ""


def test_a_run_that_others_may_write_to_is_not_resumed(stopped):
    stopped.chmod(0o777)
    done = call("resume", stopped, "--workers", "0", "--json")
    assert done.exit_code == 1
    assert "[run-trust]" in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "run-trust"
