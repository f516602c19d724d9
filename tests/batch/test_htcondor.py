from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from beampipe.batch.htcondor import HTCondor
from beampipe.batch.model import JobState, preview
from beampipe.errors import BatchJobError, BatchOutputError, BatchRefusedError

HTCONDOR = HTCondor()
TEXT = """\
# /s/jo$(b).sh
#!/bin/bash
export BEAMPIPE_DEADLINE=5400
module load python
exec dask worker tls://10.0.0.1:8786

# then
condor_submit -terse -spool - <<'END'
universe = vanilla
executable = /s/jo$(DOLLAR)(b).sh
output = /home/me/lo gs/bp-dimuon-1f-$(ClusterId).$(ProcId).out
error = /home/me/lo gs/bp-dimuon-1f-$(ClusterId).$(ProcId).err
stream_output = True
stream_error = True
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
transfer_output_files = ""
request_cpus = 2
request_memory = 4097
periodic_remove = JobStatus == 1 && NumJobStarts > 0
notification = Never
batch_name = Z → µµ, "all" of it
+BeampipeTag = "bp-dimuon-1f"
transfer_input_files = /home/me/x509 proxy,/etc/ca.pem
allowed_job_duration = 5400
accounting_group = cms
+JobFlavour = "longlunch"
queue 3
END
"""


def ad(**values):
    return json.dumps([{"ClusterId": 1, "ProcId": 0, "BeampipeTag": "t"} | values])


def test_what_is_submitted_is_what_the_preview_shows(full_job):
    job = replace(
        full_job,
        directives=('+JobFlavour = "longlunch"', "-spool"),
        files=(Path("/home/me/x509 proxy"), Path("/etc/ca.pem")),
    )
    assert preview(HTCONDOR, job, Path("/s/jo$(b).sh")) == TEXT


def test_what_is_not_given_is_left_to_the_pool(full_job):
    job = replace(full_job, walltime_s=None, account="", name="", count=1)
    text = HTCONDOR.submit(job, Path("/s")).stdin
    for name in ("allowed_job_duration", "accounting_group", "transfer_input_files"):
        assert name not in text
    assert "batch_name = bp-dimuon-1f\n" in text
    assert text.endswith("queue 1\n")


@pytest.mark.parametrize("change", [{"queue": "long"}, {"files": (Path("/a,b"),)}], ids=str)
def test_what_condor_has_no_word_for_is_refused(full_job, change):
    with pytest.raises(BatchJobError):
        HTCONDOR.submit(replace(full_job, **change), Path("/s"))


def test_a_chosen_queue_is_asked_in_every_command(full_job):
    there = HTCondor(schedd=("-name", "lpcschedd3"))
    commands = [
        there.submit(full_job, Path("/s")), there.status(user="me"), *there.autopsy(("1.0",)),
        *there.cancel(("1.0",)), *there.release(("1.0",)),
    ]  # fmt: skip
    assert all("-name lpcschedd3" in " ".join(command.argv) for command in commands)
    assert len(commands) == 5


def test_recorded_submissions(recorded):
    assert HTCONDOR.read_submitted(recorded("htcondor/submitted-one.txt"), 1) == ("6.0",)
    assert HTCONDOR.read_submitted(recorded("htcondor/submitted-array.txt"), 12)[-1] == "8.11"
    with pytest.raises(BatchOutputError):
        HTCONDOR.read_submitted(recorded("htcondor/submitted-array.txt"), 11)


def test_a_refusal_keeps_condors_words():
    words = "\nERROR: Failed to parse command file (line 1).\n"
    with pytest.raises(BatchRefusedError) as refused:
        HTCONDOR.read_submitted("", 1, stderr=words, exit_code=1)
    assert refused.value.why == words.strip()


def test_a_recorded_queue(recorded, fates):
    jobs = HTCONDOR.read_status(recorded("htcondor/status.txt"), 0)
    running = jobs[fates("htcondor")["walltime"]]
    assert (running.state, running.host[:3], running.reason) == (JobState.RUNNING, "10-", "")
    assert running.ends_at == running.started_at + 20
    held = jobs["7.0"]
    assert (held.state, held.end) == (JobState.HELD, None)
    assert held.reason == "submitted on hold at user's request"
    assert {job.tag for job in jobs.values()} == {"bp-recorded"}


