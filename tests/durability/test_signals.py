"""kill -9 and SIGSTOP before every operation of a run, in real processes."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SHARDS = 3


@pytest.fixture
def memory(tmp_path):
    base = Path("/dev/shm")
    path = (base if base.is_dir() else tmp_path) / f"beampipe-signals-{os.getpid()}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


def tell(how, memory, first, step):
    """What became of the driver, for every operation that it was killed or stopped before."""
    program = [sys.executable, "-m", "tests.durability.children"]
    done = subprocess.run(
        [*program, how, memory, str(first), str(step)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("first", range(SHARDS))
def test_killed_before_every_operation_a_run_is_finished_by_another_process(memory, first):
    told = tell("kill", memory, first, SHARDS)
    assert len(told) > 40
    assert [(one["at"], one["log"]) for one in told if one["code"]] == []


@pytest.mark.parametrize("first", range(SHARDS))
def test_stopped_before_every_operation_a_driver_is_fenced_when_it_wakes_up(memory, first):
    told = tell("stop", memory, first, SHARDS)
    assert len(told) > 30
    assert [one["errors"] for one in told if one["errors"]] == []
    # Whatever it did then, all is there, once; and going on gives the whole result.
    assert {(one["n_chunks"], one["third"]) for one in told} == {(8, 0)}
    for one in told:
        if one["code"] == 3:
            assert one["held"]["held"] == (
                f"Another driver holds this run: process {one['second']} on {socket.gethostname()}."
            )
            assert not one["is_complete"]
    held = [one["at"] for one in told if one["code"] == 3]
    # Only one that had nothing left to do but to write down how it ended gets through.
    assert held == [one["at"] for one in told][: len(held)]
    assert len(told) - len(held) < 4
    # It may have written its outcome over that of the other; the ledger has the last word.
    assert {one["status"] for one in told} == {"complete"}
