from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from beampipe.batch.model import JobState, preview
from beampipe.batch.oar import OAR
from beampipe.errors import BatchJobError, BatchOutputError, BatchRefusedError

DIALECT = OAR()
TEXT = """\
# /s/my job.sh
#!/bin/bash
exec >'/home/me/lo gs/bp-dimuon-1f-'"$OAR_JOB_ID".out 2>'/home/me/lo gs/bp-dimuon-1f-'"$OAR_JOB_ID".err </dev/null
export BEAMPIPE_DEADLINE=5400
module load python
told= heard=
tell() { [ "$heard" ] || kill -TERM "$command" 2>/dev/null && heard=yes; }
trap 'told=yes; tell' USR2
(trap '' USR2; exec dask worker tls://10.0.0.1:8786) &
command=$!
[ -z "$told" ] || tell
wait "$command"; code=$?
while [ "$told" ]; do told=; wait "$command"; code=$?; done
exit "$code"

# then
oarsub -n bp-dimuon-1f -l /nodes=1/core=2,walltime=01:30:00 -O /dev/null -E /dev/null -d '/home/me/lo gs' --checkpoint 120 --signal 12 -q long --project cms --array 3 -p 'memnode >= 4000' 'exec '"'"'/s/my job.sh'"'"''
"""  # noqa: E501


def words(job) -> str:
    return " ".join(DIALECT.submit(job, Path("/s/job.sh")).argv)


def test_what_is_submitted_is_what_the_preview_shows(full_job):
    job = replace(full_job, queue="long", directives=('-p "memnode >= 4000"',))
    assert preview(DIALECT, job, Path("/s/my job.sh")) == TEXT


def test_what_is_not_given_is_left_to_the_site(full_job):
    job = replace(full_job, walltime_s=None, account="", count=1)
    for option in ("walltime", "--checkpoint", "-q ", "--project", "--array"):
        assert option not in words(job)
    assert DIALECT.submit_text(job).endswith("\nexec dask worker tls://10.0.0.1:8786\n")


def test_the_script_is_the_same_for_any_number_of_jobs(full_job):
    # It is read when a job begins, and may have been written again for more of them by then.
    assert DIALECT.submit_text(full_job) == DIALECT.submit_text(replace(full_job, count=1))


@pytest.mark.parametrize("directive", ["-l /host=1", "-l/host=1", "--resource=/host=1"])
def test_a_site_asks_for_its_own_resources(full_job, directive):
    asked = words(replace(full_job, directives=(directive,)))
    assert "core=" not in asked
    assert directive in asked


def test_a_directive_with_an_open_quote_is_an_error(full_job):
    with pytest.raises(BatchJobError, match="not complete"):
        words(replace(full_job, directives=("-p 'mem",)))


def test_a_folder_in_which_oar_cannot_start_a_job_is_an_error(full_job):
    with pytest.raises(BatchJobError, match="quote"):
        words(replace(full_job, log_folder=Path("/home/o'hara/logs")))


def test_an_array_has_its_limit(full_job):
    with pytest.raises(BatchJobError, match="1000"):
        DIALECT.submit_text(replace(full_job, count=1001))


def test_submissions_and_refusals():
    text = "[ADMISSION RULE] Set default walltime to 7200.\nOAR_JOB_ID=12\n"
    assert DIALECT.read_submitted(text, 1) == ("12",)
    array = f"{text}OAR_JOB_ID=13\nOAR_ARRAY_ID=12\n"
    assert DIALECT.read_submitted(array, 2) == ("12", "13")
    with pytest.raises(BatchRefusedError, match="no such queue"):
        DIALECT.read_submitted("# Error: no such queue\n", 1, exit_code=8)
    for text, count in ((array, 3), ("hello\n", 1)):
        with pytest.raises(BatchOutputError):
            DIALECT.read_submitted(text, count)


def test_recorded_submissions(recorded):
    assert DIALECT.read_submitted(recorded("oar/submitted-one.txt"), 1) == ("5",)
    ids = DIALECT.read_submitted(recorded("oar/submitted-array.txt"), 12)
    assert (ids[0], ids[-1]) == ("7", "18")


