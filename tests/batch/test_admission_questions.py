"""Answers of real systems, as tests/farms starts them; those of PBS and LSF from manuals."""

from __future__ import annotations

import pytest

from beampipe.batch.admission import Wanted
from beampipe.batch.admission_questions import find_questions
from beampipe.batch.model import Answer

PARTITIONS = """\
PartitionName=batch AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL Default=YES MaxTime=02:00:00 \
MinNodes=0 State=UP TotalCPUs=6
PartitionName=cms AllowAccounts=cms,atlas Default=NO MaxTime=UNLIMITED State=UP
PartitionName=closed AllowAccounts=ALL Default=NO MaxTime=UNLIMITED State=DOWN
"""
MINE = "cms|me||normal|cpu=200||||||\nroot|me||normal|||||||50\n"
GROUP = "cms|||normal|cpu=800,mem=2T||100||||\ncms|other||normal|cpu=1||||||\n"
QUOTAS = """\
Last Priority Update: 11/28 16:14
                   Effective  Config     Use    Subtree   Weighted
Group Name           Quota     Quota   Surplus   Quota   Requested
------------------ --------- --------- ------- --------- ----------
<none>                  0.00      0.00 yes          0.00          0
group_cms             200.00    200.00 Regroup    200.00         12
------------------ --------- --------- ------- --------- ----------
Number of users: 0                     ByQuota
"""
SGE_QUEUE = """\
qname                 long.q
projects              {projects}
s_rt                  INFINITY
h_rt                  24:00:00
"""
RULES = """\
{
   name         per_user
   description  NONE
   enabled      TRUE
   limit        users {*} to slots=40
}
{
   name         off
   enabled      FALSE
   limit        to slots=1
}
"""
PBS = """\
Queue: workq
    queue_type = Execution
    total_jobs = 0
    resources_max.walltime = 24:00:00
    max_run = [u:PBS_GENERIC=40]
    enabled = True
    started = True

Queue: closed
    queue_type = Execution
    enabled = False
    started = True

"""
OAR = """\
default
\tpriority = 2
\tscheduler = oar_sched_gantt_with_timesharing_and_fairsharing_and_quotas
\tstate = Active
admin
\tpriority = 10
\tscheduler = oar_sched_gantt_with_timesharing_and_fairsharing_and_quotas
\tstate = notActive
"""
LSF = """\
QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP  RSV PJOBS
normal           30  Open:Active       -    -    -    -     0     0     0     0    0     0
night            40  Open:Inact        -    -    -    -     0     0     0     0    0     0
"""
FAILED = Answer("", "cannot contact the server", 1)


def ask(system, *answers, **wanted):
    """What is found when a system's questions get these answers, in turn."""
    questions = find_questions(system, Wanted(site="here", user="me", **wanted))
    assert len(questions) == len(answers), [each.command.argv for each in questions]
    told = [each if isinstance(each, Answer) else Answer(each) for each in answers]
    pairs = zip(questions, told, strict=True)
    return [finding for question, answer in pairs for finding in question.judge(answer)]


def brief(found):
    return [(each.code, each.status) for each in found]


def test_slurm_knows_the_partition_and_the_account():
    found = ask("slurm", PARTITIONS, MINE)
    assert brief(found) == [("queue", "ok"), ("account", "ok"), ("quota", "ok"), ("quota", "ok")]
    assert found[0].fact == "partition 'batch', the default, is up, for jobs of up to 2 h"
    assert found[1].fact == "yours: cms, root"
    assert found[2].fact == "limits yours in account 'cms': GrpTRES cpu=200"
    found = ask("slurm", PARTITIONS, MINE, GROUP, queue="cms", account="cms", walltime_s=1e6)
    assert brief(found) == [("queue", "ok"), ("account", "ok"), ("quota", "ok"), ("quota", "ok")]
    assert found[3].fact == "limits of account 'cms': GrpTRES cpu=800,mem=2T, GrpJobs 100"


@pytest.mark.parametrize(
    ("wanted", "words", "remedy"),
    [
        ({"queue": "bacth"}, "no partition 'bacth'", "did you mean 'batch'"),
        ({"queue": "batch", "walltime_s": 9000}, "'batch' allows 2 h", "lower `walltime`"),
        ({"queue": "closed"}, "is DOWN", "wait until"),
        ({"queue": "batch,nothing"}, "no partition 'nothing'", "correct `queue`"),
    ],
    ids=str,
)
def test_what_slurm_would_not_start(wanted, words, remedy):
    bad = [each for each in ask("slurm", PARTITIONS, MINE, **wanted) if each.status != "ok"]
    assert brief(bad) == [("queue", "error")]
    assert words in bad[0].fact
    assert remedy in bad[0].remedy