def test_a_waiting_job_says_what_the_negotiator_said():
    job = HTCONDOR.read_status(ad(JobStatus=1, LastRejMatchReason="no match found "), 0)["1.0"]
    assert (job.state, job.reason) == (JobState.PENDING, "no match found")
    ran = HTCONDOR.read_status(ad(JobStatus=2, LastRejMatchReason="no match found "), 0)["1.0"]
    assert (ran.state, ran.reason) == (JobState.RUNNING, "")


def test_a_job_that_broke_a_limit_is_held_and_will_not_go_on(recorded, fates):
    ids = fates("htcondor")
    jobs = HTCONDOR.read_status(recorded("htcondor/status-later.txt"), 0)
    for fate in ("memory", "walltime"):
        job = jobs[ids[fate]]
        assert job.state is JobState.HELD
        assert job.end.cause == fate
        assert job.reason in job.end.words


def test_a_recorded_autopsy(recorded, fates):
    ids = fates("htcondor")
    ends = HTCONDOR.read_autopsy(recorded("htcondor/autopsy.txt"))
    assert {fate: ends[job_id].cause for fate, job_id in ids.items()} == {f: f for f in ids}
    assert ends[ids["exit"]].exit_code == 3
    assert ends[ids["signal"]].signal == 9
    assert "memory usage exceeded request_memory; via condor_rm" in ends[ids["memory"]].words


def test_an_empty_queue_prints_nothing():
    assert HTCONDOR.read_status("", 0) == {}
    assert HTCONDOR.read_autopsy("[\n]\n") == {}
    assert HTCONDOR.autopsy(()) == ()


@pytest.mark.parametrize(
    ("values", "state", "cause"),
    [
        ({"JobStatus": 3}, JobState.ENDING, None),
        ({"JobStatus": 4, "ExitCode": 0}, JobState.DONE, "finished"),
        ({"JobStatus": 5, "HoldReasonCode": 1}, JobState.HELD, None),
        ({"JobStatus": 5, "HoldReasonCode": 16}, JobState.HELD, None),
        ({"JobStatus": 5, "HoldReasonCode": 13}, JobState.HELD, "held"),
        ({"JobStatus": 5, "HoldReasonCode": 34}, JobState.HELD, "memory"),
        ({"JobStatus": 5, "HoldReasonCode": 47}, JobState.HELD, "walltime"),
        ({"JobStatus": 6}, JobState.ENDING, None),
        ({"JobStatus": 7}, JobState.RUNNING, None),
    ],
    ids=str,
)
def test_states_that_its_manual_lists(values, state, cause):
    job = HTCONDOR.read_status(ad(**values), 0)["1.0"]
    assert job.state is state
    assert (job.end and job.end.cause) == cause


def test_a_job_thrown_off_its_node_was_lost_with_the_node():
    words = "The job attribute PeriodicRemove expression 'JobStatus == 1 && NumJobStarts > 0'"
    end = HTCONDOR.read_autopsy(ad(JobStatus=3, RemoveReason=words))["1.0"]
    assert end.cause == "node"


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"ClusterId": 1}]', ad(JobStatus=99)], ids=str)
def test_what_is_no_list_of_jobs_is_an_error(text):
    with pytest.raises(BatchOutputError):
        HTCONDOR.read_status(text, 0)


def test_nodes_to_avoid_are_required_with_what_the_site_requires(full_job):
    job = replace(full_job, queue="", files=(), avoid=("n1.farm", "n2"))
    ours = '(TARGET.Machine =!= "n1.farm") && (TARGET.Machine =!= "n2")'
    text = HTCONDOR.submit(replace(job, directives=()), Path("/s")).stdin
    assert f"\nrequirements = {ours}\n" in text
    own = ('Requirements = OpSys == "LINUX" || False', "+JobFlavour = 1")
    text = HTCONDOR.submit(replace(job, directives=own), Path("/s")).stdin
    assert f'\nrequirements = (OpSys == "LINUX" || False) && {ours}\n' in text
    assert text.lower().count("requirements") == 1
    assert "\n+JobFlavour = 1\n" in text


def test_nodes_are_named_once():
    assert HTCONDOR.read_nodes("n1.farm\nn2\nn2\n") == {"n1.farm", "n2"}
