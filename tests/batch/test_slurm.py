from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from beampipe.batch.model import JobEnd, JobState, preview
from beampipe.batch.slurm import Slurm
from beampipe.errors import BatchJobError, BatchOutputError, BatchRefusedError

SLURM = Slurm()
TEXT = """\
# /s/job.sh
#!/bin/bash
#SBATCH --job-name=bp-dimuon-1f
#SBATCH --comment="Z → µµ, \\"all\\" of it"
#SBATCH --output="/home/me/lo gs/bp-dimuon-1f-%A_%a.out"
#SBATCH --error="/home/me/lo gs/bp-dimuon-1f-%A_%a.err"
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=4097M
#SBATCH --time=01:30:00
#SBATCH --partition=long
#SBATCH --account=cms
#SBATCH --no-requeue
#SBATCH --signal=B:TERM@120
#SBATCH --array=0-2
#SBATCH --constraint=haswell
export BEAMPIPE_DEADLINE=5400
module load python
exec dask worker tls://10.0.0.1:8786

# then
sbatch --parsable /s/job.sh
"""


def test_what_is_submitted_is_what_the_preview_shows(full_job):
    job = replace(full_job, queue="long", directives=("--constraint=haswell",))
    assert preview(SLURM, job, Path("/s/job.sh")) == TEXT


def test_what_is_not_given_is_left_to_slurm(full_job):
    job = replace(full_job, walltime_s=None, account="", count=1, signal_ahead_s=None, name="")
    text = SLURM.submit_text(job)
    for option in ("time", "account", "partition", "array", "signal", "comment"):
        assert f"--{option}=" not in text
    assert "-%j.out" in text


def test_a_percent_sign_in_a_path_is_no_pattern(full_job):
    text = SLURM.submit_text(replace(full_job, log_folder=Path("/a/%j"), count=1))
    assert "--output=/a/%%j/bp-dimuon-1f-%j.out" in text


def test_an_array_that_slurm_would_not_take_is_refused_here(full_job):
    with pytest.raises(BatchJobError, match="1001"):
        SLURM.submit_text(replace(full_job, count=1001))


@pytest.mark.parametrize("text", ["12\n", "12;cluster\n", "Your quota is 3% used.\n12\n"])
def test_ids_are_read_below_what_a_site_says(text):
    assert SLURM.read_submitted(text, 1) == ("12",)
    assert SLURM.read_submitted(text, 2) == ("12_0", "12_1")


def test_recorded_submissions(recorded):
    assert SLURM.read_submitted(recorded("slurm/submitted-one.txt"), 1) == ("6",)
    assert SLURM.read_submitted(recorded("slurm/submitted-array.txt"), 12)[-1] == "8_11"


def test_a_refusal_keeps_slurms_words():
    words = "sbatch: error: invalid partition specified: nope\n"
    with pytest.raises(BatchRefusedError) as refused:
        SLURM.read_submitted("", 1, stderr=words, exit_code=1)
    assert refused.value.why == words.strip()
    assert refused.value.exit_code == 1


def test_a_recorded_queue(recorded):
    now = 1_000_000.0
    jobs = SLURM.read_status(recorded("slurm/status.txt"), now)
    assert jobs["7"].state is JobState.HELD
    assert (jobs["8_9"].state, jobs["8_9"].reason) == (JobState.PENDING, "Resources")
    assert (jobs["8_9"].host, jobs["8_9"].started_at, jobs["8_9"].ends_at) == ("", None, None)
    running = jobs["5"]
    assert (running.state, running.reason, running.host) == (JobState.RUNNING, "", "n3")
    assert (running.started_at, running.ends_at) == (now - 2, now + 58)
    assert {job.tag for job in jobs.values()} == {"bp-recorded"}


def test_the_queue_tells_of_ends_without_accounting(recorded, fates):
    jobs = SLURM.read_status(recorded("slurm/status.txt"), 0)
    jobs |= SLURM.read_status(recorded("slurm/status-later.txt"), 0)
    ids = fates("slurm")
    seen = {fate: jobs[ids[fate]].end.cause for fate in ("finished", "exit", "signal", "walltime")}
    assert seen == {fate: fate for fate in seen}
    assert jobs[ids["walltime"]].end.words == "TIMEOUT (TimeLimit)"
    assert jobs[ids["finished"]].state is JobState.DONE
    assert jobs[ids["exit"]].state is JobState.FAILED


