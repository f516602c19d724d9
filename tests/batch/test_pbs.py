"""From documentation: none of this was recorded from a PBS that runs."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from beampipe.batch.model import JobState, preview
from beampipe.batch.pbs import PBS
from beampipe.errors import BatchJobError, BatchOutputError, BatchRefusedError

PBS_PRO = PBS()
DOCUMENTED = Path(__file__).parent / "documented"
TEXT = """\
# /s/job.sh
#!/bin/bash
#PBS -N bp-dimuon-1f
#PBS -j oe
#PBS -o /dev/null
#PBS -S /bin/bash
#PBS -r n
#PBS -m n
#PBS -l select=1:ncpus=2:mem=4097mb
#PBS -l walltime=01:30:00
#PBS -q long
#PBS -A cms
#PBS -l place=pack
exec >'/home/me/lo gs/bp-dimuon-1f-'"$PBS_JOBID".out 2>'/home/me/lo gs/bp-dimuon-1f-'"$PBS_JOBID".err </dev/null
export BEAMPIPE_DEADLINE=5400
module load python
exec dask worker tls://10.0.0.1:8786

# then
qsub /s/job.sh
"""  # noqa: E501


def test_what_is_submitted_is_what_the_preview_shows(full_job):
    job = replace(full_job, queue="long", directives=("-l place=pack",), count=1)
    assert preview(PBS_PRO, job, Path("/s/job.sh")) == TEXT


def test_arrays_are_not_used(full_job):
    with pytest.raises(BatchJobError):
        PBS_PRO.submit_text(full_job)


def test_a_script_writes_its_own_logs(full_job, tmp_path):
    logs = tmp_path / "lo g's µ"
    logs.mkdir()
    job = replace(
        full_job, log_folder=logs, count=1, prologue=(), command=("sh", "-c", "echo a; echo b >&2")
    )
    script = tmp_path / "job.sh"
    script.write_text(PBS_PRO.submit_text(job), encoding="utf-8")
    subprocess.run(["bash", str(script)], check=True, env=os.environ | {"PBS_JOBID": "7.server"})
    out, err = PBS_PRO.logs(job, "7.server")
    assert (out.read_text(), err.read_text()) == ("a\n", "b\n")


def test_submissions_and_refusals():
    assert PBS_PRO.read_submitted("12.server.domain\n", 1) == ("12.server.domain",)
    with pytest.raises(BatchRefusedError, match="Unknown queue"):
        PBS_PRO.read_submitted("", 1, stderr="qsub: Unknown queue\n", exit_code=170)
    with pytest.raises(BatchOutputError):
        PBS_PRO.read_submitted("hello\n", 1)


def test_a_documented_queue():
    text = (DOCUMENTED / "pbs-status.txt").read_text()
    jobs = PBS_PRO.read_status(text, 1000, "bp-a")
    assert set(jobs) == {"12.server", "13.server", "14.server"}
    running = jobs["12.server"]
    assert (running.state, running.host, running.reason) == (JobState.RUNNING, "node1", "")
    assert (running.started_at, running.ends_at) == (1000 - 90, 1000 - 90 + 5400)
    waiting = jobs["13.server"]
    assert waiting.state is JobState.PENDING
    assert waiting.reason == "Not Running: Insufficient amount of resource: ncpus"
    assert (jobs["14.server"].state, jobs["14.server"].reason) == (JobState.HELD, "held")
    assert PBS_PRO.read_status(text, 0)["15.server"].state is JobState.ENDING
    assert PBS_PRO.read_status("", 0) == {}


def test_a_documented_autopsy():
    ends = PBS_PRO.read_autopsy((DOCUMENTED / "pbs-autopsy.txt").read_text())
    causes = ["finished", "exit", "signal", "walltime", "memory", "cancelled", "cancelled"]
    assert [end.cause for end in ends.values()] == causes
    assert ends["2.server"].exit_code == 3
    assert ends["3.server"].signal == 9
    assert "8.server" not in ends


@pytest.mark.parametrize("text", ["<html>", "Job Id: 1.s\n    job_state = ?\n"], ids=["page", "?"])
def test_what_is_no_queue_is_an_error(text):
    with pytest.raises(BatchOutputError):
        PBS_PRO.read_status(text, 0)


@pytest.mark.parametrize(("tag", "asked"), [("bp-a", "-u me -N bp-a"), ("", "-u me")])
def test_the_queue_is_asked_for_the_jobs_of_a_name(tmp_path, tag, asked):
    for name, text in (("qselect", 'echo "$@" >&2; echo 1.s; echo 2.s'), ("qstat", 'echo "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    argv = PBS_PRO.status(user="me", tag=tag).argv
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env)
    assert (done.stderr, done.stdout) == (f"{asked}\n", "-f 1.s 2.s\n")
