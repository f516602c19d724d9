"""From documentation: none of this was recorded from a Torque that runs (documented/README.md)."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from beampipe.batch.model import JobState, preview
from beampipe.batch.torque import Torque
from beampipe.errors import BatchJobError, BatchOutputError, BatchRefusedError

DIALECT = Torque()
DOCUMENTED = Path(__file__).parent / "documented"
TEXT = """\
# /s/job.sh
#!/bin/bash
#PBS -N bp-dimuon-1f
#PBS -j oe
#PBS -o '/home/me/lo gs/bp-dimuon-1f.torque'
#PBS -S /bin/bash
#PBS -r n
#PBS -m n
#PBS -l nodes=1:ppn=2
#PBS -l mem=4097mb
#PBS -l walltime=01:30:00
#PBS -q long
#PBS -A cms
#PBS -t 0-2
#PBS -l feature=k80
exec >'/home/me/lo gs/bp-dimuon-1f-'"$PBS_JOBID".out 2>'/home/me/lo gs/bp-dimuon-1f-'"$PBS_JOBID".err </dev/null
export BEAMPIPE_DEADLINE=5400
module load python
exec dask worker tls://10.0.0.1:8786

# then
qsub /s/job.sh
"""  # noqa: E501


def test_what_is_submitted_is_what_the_preview_shows(full_job):
    job = replace(full_job, queue="long", directives=("-l feature=k80",))
    assert preview(DIALECT, job, Path("/s/job.sh")) == TEXT


def test_what_is_not_given_is_left_to_the_site(full_job):
    text = DIALECT.submit_text(replace(full_job, walltime_s=None, account="", count=1))
    for option in ("-l walltime", "-A", "-q", "-t"):
        assert f"#PBS {option}" not in text
    assert "#PBS -o /dev/null\n" in text


def test_an_array_has_its_limit(full_job):
    with pytest.raises(BatchJobError, match="1000"):
        DIALECT.submit_text(replace(full_job, count=1001))


def test_submissions_and_refusals():
    assert DIALECT.read_submitted("12.server.domain\n", 1) == ("12.server.domain",)
    members = ("189[0].pali", "189[1].pali")
    assert DIALECT.read_submitted("189[].pali\n", 2) == members
    for text, count in (("12.server\n", 2), ("12[].server\n", 1), ("hello\n", 1)):
        with pytest.raises(BatchOutputError):
            DIALECT.read_submitted(text, count)
    with pytest.raises(BatchRefusedError, match="Unknown queue"):
        DIALECT.read_submitted("", 1, stderr="qsub: Unknown queue\n", exit_code=170)


def test_a_documented_queue():
    text = (DOCUMENTED / "torque-status.txt").read_text()
    jobs = DIALECT.read_status(text, 1000, "bp-a")
    assert set(jobs) == {"12.server", "13[0].server", "13[1].server"}
    running = jobs["12.server"]
    assert (running.state, running.host, running.reason) == (JobState.RUNNING, "node1", "")
    began = time.mktime((2008, 8, 29, 14, 55, 55, 0, 0, -1))
    assert (running.started_at, running.ends_at) == (began, began + 5400)
    waiting = jobs["13[0].server"]
    assert waiting.state is JobState.PENDING
    assert waiting.reason.startswith("could not find appropriate resources on partition ALL for ")
    assert waiting.reason.endswith("the following shapes: shape[1] 96 (resources not available in "
                                   "any partition)")  # fmt: skip
    assert (jobs["13[1].server"].state, jobs["13[1].server"].reason) == (JobState.HELD, "held")
    assert DIALECT.read_status(text, 0)["14.server"].end.cause == "finished"
    assert DIALECT.read_status("", 0) == {}


def test_a_documented_autopsy():
    ends = DIALECT.read_autopsy((DOCUMENTED / "torque-autopsy.txt").read_text())
    causes = ["finished", "exit", "signal", "walltime", "memory", "cancelled", "walltime", "node"]
    assert [end.cause for end in ends.values()] == [*causes, "cancelled"]
    assert ends["2.server"].exit_code == 3
    assert ends["3.server"].signal == 9
    assert "9[1].server" in ends
    assert "10.server" not in ends


@pytest.mark.parametrize("text", ["<html>", "Job Id: 1.s\n    job_state = ?\n"], ids=["page", "?"])
def test_what_is_no_queue_is_an_error(text):
    with pytest.raises(BatchOutputError):
        DIALECT.read_status(text, 0)


def test_the_queue_is_asked_for_all_jobs_of_the_user(tmp_path):
    for name, text in (
        ("qselect", 'echo "$@" >&2; echo "1[0].s"; echo 2.s'),
        ("qstat", 'echo "$@"'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    argv = DIALECT.status(user="me", tag="bp-a").argv
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env)
    assert (done.stderr, done.stdout) == ("-u me\n", "-f 1[0].s 2.s\n")
