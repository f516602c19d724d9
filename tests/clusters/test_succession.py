from __future__ import annotations

from dataclasses import replace

import pytest
from tests.clusters.played_farm import Farm

from beampipe.batch.model import JobState, JobStatus
from beampipe.clusters.fleet import Fleet, Job, Phase, Policy
from beampipe.clusters.succession import foresee_leave, learn_ways, name_successions
from beampipe.clusters.worker_start import find_lifetime

HOUR = Policy(submit_every_s=2, walltime_s=3600, stagger_s=60, array_size=100)
MINUTE = Policy(submit_every_s=1, walltime_s=60, stagger_s=20, array_size=100, together_s=2)


def begun(job_id="7", **more):
    values = {"phase": Phase.CONNECTED, "since": 100.0, "started_at": 100.0, **more}
    return Job(job_id=job_id, was_connected=True, **values)


def test_it_is_foreseen_when_a_worker_goes_by_itself():
    job = foresee_leave(begun(), None, HOUR)
    lifetime_s = find_lifetime(3600, 60, "7")
    assert 3480 < lifetime_s <= 3540
    assert job.leaves_at == pytest.approx(100 + lifetime_s - 30)  # it hands over for half a minute


def test_what_the_queue_says_of_the_end_counts_and_is_taken_in_once():
    status = JobStatus(job_id="7", state=JobState.RUNNING, ends_at=1100.0)
    job = foresee_leave(begun(), status, Policy())
    assert job.leaves_at == pytest.approx(100 + 940 - 30)
    assert foresee_leave(job, replace(status, ends_at=1101.0), Policy()) is job
    assert foresee_leave(begun(), status, HOUR).leaves_at < 1100


def test_nothing_is_foreseen_without_a_limit_or_before_the_begin():
    assert foresee_leave(begun(), None, Policy()).leaves_at is None
    assert foresee_leave(begun(started_at=None), None, HOUR).leaves_at is None


def test_a_job_that_is_put_back_into_the_queue_has_its_time_before_it():
    job = replace(foresee_leave(begun(), None, HOUR), started_at=None, is_followed=True)
    again = foresee_leave(job, None, HOUR)
    assert (again.leaves_at, again.is_followed) == (None, False)


def test_it_is_learnt_how_long_jobs_take_to_their_first_worker():
    before = begun(submitted_at=40.0)
    fleet = Fleet(jobs={"7": replace(before, was_connected=False)}, ways_s=(5.0,))
    assert learn_ways(fleet, {"7": before}, 100.0) == (5.0, 60.0)
    assert learn_ways(replace(fleet, jobs={"7": before}), {"7": before}, 101.0) == (5.0,)


def followed(fleet, now, policy=HOUR):
    named = name_successions(fleet, now, policy)
    return sorted(job_id for job_id, job in named.jobs.items() if job.is_followed)


def test_those_that_would_follow_soon_go_with_one_that_cannot_wait():
    leaves = {"a": 3000.0, "b": 3009.0, "c": 3011.0}
    jobs = {each: begun(each, leaves_at=at) for each, at in leaves.items()}
    fleet = Fleet(jobs=jobs, ways_s=(28.0,))
    assert followed(fleet, 2969.0) == []
    assert followed(fleet, 2970.0) == ["a", "b"]


def test_many_jobs_take_their_turns_at_submitting_and_begin_so_much_earlier():
    jobs = {str(each): begun(str(each), leaves_at=3600.0) for each in range(1000)}
    fleet = Fleet(jobs=jobs, ways_s=(28.0,))
    assert len(followed(fleet, 3600.0 - 30 - 9 * 2)) == 1000
    assert followed(fleet, 3600.0 - 30 - 9 * 2 - 1) == []


def test_no_job_is_followed_before_half_of_its_life():
    fleet = Fleet(jobs={"a": begun("a", leaves_at=150.0)}, ways_s=(3000.0,))
    assert followed(fleet, 124.0) == []
    assert followed(fleet, 125.0) == ["a"]


@pytest.mark.parametrize("start_s", [0, 4, 12])
def test_there_are_workers_all_the_time_and_never_more_than_asked_for(start_s):
    farm = Farm(wanted=4, policy=MINUTE, start_s=start_s)
    farm.steps(20)
    assert farm.count(Phase.CONNECTED) == 4
    farm.most_at_work, farm.least_at_work = 0, 4
    farm.steps(600)
    assert farm.next_id > 4 * 600 / 60  # so many generations of jobs
    assert (farm.least_at_work, farm.most_at_work) == (4, 4)
    assert not farm.fleet.failures
    farm.wanted = 0
    farm.steps(5)
    assert farm.queue == {}


def test_without_room_jobs_wait_for_the_place_of_those_they_follow():
    farm = Farm(wanted=4, policy=MINUTE, slots=4, start_s=3)
    farm.steps(20)
    farm.most_at_work = 0
    farm.steps(300)
    assert farm.most_at_work == 4
    assert len(farm.queue) <= 8


def test_the_site_has_the_last_word_about_how_many_jobs_there_are():
    farm = Farm(wanted=4, policy=replace(MINUTE, max_jobs=5), start_s=3)
    for _ in range(300):
        farm.step()
        assert len(farm.queue) <= 5
    assert farm.next_id > 4 * 300 / 60


def test_ten_thousand_jobs_are_followed_in_full_arrays_and_in_time():
    policy = replace(HOUR, submit_every_s=1, array_size=1000)
    farm = Farm(wanted=10_000, policy=policy, start_s=10)
    farm.steps(30)
    assert farm.count(Phase.CONNECTED) == 10_000
    farm.least_at_work = 10**9
    farm.submissions.clear()
    farm.now = 1000.0 + 3600 - 210  # the first ones leave after a minute
    for second in range(120):
        farm.step(looks=second % 10 == 0)
    assert (farm.least_at_work, farm.most_at_work) == (10_000, 10_000)
    assert sum(farm.submissions) > 9_000
    assert len(farm.submissions) <= 20
