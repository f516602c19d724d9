from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from beampipe.batch.model import JobState, preview
from beampipe.batch.sge import GridEngine
from beampipe.errors import BatchOutputError

SGE = GridEngine()
TEXT = """\
# /s/job.sh
#!/bin/bash
#$ -N bp-dimuon-1f
#$ -o "/home/me/lo gs/bp-dimuon-1f-$JOB_ID.$TASK_ID.out"
#$ -e "/home/me/lo gs/bp-dimuon-1f-$JOB_ID.$TASK_ID.err"
#$ -j n
#$ -cwd
#$ -S /bin/bash
#$ -r n
#$ -notify
#$ -l mem_free=4097M
#$ -l h_rt=5400
#$ -l s_rt=5280
#$ -pe smp 2
#$ -q long.q
#$ -P cms
#$ -t 1-3
#$ -l sps=1
export BEAMPIPE_DEADLINE=5400
module load python
told= heard=
tell() { [ "$heard" ] || kill -TERM "$command" 2>/dev/null && heard=yes; }
trap 'told=yes; tell' USR1 USR2
(trap '' USR1 USR2; exec dask worker tls://10.0.0.1:8786) &
command=$!
[ -z "$told" ] || tell
wait "$command"; code=$?
while [ "$told" ]; do told=; wait "$command"; code=$?; done
exit "$code"

# then
qsub -terse /s/job.sh
"""


def test_what_is_submitted_is_what_the_preview_shows(full_job):
    job = replace(full_job, queue="long.q", directives=("-l sps=1",))
    assert preview(SGE, job, Path("/s/job.sh")) == TEXT


def test_what_is_not_given_is_left_to_the_site(full_job):
    job = replace(full_job, walltime_s=None, account="", count=1, cores=1)
    text = SGE.submit_text(job)
    for option in ("-l h_rt", "-l s_rt", "-P", "-t", "-pe", "-q"):
        assert f"#$ {option} " not in text
    assert "$JOB_ID.out" in text


def test_a_site_names_its_own_parallel_environment(full_job):
    text = SGE.submit_text(replace(full_job, directives=("-pe multicores 2",)))
    assert text.count("-pe ") == 1


def test_a_warning_that_would_come_before_the_start_is_left_out(full_job):
    assert "s_rt" not in SGE.submit_text(replace(full_job, walltime_s=60))


def test_recorded_submissions(recorded):
    assert SGE.read_submitted(recorded("sge/submitted-one.txt"), 1) == ("5",)
    ids = SGE.read_submitted(recorded("sge/submitted-array.txt"), 12)
    assert (ids[0], ids[-1]) == ("7.1", "7.12")
    with pytest.raises(BatchOutputError):
        SGE.read_submitted(recorded("sge/submitted-array.txt"), 3)


def test_a_recorded_queue(recorded, fates):
    jobs = SGE.read_status(recorded("sge/status.txt"), 0)
    running = jobs[fates("sge")["cancelled"]]
    assert (running.state, running.host, running.tag) == (JobState.RUNNING, "vm", "bp-recorded")
    assert running.ends_at == running.started_at + 20
    assert jobs["6"].state is JobState.HELD
    assert jobs["6"].reason == "state hqw"
    waiting = [job for job in jobs.values() if job.state is JobState.PENDING]
    assert len(waiting) + sum(job.state is JobState.RUNNING for job in jobs.values()) >= 12
    assert {job.started_at for job in waiting} == {None}


def test_a_queue_is_read_for_one_cluster_or_for_all(recorded):
    text = recorded("sge/status.txt")
    assert SGE.read_status(text, 0, "bp-recorded") == SGE.read_status(text, 0) != {}
    assert SGE.read_status(text, 0, "bp-other") == {}


def test_a_recorded_autopsy(recorded, fates):
    ids = fates("sge")
    ends = SGE.read_autopsy(recorded("sge/autopsy.txt"))
    told = {fate: ends[job_id].cause for fate, job_id in ids.items()}
    # It does not say that a job was deleted: only that a signal ended it.
    assert told == {fate: fate for fate in ids} | {"cancelled": "signal"}
    assert ends[ids["exit"]].exit_code == 3
    assert (ends[ids["signal"]].exit_code, ends[ids["signal"]].signal) == (None, 9)
    assert "qmaster enforced h_rt" in ends[ids["walltime"]].words


def test_one_submission_is_asked_for_once():
    commands = SGE.autopsy(("3.1", "3.2", "4"))
    assert [command.argv for command in commands] == [("qacct", "-j", "3"), ("qacct", "-j", "4")]
    assert SGE.read_autopsy("no jobs running since startup\n") == {}


@pytest.mark.parametrize(
    ("letters", "state"),
    [
        ("qw", JobState.PENDING),
        ("hqw", JobState.HELD),
        ("Eqw", JobState.HELD),
        ("r", JobState.RUNNING),
        ("t", JobState.RUNNING),
        ("S", JobState.RUNNING),
        ("Rr", JobState.RUNNING),
        ("dr", JobState.ENDING),
    ],
)
def test_states_that_its_manual_lists(letters, state):
    text = f"""<job_info><queue_info><job_list state="x"><JB_job_number>1</JB_job_number>
    <state>{letters}</state><full_job_name>t</full_job_name></job_list></queue_info></job_info>"""
    job = SGE.read_status(text, 0)["1"]
    assert job.state is state
    assert (job.end is not None) == ("E" in letters)  # it will not go on by itself


@pytest.mark.parametrize("text", ["", "<job_info>", "<html/>", "<job_info><job_list/></job_info>"])
def test_what_is_no_queue_is_an_error(text):
    with pytest.raises(BatchOutputError):
        SGE.read_status(text, 0)


def test_nodes_to_avoid_are_one_request(full_job):
    job = replace(full_job, avoid=("n1", "n2"))
    assert "\n#$ -l h=!(n1|n2)\n" in SGE.submit_text(job)
    assert "-l h=" not in SGE.submit_text(full_job)


def test_nodes_stand_below_the_line_of_all_together():
    text = "HOSTNAME  ARCH  NCPU\n-----------\nglobal    -     -\nn1        lx    8\nn2 lx 8\n"
    assert SGE.read_nodes(text) == {"n1", "n2"}
    assert SGE.read_nodes("") == frozenset()