def test_accounts_that_slurm_does_not_let_in():
    found = ask("slurm", PARTITIONS, MINE, "", queue="cms", account="lhcb")
    assert brief(found) == [("queue", "error"), ("account", "error")]
    assert "for accounts cms,atlas, not for 'lhcb'" in found[0].fact
    assert "no account of user 'me' 'lhcb'; those that there are: cms, root" in found[1].fact
    assert brief(ask("slurm", PARTITIONS, "", "", account="cms"))[1] == ("account", "warning")
    assert brief(ask("slurm", PARTITIONS, ""))[1] == ("account", "ok")
    no_default = PARTITIONS.replace("YES", "NO")
    assert ask("slurm", no_default, MINE)[0].fact.startswith("no partition is the default")


def test_htcondor_tells_of_its_slots_and_groups():
    found = ask("htcondor", "Unclaimed\nClaimed\n", QUOTAS)
    assert [each.fact for each in found] == [
        "the pool has 2 slots", "accounting groups of the pool: group_cms",
    ]  # fmt: skip
    found = ask("htcondor", "Unclaimed\n", QUOTAS, account="group_cms.me")
    assert found[1].fact == "accounting group 'group_cms' has a quota of 200.00 slots"
    found = ask("htcondor", "Unclaimed\n", QUOTAS, account="group_cmss")
    assert brief(found)[1] == ("account", "warning")
    assert "did you mean 'group_cms'" in found[1].remedy
    assert brief(ask("htcondor", "", "")) == [("queue", "warning")]


def test_grid_engine_tells_of_queues_projects_and_rules():
    found = ask("sge", "all.q\nlong.q\n", RULES)
    assert [each.fact for each in found] == [
        "any of all.q, long.q", "limits of rule 'per_user': users {*} to slots=40",
    ]  # fmt: skip
    none = Answer("", "No resource quota set found", 1)
    queue = SGE_QUEUE.format(projects="NONE")
    found = ask("sge", "long.q\n", queue, none, queue="long.q@n1", walltime_s=3600)
    assert [each.fact for each in found] == ["queue 'long.q' is there, for jobs of up to 24 h"]
    assert brief(ask("sge", "long.q\n", queue, none, queue="long.q", walltime_s=1e6)) == [
        ("queue", "error")
    ]
    closed = SGE_QUEUE.format(projects="cms atlas")
    found = ask("sge", "long.q\n", closed, "cms\n", none, queue="long.q", account="lhcb")
    assert brief(found) == [("queue", "error"), ("account", "error")]
    found = ask("sge", "long.q\n", FAILED, none, queue="lnog.q")
    assert "did you mean 'long.q'" in found[0].remedy
    no_projects = Answer("", "no project list defined", 1)
    found = ask("sge", "long.q\n", no_projects, none, account="cms")
    assert found[1].fact == "there is no project 'cms'; those that there are: none"


@pytest.mark.parametrize("system", ["pbs", "torque"])
def test_pbs_tells_of_its_queues(system):
    found = ask(system, PBS, queue="workq", account="cms", walltime_s=3600)
    assert [each.fact for each in found] == [
        "queue 'workq' is open, for jobs of up to 24 h",
        "limits of queue 'workq': max_run [u:PBS_GENERIC=40]",
        "not checked: this batch system does not say which accounts there are",
    ]
    assert ask(system, PBS)[0].fact == "the server's default, of workq, closed"
    assert ask(system, PBS, queue="closed")[0].fact == "queue 'closed' takes no jobs now"
    assert ask(system, PBS, queue="workq", walltime_s=1e6)[0].status == "error"
    assert "did you mean 'workq'" in ask(system, PBS, queue="worq")[0].remedy


def test_oar_and_lsf_tell_of_their_queues():
    assert ask("oar", OAR)[0].fact == "queue 'default' is active"
    assert ask("oar", OAR, queue="admin")[0].fact == "queue 'admin' is notActive"
    assert "default" in ask("oar", OAR, queue="defualt")[0].remedy
    assert ask("lsf", LSF)[0].fact == "the system's default, of normal, night"
    assert ask("lsf", LSF, queue="normal")[0].status == "ok"
    assert ask("lsf", LSF, queue="night")[0].fact == "queue 'night' is Open:Inact"
    assert ask("lsf", LSF, queue="nite")[0].status == "error"


@pytest.mark.parametrize(
    ("system", "count"), [("slurm", 3), ("htcondor", 2), ("sge", 4), ("pbs", 1), ("oar", 1)]
)
def test_without_an_answer_nothing_was_checked(system, count):
    queue = {} if system == "htcondor" else {"queue": "x"}
    found = ask(system, *[FAILED] * count, account="cms", **queue)
    assert found
    assert {each.status for each in found} == {"warning"}
    assert all("cannot contact the server" in each.fact for each in found)


def test_of_others_nothing_is_asked():
    assert find_questions("moab", Wanted(site="here", user="me")) == ()
