from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.clusters.played_farm import POLICY, Farm

from beampipe.batch.model import JobState
from beampipe.clusters.fleet import (
    Phase,
    Policy,
    Retire,
    WorkerView,
)


def test_what_is_missing_is_submitted_at_once_as_an_array():
    farm = Farm(wanted=30)
    farm.steps(5)
    assert farm.submissions == [30]
    assert farm.count(Phase.CONNECTED) == 30


def test_submissions_are_limited_in_size_and_rate():
    farm = Farm(wanted=250, policy=Policy(submit_every_s=5, array_size=100))
    farm.steps(4)
    assert farm.submissions == [100]
    farm.steps(15)
    assert farm.submissions == [100, 100, 50]


def test_ten_thousand_jobs_cost_one_look_a_period():
    farm = Farm(wanted=10_000, policy=Policy(submit_every_s=1, array_size=1000))
    farm.steps(20)
    assert farm.count(Phase.CONNECTED) == 10_000
    assert farm.looks == 20
    assert len(farm.submissions) == 10
    for job_id in list(farm.queue)[:500]:
        farm.end(job_id, "node")
    farm.steps(10)
    assert farm.count(Phase.CONNECTED) == 10_000


def test_phases_are_those_that_people_read():
    farm = Farm(wanted=2, slots=1, starts_workers=False)
    farm.step()
    farm.step(looks=False)
    assert set(farm.phases().values()) == {"submitted"}
    farm.step()
    assert sorted(farm.phases().values()) == ["pending", "starting"]
    assert {job.reason for job in farm.fleet.jobs.values()} == {"", "Resources"}
    farm.starts_workers = True
    farm.steps(2)
    assert sorted(farm.phases().values()) == ["connected", "pending"]


@pytest.mark.parametrize("processes", [1, 3])
def test_a_dead_job_is_replaced(processes):
    farm = Farm(wanted=4, processes=processes)
    farm.steps(4)
    farm.end("1", "node")
    farm.steps(10)
    assert farm.count(Phase.CONNECTED) == 4
    assert "1" not in farm.fleet.jobs
    assert [job.phase for job in farm.fleet.ended] == [Phase.LOST]
    assert [job.reason for job in farm.fleet.ended] == ["it: node"]


def test_a_job_that_the_queue_does_not_know_is_given_some_looks():
    farm = Farm(wanted=1, starts_workers=False)
    farm.steps(3)
    del farm.queue["0"]
    farm.steps(POLICY.missing_looks - 1)
    assert "0" in farm.fleet.jobs
    farm.steps(4)
    assert "0" not in farm.fleet.jobs
    assert len(farm.fleet.jobs) == 1


def test_a_queue_that_says_nothing_or_forgets_ends_no_job_whose_worker_is_there():
    farm = Farm(wanted=2)
    farm.steps(4)
    for _ in range(20):
        farm.step(looks=False)
    before, farm.queue = farm.queue, {}
    farm.steps(20)
    assert farm.submissions == [2]
    assert farm.count(Phase.CONNECTED) == 2
    assert before


def silence(farm, job_id):
    """Its node gives no sign any more: its connections stay as they are."""
    for address, view in farm.workers.items():
        if view.job_id == job_id:
            farm.workers[address] = WorkerView(job_id, tasks=3, is_silent=True)


@pytest.mark.parametrize("says", ["failed", "nothing"])
def test_silent_workers_of_a_job_that_is_over_are_forgotten(says):
    farm = Farm(wanted=2, processes=2)
    farm.steps(4)
    silence(farm, "1")
    farm.steps(20)
    assert farm.phases() == {"0": "connected", "1": "connected"}  # it may come back
    if says == "failed":
        farm.queue["1"] = JobState.FAILED
        farm.step()
    else:
        del farm.queue["1"]
        farm.steps(POLICY.missing_looks)
    assert farm.forgotten == ["tls://1/0", "tls://1/1"]
    farm.steps(5)
    assert farm.phases() == {"0": "connected", "2": "connected"}
    assert [job.phase for job in farm.fleet.ended] == [Phase.LOST]


