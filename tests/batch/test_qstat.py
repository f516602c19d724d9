from __future__ import annotations

import os
import subprocess

import pytest

from beampipe.batch.model import JobState
from beampipe.batch.qstat import (
    ASK_FOR_ALL,
    ASK_FOR_JOBS,
    has_ended,
    read_blocks,
    read_end,
    read_job,
)
from beampipe.errors import BatchOutputError


@pytest.fixture
def run(tmp_path):
    def run(*argv, **programs):
        for name, text in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=env)

    return run


@pytest.mark.parametrize(("code", "told"), [(0, 0), (153, 0), (35, 0), (1, 1), (15, 15)])
def test_a_job_that_is_not_known_spoils_no_answer(run, code, told):
    done = run("sh", "-c", ASK_FOR_JOBS, "qstat", "-f", "1.s", qstat=f'echo "$@"; exit {code}')
    assert (done.returncode, done.stdout) == (told, "-f 1.s\n")


def test_an_empty_queue_is_told_from_one_that_does_not_answer(run):
    ask = ("sh", "-c", ASK_FOR_ALL, "ask", "me", "bp-a")
    nothing = run(*ask, qselect="true", qstat="echo asked")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    down = run(*ask, qselect="echo cannot connect >&2; exit 111", qstat="echo asked")
    assert (down.returncode, down.stdout, down.stderr) == (111, "", "cannot connect\n")
    broken = run(*ask, qselect="echo 1.s", qstat="exit 2")
    assert broken.returncode != 0
    late = run(*ask, qselect="echo 1.s", qstat="echo gone >&2; exit 153")
    assert (late.returncode, late.stdout) == (0, "")


def test_a_long_value_goes_on_behind_a_tab():
    text = "Job Id: 1.s\n    comment = a long\n\ter word\n    job_state = Q\n\nJob Id: 2.s\n"
    assert list(read_blocks(text)) == [
        ("1.s", {"comment": "a longer word", "job_state": "Q"}),
        ("2.s", {}),
    ]
    assert has_ended({"job_state": "C"})
    assert not has_ended({"job_state": "R"})


def test_the_members_of_an_array_have_the_name_of_the_whole():
    fields = {"job_state": "Q", "Job_Name": "bp-a-2"}
    assert read_job("7[2].s", fields, now=0, causes={}).tag == "bp-a"
    assert read_job("7.s", fields, now=0, causes={}).tag == "bp-a-2"


def test_without_a_time_of_its_start_a_job_began_as_long_ago_as_it_has_run():
    fields = {
        "job_state": "R",
        "resources_used.walltime": "00:01:30",
        "Resource_List.walltime": "01:00:00",
    }
    job = read_job("7.s", fields, now=1000, causes={})
    assert (job.state, job.started_at, job.ends_at) == (JobState.RUNNING, 910, 910 + 3600)


def test_what_the_server_says_goes_before_the_number():
    assert read_end("1.s", {"exit_status": "-7"}, {-7: "memory"}).cause == "memory"
    assert read_end("1.s", {"Exit_status": "-7"}, {}).cause == "node"


def test_a_state_that_nobody_knows_is_an_error():
    with pytest.raises(BatchOutputError):
        read_job("7.s", {"job_state": "?"}, now=0, causes={})
