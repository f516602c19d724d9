"""From documentation: none of this was recorded from a Moab of ours (documented/README.md)."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from beampipe.batch.moab import Moab
from beampipe.batch.model import JobState, preview
from beampipe.errors import BatchJobError, BatchOutputError, BatchRefusedError

DIALECT = Moab()
DOCUMENTED = Path(__file__).parent / "documented"
TEXT = """\
# /s/job.sh
#!/bin/bash
#MSUB -N bp-dimuon-1f
#MSUB -j oe
#MSUB -o /dev/null
#MSUB -S /bin/bash
#MSUB -E
#MSUB -r n
#MSUB -m n
#MSUB -l nodes=1:ppn=2
#MSUB -l mem=4097mb
#MSUB -l walltime=01:30:00
#MSUB -l signal=15@120
#MSUB -q long
#MSUB -A cms
#MSUB -l feature=k80
export MOAB_JOBID="${MOAB_JOBID:-${PBS_JOBID%%.*}}"
exec >'/home/me/lo gs/bp-dimuon-1f-'"$MOAB_JOBID".out 2>'/home/me/lo gs/bp-dimuon-1f-'"$MOAB_JOBID".err </dev/null
export BEAMPIPE_DEADLINE=5400
module load python
exec dask worker tls://10.0.0.1:8786

# then
msub /s/job.sh
"""  # noqa: E501


def test_what_is_submitted_is_what_the_preview_shows(full_job):
    job = replace(full_job, queue="long", directives=("-l feature=k80",), count=1)
    assert preview(DIALECT, job, Path("/s/job.sh")) == TEXT


def test_what_is_not_given_is_left_to_the_site(full_job):
    text = DIALECT.submit_text(replace(full_job, walltime_s=None, account="", count=1))
    for option in ("-l walltime", "-l signal", "-A", "-q"):
        assert f"#MSUB {option}" not in text


def test_arrays_are_not_used(full_job):
    with pytest.raises(BatchJobError):
        DIALECT.submit_text(full_job)


@pytest.mark.parametrize("told", [{"MOAB_JOBID": "7", "PBS_JOBID": "9.s"}, {"PBS_JOBID": "7.s"}])
def test_a_script_writes_its_own_logs_and_its_command_knows_the_id(full_job, tmp_path, told):
    job = replace(
        full_job, log_folder=tmp_path, count=1, prologue=(),
        command=("sh", "-c", 'echo "$MOAB_JOBID"; echo b >&2'),
    )  # fmt: skip
    script = tmp_path / "job.sh"
    script.write_text(DIALECT.submit_text(job), encoding="utf-8")
    subprocess.run(["bash", str(script)], check=True, env=os.environ | told)
    out, err = DIALECT.logs(job, "7")
    assert (out.read_text(), err.read_text()) == ("7\n", "b\n")


def test_submissions_and_refusals():
    assert DIALECT.read_submitted("\n4761849\n", 1) == ("4761849",)
    assert DIALECT.read_submitted("\n\nMoab.12\n\n", 1) == ("Moab.12",)
    with pytest.raises(BatchRefusedError, match="timed out"):
        DIALECT.read_submitted("", 1, stderr="ERROR:  client timed out\n", exit_code=1)
    with pytest.raises(BatchOutputError):
        DIALECT.read_submitted("hello you\n", 1)


def test_a_documented_queue():
    text = (DOCUMENTED / "moab-status.xml").read_text()
    jobs = DIALECT.read_status(text, 0, "bp-a")
    assert set(jobs) == {"12", "Moab.13", "14", "15"}
    running = jobs["12"]
    assert (running.state, running.host, running.reason) == (JobState.RUNNING, "n3559", "")
    assert (running.started_at, running.ends_at) == (1551878897, 1551878897 + 172800)
    assert (jobs["Moab.13"].state, jobs["Moab.13"].reason) == (JobState.PENDING, "")
    assert (jobs["Moab.13"].started_at, jobs["Moab.13"].host) == (None, "")
    assert jobs["14"].state is JobState.PENDING
    assert jobs["14"].reason.startswith("IdlePolicy:job 14 violates idle HARD MAXIPROC limit")
    assert (jobs["15"].state, jobs["15"].reason) == (JobState.HELD, "UserHold")
    other = DIALECT.read_status(text, 0)["16"]
    assert other.reason == "IdlePolicy: job 16 violates idle HARD MAXIPROC limit"


def test_a_documented_autopsy():
    ends = DIALECT.read_autopsy((DOCUMENTED / "moab-autopsy.xml").read_text())
    causes = ["finished", "exit", "signal", "walltime", "memory", "cancelled", "cancelled", "node"]
    assert [end.cause for end in ends.values()] == causes
    assert (ends["1"].exit_code, ends["2"].exit_code) == (0, 3)
    assert (ends["3"].exit_code, ends["3"].signal) == (None, 9)
    assert ends["1"].words == "Completed, completion code 0 on n4250"
    jobs = DIALECT.read_status((DOCUMENTED / "moab-autopsy.xml").read_text(), 0)
    assert jobs["1"].state is JobState.DONE
    assert jobs["2"].state is JobState.FAILED


def test_each_job_has_a_command_of_its_own(tmp_path):
    mjobctl = tmp_path / "mjobctl"
    mjobctl.write_text('#!/bin/sh\necho "$@"; exit 1\n')
    mjobctl.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for commands, said in (
        (DIALECT.cancel(("1", "Moab.2")), "-c 1\n-c Moab.2\n"),
        (DIALECT.release(("1", "2")), "-u user 1\n-u user 2\n"),
    ):
        (command,) = commands
        done = subprocess.run(command.argv, capture_output=True, text=True, check=False, env=env)
        assert done.stdout == said


@pytest.mark.parametrize(
    "text",
    ["", "ERROR:  client timed out", "<Data/>", '<Data><queue><job State="?"/></queue></Data>'],
    ids=["nothing", "words", "no-queues", "state"],
)
def test_what_is_no_queue_is_an_error(text):
    with pytest.raises(BatchOutputError):
        DIALECT.read_status(text, 0)