def test_a_worker_that_still_gives_signs_may_hand_over_after_the_end_of_its_job():
    farm = Farm(wanted=2)
    farm.steps(4)
    farm.queue["1"] = JobState.FAILED
    farm.steps(5)
    assert "tls://1/0" in farm.workers
    assert farm.forgotten == []


def test_jobs_that_had_worked_and_are_held_at_the_end_of_their_time_are_no_early_failures():
    """As HTCondor does it; all workers of a cluster may come to that at the same time."""
    farm = Farm(wanted=3)
    for _ in range(3):
        farm.steps(5)
        assert farm.count(Phase.CONNECTED) == 3
        farm.workers.clear()
        farm.queue.update(dict.fromkeys(farm.queue, JobState.HELD))
        farm.steps(int(POLICY.held_s) + 3)
    assert farm.gave_up is None
    assert len(farm.fleet.ended) == 9


def test_waiting_jobs_go_first_and_the_last_ones_before_the_others():
    farm = Farm(wanted=2, slots=2)
    farm.steps(4)
    farm.wanted = 3
    farm.steps(3)
    farm.wanted = 6
    farm.steps(3)
    farm.wanted = 3
    farm.step()
    assert farm.cancelled == ["3", "4", "5"]
    assert farm.retired == []
    farm.steps(3)
    assert farm.phases() == {"0": "connected", "1": "connected", "2": "pending"}


def test_workers_that_go_are_retired_by_address_before_their_job_is_cancelled():
    farm = Farm(wanted=3, processes=2)
    farm.steps(4)
    farm.workers["tls://1/0"] = WorkerView("1", tasks=5)
    farm.workers["tls://0/0"] = WorkerView("0", stored_bytes=10**9)
    farm.wanted = 2
    actions = farm.step()
    assert actions == [Retire(("2",), ("tls://2/0", "tls://2/1"))]
    assert farm.cancelled == []
    farm.steps(3)
    farm.steps(2)
    assert farm.cancelled == ["2"]
    assert [job.phase for job in farm.fleet.ended] == [Phase.DONE]
    assert farm.submissions == [3]


def test_what_nobody_else_can_take_is_kept():
    farm = Farm(wanted=1)
    farm.steps(4)
    farm.wanted = 0
    farm.step()
    assert farm.retired == ["tls://0/0"]
    farm.workers["tls://0/0"] = WorkerView("0", stored_bytes=1)
    farm.news["kept"] = ("0",)
    farm.step()
    assert farm.phases() == {"0": "connected"}
    assert "no other worker" in farm.fleet.jobs["0"].reason
    farm.steps(10)
    assert len(farm.retired) == 1
    assert farm.cancelled == []
    farm.steps(25)
    assert len(farm.retired) == 2


def test_jobs_that_fail_early_alike_are_given_up_with_what_they_wrote():
    farm = Farm(wanted=1, starts_workers=False)
    for _ in range(60):
        farm.step()
        for job_id in [each for each, state in farm.queue.items() if state is JobState.RUNNING]:
            farm.end(job_id, "exit", 3)
        if farm.gave_up:
            break
    assert farm.gave_up is not None
    assert farm.gave_up.count == 3
    assert farm.gave_up.failure.words == "it: exit"
    assert farm.gave_up.failure.tail == "tail"
    assert len(farm.submissions) == 3


def test_a_bad_node_stops_nobody_while_workers_work():
    farm = Farm(wanted=10)
    farm.steps(5)
    for _ in range(40):
        farm.step()
        for job_id in [each for each in farm.queue if int(each) >= 10]:
            farm.end(job_id, "exit", 3)
        if "0" in farm.queue:
            farm.end("0", "node")
    assert farm.gave_up is None
    assert farm.count(Phase.CONNECTED) == 9


def test_a_queue_that_refuses_is_asked_again_more_slowly_and_then_given_up():
    farm = Farm(wanted=2, refuses="Invalid account")
    farm.steps(10)
    assert farm.gave_up is not None
    assert farm.gave_up.failure.words == "Invalid account"


