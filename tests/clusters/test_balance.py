from __future__ import annotations

from dataclasses import replace

from tests.clusters.played_farm import POLICY

from beampipe.clusters.balance import balance
from beampipe.clusters.fleet import (
    KEPT,
    Cancel,
    Fleet,
    Job,
    Phase,
    Policy,
    Retire,
    Seen,
    WorkerView,
)


def fleet_of(*phases, followed=()):
    jobs = {}
    for number, phase in enumerate(phases):
        job = Job(job_id=str(number), phase=phase, since=float(number))
        jobs[job.job_id] = replace(job, is_followed=number in followed, leaves_at=500.0 - number)
    return Fleet(jobs=jobs)


def seen_of(fleet):
    at_work = [job for job in fleet.jobs.values() if job.phase is Phase.CONNECTED]
    workers = {f"tls://{job.job_id}": WorkerView(job.job_id) for job in at_work}
    return Seen(now=100.0, workers=workers)


def act(fleet, wanted, policy: Policy = POLICY):
    return balance(fleet, wanted, seen_of(fleet), policy)[1]


C, P = Phase.CONNECTED, Phase.PENDING


def test_a_job_that_is_followed_goes_as_soon_as_the_other_one_works():
    assert act(fleet_of(C, P, followed=[0]), 1) == []
    assert act(fleet_of(C, C, followed=[0]), 1) == [Retire(("0",), ("tls://0",))]


def test_of_those_that_are_followed_the_next_to_leave_goes():
    fleet = fleet_of(C, C, C, P, followed=[0, 1])
    assert act(fleet, 2) == [Retire(("1",), ("tls://1",))]


def test_when_there_are_to_be_fewer_successors_in_the_queue_go_and_then_the_old():
    fleet = fleet_of(C, C, C, C, P, P, followed=[0, 1])
    assert act(fleet, 3) == [Cancel(("5",)), Retire(("1",), ("tls://1",))]
    assert act(fleet, 2) == [Cancel(("5", "4")), Retire(("1", "0"), ("tls://1", "tls://0"))]


def test_all_go_when_none_are_wanted():
    fleet = fleet_of(C, P, followed=[0])
    assert act(fleet, 0) == [Cancel(("1",)), Retire(("0",), ("tls://0",))]


def test_one_that_cannot_go_yet_is_no_reason_for_others_to_go():
    fleet = fleet_of(C, C, C, P, followed=[0, 2])
    kept = replace(fleet.jobs["0"], reason=KEPT, since=90.0)
    fleet = replace(fleet, jobs={**fleet.jobs, "0": kept})
    assert act(fleet, 2) == []
    old = replace(fleet, jobs={**fleet.jobs, "0": replace(kept, since=60.0)})
    assert act(old, 2) == [Retire(("2",), ("tls://2",))]
