from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.hand_made_run import call

import beampipe as bp

OPTIONS = ("--schema", "none", "--workers", "0")


def run(processor, *more):
    return call("run", f"my analysis.py:{processor}", *more, *OPTIONS)


def test_a_run_ends_with_a_summary_and_0(workplace):
    done = run("spectrum", "data")
    assert done.exit_code == 0, done.output
    assert "spectrum  COMPLETE" in done.stdout
    assert "All 1,000 events of 2 files were processed, each once." in done.stdout
    assert "100%" in done.stderr  # the progress
    (run_dir,) = Path("beampipe-runs").iterdir()
    assert str(run_dir) in done.stdout
    assert bp.load(run_dir).output["n"] == 1000


def test_workers_may_be_at_a_site(workplace):
    options = ("--schema", "none", "--on", "local", "--workers", "1")
    done = call("run", "my analysis.py:spectrum", "data", "--run-dir", "there", *options)
    assert done.exit_code == 0, done.output
    assert bp.load("there").output["n"] == 1000
    done = call("run", "my analysis.py:spectrum", "data", "--on", "slrum")
    assert done.exit_code == 1
    assert "did you mean 'slurm'" in done.stderr


def test_files_that_workers_do_not_see_are_refused(workplace, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_SITE_CLIENT_FOLDERS", str(Path.cwd()))
    done = call("run", "my analysis.py:spectrum", "data", "--on", "local")
    assert done.exit_code == 1
    assert "[site-folders]" in done.stderr
    assert "client_folders" in done.stderr


def test_quiet_is_quiet(workplace):
    done = run("spectrum", "data", "--quiet")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_json_is_the_documented_object_and_nothing_else(workplace):
    done = run("spectrum", "data", "--json", "--run-dir", "my run")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert list(told) == [
        *("status", "run_dir", "wall_s", "datasets", "failures", "metrics"),
        *("timing", "incidents", "accepted_changes", "notes"),
    ]
    assert told["datasets"]["data"]["missing_share"] == 0
    assert told["status"] == "complete"
    assert told["run_dir"] == str(workplace / "my run")
    assert told["wall_s"] > 0
    assert told["failures"] == []
    wanted = {"files", "events_planned", "events_processed", "events_failed"}
    wanted |= {"events_not_reached", "chunks_planned", "chunks_reused"}
    assert wanted <= set(told["datasets"]["data"])
    assert told["datasets"]["data"]["events_processed"] == 1000


@pytest.mark.parametrize(
    ("options", "events"),
    [
        (("--maxfiles", "1"), 600),
        (("--maxevents", "250"), 500),
        (("--maxchunks", "1", "--chunksize", "200"), 200),
    ],
)
def test_limits_are_passed_on(workplace, options, events):
    told = json.loads(run("spectrum", "data", *options, "--json").stdout)
    planned = told["datasets"]["data"]["events_planned"]
    assert planned == told["datasets"]["data"]["events_processed"]
    assert planned <= events
    assert told["status"] == "complete"


def test_params_reach_functions_and_classes(workplace):
    run("spectrum", "data", "--param", "scale=0.5", "--run-dir", "function")
    histogram = bp.load("function").output["muons"]["x"]
    assert histogram[:300j:sum] == histogram.sum(flow=True)
    run("Analysis", "data", "--param", "factor=3", "--run-dir", "class")
    assert bp.load("class").output == {"n": 3000}


def test_a_budget_ends_a_run_with_1_and_a_larger_one_with_4(workplace):
    Path("bad day").touch()
    options = ("big.root", "--chunksize", "100", "--on-error", "skip", "--run-dir", "r", "--json")
    stopped = run("picky", *options, "--max-failed", "5%")
    assert stopped.exit_code == 1
    told = json.loads(stopped.stdout)
    assert told["error"]["code"] == "run-budget-exceeded"
    assert "ValueError [processor-failed]" in told["error"]["why"]
    assert told["datasets"]["data"]["missing_share"] > 0.05
    assert call("resume", "r", "--workers", "0", "--json").exit_code == 1  # with the same budget
    went_on = call("resume", "r", "--workers", "0", "--max-failed", "60%", "--json")
    assert went_on.exit_code == 4
    assert json.loads(went_on.stdout)["datasets"]["data"]["events_not_reached"] == 0
    refused = run("picky", "big.root", "--max-failed", "5%")
    assert refused.exit_code == 1
    assert "--on-error skip" in refused.stderr


def test_a_name_is_kept(workplace):
    told = json.loads(run("spectrum", "data", "--name", "my µ run", "--json").stdout)
    assert bp.load(told["run_dir"]).name == "my µ run"
    assert "my-µ-run" in told["run_dir"]


def test_several_files_as_a_shell_expands_them(workplace):
    told = json.loads(run("spectrum", "data/a b.root", "data/c.root", "--json").stdout)
    assert told["datasets"]["data"]["files"] == 2


def test_holes_exit_with_4_and_stopped_runs_with_1(workplace):
    Path("bad day").touch()
    done = run("picky", "big.root", "--chunksize", "200", "--on-error", "skip")
    assert done.exit_code == 4
    assert "INCOMPLETE" in done.stdout
    assert "ValueError: not 'today'" in done.stdout
    done = run("picky", "big.root", "--chunksize", "200")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "[run-stopped]" in done.stderr
    assert "What was done is kept: beampipe show" in done.stderr


def test_help_says_what_can_be_given():
    output = call("run", "--help").stdout
    for text in ("FILE.py:NAME", "a glob in quotes", "--param KEY=VALUE", "Examples:"):
        assert text in output
