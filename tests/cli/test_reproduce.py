from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from tests.cli.hand_made_run import call

from beampipe.testing import tiny_files


@pytest.fixture
def holed(workplace):
    """A run with a file that cannot be counted and chunks that fail on bad days."""
    Path("bad day").touch()
    tiny_files.write_empty_file("zero.root")
    done = call(
        *("run", "my analysis.py:picky", "big.root", "zero.root", "--chunksize", "200", "--quiet"),
        *("--schema", "none", "--workers", "0", "--on-error", "skip", "--run-dir", "my 'run'"),
    )
    assert done.exit_code == 4, done.output
    return "my 'run'"


def failures(run):
    return {
        one["number"]: one for one in json.loads(call("show", run, "--json").stdout)["failures"]
    }


def test_a_chunk_fails_here_as_it_did_there(holed):
    assert failures(holed)[2]["start"] == 600
    done = call("reproduce", holed, "--failure", 2)
    assert done.exit_code == 1
    assert "raise ValueError(\"not 'today'\")" in done.stderr
    assert "[processor-failed] The processor raised ValueError." in done.stderr
    assert "src/beampipe" not in done.stderr


def test_the_debugger_is_entered(holed, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "pdb.post_mortem", lambda tail: seen.append(tail.tb_frame.f_locals["events"].metadata)
    )
    call("reproduce", holed, "--failure", 3, "--pdb")
    assert (seen[0]["entrystart"], seen[0]["entrystop"]) == (800, 1000)


def test_what_does_not_fail_any_more_is_said_with_what_to_do(holed):
    Path("bad day").unlink()
    done = call("reproduce", holed, "--failure", 2)
    assert done.exit_code == 0, done.output
    assert "does not fail here: 200 events" in done.stdout
    assert f"`beampipe resume {shlex.quote(holed)}`" in done.stdout


def test_a_file_is_counted_again(holed):
    done = call("reproduce", holed)
    assert done.exit_code == 1
    assert "[dataset-file-empty]" in done.stderr
    tiny_files.write_tree_file("zero.root", events=10)
    done = call("reproduce", holed)
    assert done.exit_code == 0, done.output
    assert "can be counted now" in done.stdout


def test_a_number_that_is_not_there_is_said_with_those_that_are(holed):
    done = call("reproduce", holed, "--failure", 9)
    assert done.exit_code == 1
    assert "[run-argument] The run has no failure 9." in done.stderr
    assert "it has 3" in done.stderr
    assert f"beampipe show {shlex.quote(holed)} --failures" in done.stderr
    assert call("reproduce", holed, "--failure", 0).exit_code == 2
