"""From documentation: none of this was recorded from an LSF that runs (documented/README.md)."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from beampipe.batch.lsf import LSF
from beampipe.batch.model import JobState, preview
from beampipe.errors import BatchJobError, BatchOutputError, BatchRefusedError

DIALECT = LSF()
DOCUMENTED = Path(__file__).parent / "documented"
TEXT = """\
# /s/job.sh
#!/bin/bash
#BSUB -J "bp-dimuon-1f[1-3]"
#BSUB -o /dev/null
#BSUB -L /bin/bash
#BSUB -rn
#BSUB -n 2
#BSUB -R "span[hosts=1]"
#BSUB -R "rusage[mem=4097MB/host]"
#BSUB -M 4097MB
#BSUB -W 90
#BSUB -wt 2
#BSUB -wa TERM
#BSUB -q long
#BSUB -P cms
#BSUB -app higgs
member=${LSB_JOBINDEX:-0}; [ "$member" = 0 ] && member= || member="[$member]"
exec >'/home/me/lo gs/bp-dimuon-1f-'"$LSB_JOBID$member".out 2>'/home/me/lo gs/bp-dimuon-1f-'"$LSB_JOBID$member".err </dev/null
export BEAMPIPE_DEADLINE=5400
module load python
exec dask worker tls://10.0.0.1:8786

# then
sh -c 'exec bsub <"$0"' /s/job.sh
"""  # noqa: E501


def test_what_is_submitted_is_what_the_preview_shows(full_job):
    job = replace(full_job, queue="long", directives=("-app higgs",))
    assert preview(DIALECT, job, Path("/s/job.sh")) == TEXT


def test_what_is_not_given_is_left_to_the_site(full_job):
    text = DIALECT.submit_text(replace(full_job, walltime_s=None, account="", count=1))
    for option in ("-W", "-wt", "-wa", "-P", "-q"):
        assert f"#BSUB {option} " not in text
    assert "#BSUB -J bp-dimuon-1f\n" in text


def test_minutes_are_rounded_up(full_job):
    text = DIALECT.submit_text(replace(full_job, walltime_s=61, signal_ahead_s=1))
    assert "#BSUB -W 2\n" in text
    assert "#BSUB -wt 1\n" in text


def test_an_array_has_as_many_jobs_as_lsf_takes(full_job):
    with pytest.raises(BatchJobError, match="1000"):
        DIALECT.submit_text(replace(full_job, count=1001))


@pytest.mark.parametrize(("index", "job_id"), [("0", "7"), (None, "7"), ("10", "7[10]")])
def test_a_script_writes_its_own_logs(full_job, tmp_path, index, job_id):
    logs = tmp_path / "lo g's µ"
    logs.mkdir()
    job = replace(
        full_job, log_folder=logs, prologue=(), command=("sh", "-c", "echo a; echo b >&2")
    )
    script = tmp_path / "job.sh"
    script.write_text(DIALECT.submit_text(job), encoding="utf-8")
    told = {"LSB_JOBID": "7"} | ({"LSB_JOBINDEX": index} if index else {})
    subprocess.run(["bash", str(script)], check=True, env=os.environ | told)
    out, err = DIALECT.logs(job, job_id)
    assert (out.read_text(), err.read_text()) == ("a\n", "b\n")


def test_submissions_and_refusals():
    text = "Cannot connect to LSF. Please wait ...\nJob <12> is submitted to queue <short>.\n"
    assert DIALECT.read_submitted(text, 1) == ("12",)
    assert DIALECT.read_submitted(text, 3) == ("12[1]", "12[2]", "12[3]")
    with pytest.raises(BatchRefusedError, match="User cannot use the queue"):
        DIALECT.read_submitted(
            "", 1, stderr="short: User cannot use the queue. Job not submitted.\n", exit_code=255
        )
    with pytest.raises(BatchOutputError):
        DIALECT.read_submitted("hello\n", 1)


def test_a_documented_queue():
    text = (DOCUMENTED / "lsf-status.json").read_text()
    jobs = DIALECT.read_status(text, 1000, "bp-a")
    assert set(jobs) == {"12", "13[1]", "13[2]", "14"}
    for running in (jobs["12"], jobs["13[1]"]):
        assert (running.state, running.host) == (JobState.RUNNING, "a01n10")
        assert (running.started_at, running.ends_at) == (1000 - 90, 1000 - 90 + 5400)
        assert running.reason == ""
    assert jobs["13[2]"].state is JobState.PENDING
    assert jobs["13[2]"].reason == "New job is waiting for scheduling"
    assert (jobs["14"].state, jobs["14"].reason) == (JobState.HELD, "held")
    other = DIALECT.read_status(text, 57208)["15"]
    assert (other.state, other.started_at, other.ends_at) == (JobState.RUNNING, 0, 1440 * 60)
    assert DIALECT.read_status('Please wait ...\n{"RECORDS": []}\n', 0) == {}


def test_a_documented_autopsy():
    ends = DIALECT.read_autopsy((DOCUMENTED / "lsf-autopsy.json").read_text())
    causes = ["finished", "exit", "signal", "walltime", "memory", "cancelled", "cancelled"]
    assert [end.cause for end in ends.values()] == [*causes, "signal"]
    assert (ends["1"].exit_code, ends["2"].exit_code) == (0, 3)
    assert (ends["3"].exit_code, ends["3"].signal) == (None, 9)
    assert ends["6"].words == "TERM_OWNER: job killed by owner; exit code 130"
    assert (ends["7"].exit_code, ends["7"].signal) == (None, None)
    assert not {"9", "10"} & set(ends)


def test_jobs_that_ended_lately_are_in_the_queue_with_their_end():
    jobs = DIALECT.read_status((DOCUMENTED / "lsf-autopsy.json").read_text(), 0)
    assert jobs["1"].state is JobState.DONE
    assert {jobs[job_id].state for job_id in "2345678"} == {JobState.FAILED}
    assert jobs["4"].end.cause == "walltime"


@pytest.mark.parametrize(
    "text", ["", "No job found\n", '{"RECORDS": [{"JOBID": "1", "STAT": "?"}]}'],
    ids=["nothing", "words", "state"],
)  # fmt: skip
def test_what_is_no_queue_is_an_error(text):
    with pytest.raises(BatchOutputError):
        DIALECT.read_status(text, 0)


@pytest.mark.parametrize(
    ("program", "code", "answer"),
    [
        ("echo '{\"RECORDS\": [1]}'; exit 255", 0, '{"RECORDS": [1]}'),
        ("echo No unfinished job found >&2; exit 255", 0, '{"RECORDS": []}'),
        ("echo 'Job <7> is not found' >&2; exit 255", 0, '{"RECORDS": []}'),
        ("echo No job found >&2", 0, '{"RECORDS": []}'),
        ("echo LSF is down. Please wait >&2; exit 255", 255, "LSF is down. Please wait"),
    ],
    ids=["some", "none", "unknown", "none-and-well", "down"],
)
def test_an_empty_queue_is_told_from_one_that_does_not_answer(tmp_path, program, code, answer):
    bjobs = tmp_path / "bjobs"
    bjobs.write_text(f"#!/bin/sh\n{program}\n")
    bjobs.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    argv = DIALECT.status(user="me").argv
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout) == (code, f"{answer}\n")


def test_one_call_asks_for_all_jobs_with_those_that_have_ended():
    argv = DIALECT.status(user="me", tag="bp-a").argv
    assert argv[3:7] == ("ask", "-u", "me", "-a")
    assert argv[-1] == "-json"
    assert "pend_reason" in argv[8]