def test_a_recorded_autopsy(recorded, fates):
    ids = fates("slurm")
    ends = SLURM.read_autopsy(recorded("slurm/autopsy.txt"))
    assert ends[ids["finished"]].cause == "finished"
    assert (ends[ids["exit"]].cause, ends[ids["exit"]].exit_code) == ("exit", 3)
    assert (ends[ids["signal"]].cause, ends[ids["signal"]].signal) == ("signal", 9)
    assert ends[ids["walltime"]].cause == "walltime"
    assert ends[ids["cancelled"]].cause == "cancelled"
    assert ends[ids["cancelled"]].words == "CANCELLED by 999, exit code 0:0 on n3"


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("1|OUT_OF_MEMORY|0:125|n1", "memory"),
        ("1|FAILED|0:125|n1", "memory"),
        ("1|NODE_FAIL|1:0|n1", "node"),
        ("1|PREEMPTED|0:15|n1", "cancelled"),
        ("1|BOOT_FAIL|0:0|n1", "node"),
        ("1|DEADLINE|0:0|n1", "walltime"),
    ],
)
def test_fates_that_its_manual_lists(line, cause):
    assert SLURM.read_autopsy(line + "\n")["1"].cause == cause


def test_a_job_that_lives_has_no_autopsy():
    assert SLURM.read_autopsy("1|RUNNING|0:0|n1\n2|PENDING|0:0|None assigned\n") == {}
    assert SLURM.autopsy(()) == ()


@pytest.mark.parametrize(
    "line", ["1|SOMETHING_NEW|0:00|1:00|n|t|None", "x|RUNNING|0:00|1:00|n|t|None", "slurm_load"]
)
def test_a_line_that_is_no_job_is_an_error(line):
    with pytest.raises(BatchOutputError) as error:
        SLURM.read_status(f"1_0|RUNNING|0:00|1:00|n|t|None\n{line}\n", 0)
    assert line in str(error.value)


def test_a_reason_may_hold_anything():
    job = SLURM.read_status("1|PENDING|0:00|1:00||t|(a | b)\n", 0)["1"]
    assert job.reason == "(a | b)"
    held = "1|PENDING|0:00|1:00||t|launch failed requeued held\n"
    assert SLURM.read_status(held, 0)["1"].state is JobState.HELD


def test_days_and_no_limit_are_read():
    text = "1|RUNNING|1-00:00:01|UNLIMITED|n|t|None\n2|COMPLETING|0:05|2-00:00:00|n|t|None\n"
    jobs = SLURM.read_status(text, 200_000)
    assert (jobs["1"].started_at, jobs["1"].ends_at) == (200_000 - 86401, None)
    assert (jobs["2"].state, jobs["2"].ends_at) == (JobState.ENDING, 200_000 + 172800)


def test_an_end_that_the_queue_cannot_explain_is_unknown():
    job = SLURM.read_status("1|FAILED|0:00|1:00|n|t|BadConstraints\n", 0)["1"]
    words = "FAILED (BadConstraints)"
    assert job.end == JobEnd(job_id="1", cause="unknown", words=words, host="n")


def test_nodes_to_avoid_stand_with_those_that_the_site_excludes(full_job):
    job = replace(full_job, avoid=("n1", "n2"))
    assert "#SBATCH --exclude=n1,n2\n" in SLURM.submit_text(replace(job, directives=()))
    text = SLURM.submit_text(replace(job, directives=("--exclude=bad[1-3]", "-x other", "-C x")))
    assert "#SBATCH -C x\n#SBATCH --exclude=bad[1-3],other,n1,n2\n" in text
    assert text.count("exclude") == 1
    assert " -x " not in text


def test_nodes_are_those_of_a_partition():
    assert SLURM.nodes("long").argv[-1] == "--partition=long"
    assert not SLURM.nodes().argv[-1].startswith("--partition")
    assert SLURM.read_nodes("n1\nn2\nn1\n") == {"n1", "n2"}