def test_a_full_queue_is_no_reason_to_give_up_while_workers_work():
    farm = Farm(wanted=2)
    farm.steps(4)
    farm.wanted, farm.refuses = 10, "QOSMaxSubmitJobPerUserLimit"
    farm.steps(100)
    assert farm.gave_up is None
    farm.refuses = ""
    farm.steps(130)
    assert farm.count(Phase.CONNECTED) == 10


def test_a_held_job_is_given_up_and_replaced():
    farm = Farm(wanted=1, slots=0)
    farm.steps(3)
    farm.queue["0"] = JobState.HELD
    farm.steps(15)
    assert farm.cancelled == ["0"]
    farm.slots = 1
    farm.steps(10)
    assert farm.phases() == {"1": "connected"}
    assert farm.fleet.ended[-1].reason == "held: Resources"


def test_a_job_that_is_put_back_into_the_queue_waits_again():
    farm = Farm(wanted=1)
    farm.steps(4)
    farm.queue["0"], farm.workers, farm.slots = JobState.PENDING, {}, 0
    farm.steps(3)
    assert farm.phases() == {"0": "pending"}
    farm.slots = 1
    farm.steps(3)
    assert farm.phases() == {"0": "connected"}
    assert farm.submissions == [1]


def test_a_job_without_a_worker_is_given_up_after_a_while():
    farm = Farm(wanted=1, starts_workers=False)
    farm.steps(50)
    assert farm.cancelled == []
    farm.steps(20)
    assert farm.cancelled[0] == "0"


def test_a_submission_that_gave_no_answer_leaves_no_job():
    farm = Farm(wanted=1)
    farm.steps(4)
    farm.queue["stray"] = JobState.PENDING
    farm.steps(2)
    assert farm.cancelled == ["stray"]


def test_the_site_has_the_last_word_about_how_many():
    farm = Farm(wanted=50, policy=Policy(max_jobs=3))
    farm.steps(6)
    assert len(farm.fleet.jobs) == 3


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["wish", "kill", "forget", "silent", "hold", "requeue", "refuse", "none"]),
        st.integers(0, 12),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=40)
@given(EVENTS, st.integers(1, 3), st.integers(1, 15))
def test_whatever_happens_the_wish_is_met_in_the_end_and_nothing_is_left(events, processes, slots):
    farm = Farm(processes=processes, slots=slots)
    farm.policy = Policy(
        submit_every_s=1, held_s=2, start_timeout_s=20, quick_s=2, failures=10**6, array_size=5
    )
    for what, number in events:
        ids = list(farm.queue)
        job_id = ids[number % len(ids)] if ids else None
        if what == "wish":
            farm.wanted = number
        elif what == "refuse":
            farm.refuses = "" if farm.refuses else "no"
        elif job_id and what == "kill":
            farm.end(job_id, "signal")
        elif job_id and what == "forget":
            del farm.queue[job_id]
            farm.workers = {a: view for a, view in farm.workers.items() if view.job_id != job_id}
        elif job_id and what == "hold" and farm.queue[job_id] is JobState.PENDING:
            farm.queue[job_id] = JobState.HELD
        elif job_id and what == "requeue" and job_id not in farm.left:
            farm.queue[job_id] = JobState.PENDING
            farm.workers = {a: view for a, view in farm.workers.items() if view.job_id != job_id}
        farm.step(looks=what != "silent")
        live = [job for job in farm.fleet.jobs.values() if job.phase is not Phase.RETIRING]
        assert farm.fleet.submitting >= 0
        assert len(live) <= 12 + farm.fleet.submitting
    farm.refuses, farm.slots = "", 100
    farm.steps(150)
    assert farm.count(Phase.CONNECTED) == farm.wanted == len(farm.queue)
    farm.wanted = 0
    farm.steps(100)
    assert farm.fleet.jobs == {}
    assert farm.queue == {}