def test_a_recorded_queue(recorded, fates):
    jobs = DIALECT.read_status(recorded("oar/status.txt"), 0, "bp-recorded")
    running = jobs[fates("oar")["cancelled"]]
    assert (running.state, running.host) == (JobState.RUNNING, "127.0.0.1")
    assert (running.tag, running.reason, running.end) == ("bp-recorded", "", None)
    assert running.ends_at == running.started_at + 20
    assert jobs["6"].state is JobState.HELD
    assert jobs["6"].reason == "R=1,W=0:0:20,J=B,N=bp-recorded"
    waiting = [job for job in jobs.values() if job.state is JobState.PENDING]
    assert {job.started_at for job in waiting} == {job.ends_at for job in waiting} == {None}
    assert all("quota_ok" in job.reason for job in waiting)
    assert DIALECT.read_status(recorded("oar/status.txt"), 0, "bp-other") == {}


def test_a_recorded_autopsy(recorded, fates):
    ids = fates("oar")
    ends = DIALECT.read_autopsy(recorded("oar/autopsy.txt"))
    assert {fate: ends[job_id].cause for fate, job_id in ids.items()} == {
        fate: fate for fate in ids
    }
    assert (ends[ids["finished"]].exit_code, ends[ids["exit"]].exit_code) == (0, 3)
    assert (ends[ids["signal"]].exit_code, ends[ids["signal"]].signal) == (None, 9)
    assert ends[ids["exit"]].words == "Terminated; exit code 3"
    assert "(Elapsed)" in ends[ids["walltime"]].words
    assert DIALECT.read_autopsy(recorded("oar/status.txt")) == {}


def read(**job):
    return DIALECT.read_status(json.dumps({"7": {"Job_Id": 7, "name": "bp-a", **job}}), 0)["7"]


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Waiting", JobState.PENDING),
        ("toLaunch", JobState.PENDING),
        ("Launching", JobState.PENDING),
        ("Hold", JobState.HELD),
        ("Running", JobState.RUNNING),
        ("Suspended", JobState.RUNNING),
        ("Finishing", JobState.ENDING),
        ("toError", JobState.ENDING),
    ],
)
def test_states_that_its_source_lists(word, state):
    assert read(state=word).state is state


def test_without_jobs_it_prints_nothing():
    assert DIALECT.read_status("", 0) == {}
    assert DIALECT.read_autopsy("\n") == {}


@pytest.mark.parametrize(
    "text",
    ["<html>", "{}", "[{}]", '{"7": {"state": "?"}}', '{"7": {"Job_Id": "x", "state": "Hold"}}'],
)
def test_what_is_no_queue_is_an_error(text):
    with pytest.raises(BatchOutputError):
        DIALECT.read_status(text, 0)


@pytest.mark.parametrize(
    ("job", "cause", "code", "signal"),
    [
        ({"state": "Terminated", "exit_code": 0}, "finished", 0, None),
        ({"state": "Terminated", "exit_code": "768"}, "exit", 3, None),
        ({"state": "Terminated", "exit_code": 9}, "signal", None, 9),
        ({"state": "Terminated", "exit_code": 137 << 8}, "signal", None, 9),
        ({"state": "Error", "events": [{"type": "FRAG_JOB_REQUEST"}]}, "cancelled", None, None),
        (
            {"state": "Error", "events": [{"type": "FRAG_JOB_REQUEST"}, {"type": "WALLTIME"}]},
            "walltime", None, None,
        ),
        ({"state": "Error"}, "unknown", None, None),
    ],
    ids=str,
)  # fmt: skip
def test_ends_as_wait_has_them_and_as_events_tell(job, cause, code, signal):
    end = read(**job).end
    assert (end.cause, end.exit_code, end.signal) == (cause, code, signal)
    assert end.words


def test_jobs_are_asked_for_a_hundred_at_a_time():
    commands = DIALECT.autopsy(tuple(str(number) for number in range(150)))
    assert [len(command.argv) for command in commands] == [203, 103]
    assert commands[0].argv[:5] == ("oarstat", "-f", "-J", "-j", "0")
