"""Keeping a cluster's jobs; decisions: test_reconciler.py, whole stories: test_batch_cluster.py."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

from distributed.core import Status

from beampipe.batch.model import JobDescription, JobEnd, JobState, JobStatus
from beampipe.batch.slurm import Slurm
from beampipe.clusters.demand import Demand
from beampipe.clusters.fleet import Phase, Report
from beampipe.clusters.fleet_keeper import FleetKeeper
from beampipe.clusters.site import Site
from beampipe.errors import BatchRefusedError


class Queue:
    """A queue of which all is known."""

    dialect = Slurm()

    def __init__(self, tmp_path, states=()):
        self.job = JobDescription(name="x", tag="x", command=("x",), log_folder=tmp_path)
        self.states = dict(states)
        self.submitted, self.cancelled = [], []

    knows_nodes = True

    async def find_nodes(self):
        return frozenset({"n1", "n2", "n3"})

    async def submit(self, count, avoid=()):
        self.avoided = avoid
        if count > 90:
            raise BatchRefusedError("no", why="too many")
        self.submitted.append(count)
        ids = tuple(f"{len(self.submitted)}_{each}" for each in range(count))
        self.states.update(dict.fromkeys(ids, JobState.PENDING))
        return ids

    async def look(self):
        return {
            job_id: JobStatus(job_id=job_id, state=state, reason="Priority")
            for job_id, state in self.states.items()
        }

    async def cancel(self, job_ids):
        self.cancelled.extend(job_ids)


class Workers(SimpleNamespace):
    def adaptive_target(self):
        return self.target


def keep(queue, story, **scheduler):
    told = []

    async def run():
        workers = Workers(workers={}, target=0, **scheduler)
        keeper = FleetKeeper(Site(), queue, workers, name="one", note=told.append)
        await story(keeper)
        keeper._is_leaving = True
        keeper.nudge()
        if keeper._keeping:
            await keeper._keeping

    asyncio.run(run())
    return told


def worker_of(name, **more):
    facts = {"processing": {}, "nbytes": 0, "last_seen": time.time(), "status": Status.running}
    return SimpleNamespace(name=name, **{**facts, **more})


async def until(condition):
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


def test_what_is_asked_for_is_submitted_and_described(tmp_path):
    queue = Queue(tmp_path)

    async def story(keeper):
        keeper.start()
        keeper.ask(3)
        await until(lambda: any(job.phase is Phase.PENDING for job in keeper.jobs()))
        assert keeper.describe() == "jobs asked for: 3; 3 pending (waiting for: Priority)"
        assert keeper.wanted == 3
        keeper.ask(1)
        await until(lambda: len(queue.cancelled) == 2)

    assert keep(queue, story) == ["submitted 3 jobs: 1_0 to 1_2"]


def test_jobs_of_a_cluster_that_died_are_adopted_and_none_is_cancelled(tmp_path):
    queue = Queue(tmp_path, {"7": JobState.PENDING, "8": JobState.RUNNING, "9": JobState.DONE})

    async def story(keeper):
        assert await keeper.adopt() == 2
        keeper.ask(3)
        keeper.start()
        await until(lambda: {job.phase for job in keeper.jobs()} >= {Phase.PENDING, Phase.STARTING})
        await until(lambda: queue.submitted == [1])
        assert {job.job_id for job in keeper.jobs()} >= {"7", "8"}

    keep(queue, story)
    assert queue.cancelled == []


def test_the_work_is_followed_from_what_was_asked_for_and_left_when_told(tmp_path):
    queue = Queue(tmp_path)

    async def story(keeper):
        keeper.start()
        keeper.follow(Demand(minimum=0, maximum=5))
        keeper._scheduler.target = 4
        keeper.nudge()
        await until(lambda: sum(queue.submitted) == 4)
        assert keeper.is_adaptive
        keeper.stay()
        keeper._scheduler.target = 9
        await asyncio.sleep(0.05)
        assert not keeper.is_adaptive
        assert keeper.wanted == 4

    keep(queue, story)


def test_a_worker_that_went_with_its_node_is_taken_from_the_scheduler(tmp_path):
    queue = Queue(tmp_path, {"7": JobState.RUNNING, "8": JobState.RUNNING})
    removed = []

    def worker(name, last_seen):
        return worker_of(name, last_seen=last_seen)

    async def remove(address, *, stimulus_id, expected):
        removed.append((address, expected))
        del workers[address]

    async def explain(ends):
        return {job_id: Report(JobEnd(job_id=job_id, cause="node")) for job_id in ends}

    workers = {"tls://a": worker("7:w", 0), "tls://b": worker("8:w", time.time() + 3600)}
    queue.explain = explain

    async def story(keeper):
        keeper._scheduler.workers = workers
        await keeper.adopt()
        keeper.ask(2)
        keeper.start()
        await until(lambda: len(keeper.jobs()) == 2)
        queue.states.update({"7": JobState.FAILED, "8": JobState.FAILED})
        await until(lambda: removed)
        await until(lambda: sum(queue.submitted) == 2)

    told = keep(queue, story, remove_worker=remove)
    assert removed == [("tls://a", True)]
    assert "worker tls://a gives no sign, and its job is over" in told
    assert list(workers) == ["tls://b"]


def test_a_refusal_is_told_in_the_queues_words(tmp_path):
    async def story(keeper):
        keeper.start()
        keeper.ask(95)
        await asyncio.sleep(0.1)

    assert keep(Queue(tmp_path), story) == ["95 jobs were not submitted: too many"]


def test_a_worker_that_gets_ready_is_not_there_yet(tmp_path):
    queue = Queue(tmp_path)

    async def story(keeper):
        state = worker_of("1_0:w", status=Status.init)
        keeper._scheduler.workers["tls://a"] = state
        keeper.start()
        keeper.ask(1)
        await until(lambda: queue.states)
        queue.states["1_0"] = JobState.RUNNING
        await until(lambda: any(job.phase is Phase.STARTING for job in keeper.jobs()))
        assert keeper._view_workers() == {}
        state.status = Status.running
        keeper.nudge()
        await until(lambda: any(job.phase is Phase.CONNECTED for job in keeper.jobs()))

    keep(queue, story)


def test_a_node_on_which_jobs_fail_is_avoided_and_told(tmp_path):
    queue = Queue(tmp_path)

    async def explain(ends):
        end = {"cause": "exit", "exit_code": 127, "words": "FAILED on n1", "host": "n1"}
        return {job_id: Report(JobEnd(job_id=job_id, **end)) for job_id in ends}

    queue.explain = explain

    async def story(keeper):
        keeper.start()
        keeper.ask(2)
        await until(lambda: len(queue.states) == 2)
        await until(lambda: keeper._fleet.nodes)
        queue.states = dict.fromkeys(queue.states, JobState.FAILED)
        await until(lambda: queue.avoided)
        assert queue.avoided == ("n1",)
        assert keeper.describe().endswith("; nodes avoided: n1 (FAILED on n1)")

    told = keep(queue, story)
    assert "node n1 is avoided: 2 jobs failed there: FAILED on n1" in told
