"""Waiting for what a job brings. With jobs: test_launching.py, test_notebooks.py."""

from __future__ import annotations

import asyncio

import pytest

from beampipe.batch.model import JobState, JobStatus
from beampipe.clusters import job_wait
from beampipe.clusters.job_wait import wait_for_job
from beampipe.errors import BatchOutputError, ClusterStartError


class Queue:
    """A queue that gives one answer after the other, and the last one again."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def look(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        state, reason = answer
        return {"7": JobStatus(job_id="7", state=state, reason=reason)} if state else {}

    def tail(self, job_id):
        return f"job {job_id} wrote this"


def wait(queue, monkeypatch, *, looks=3):
    monkeypatch.setattr(job_wait, "_ASK_QUEUE_S", 0.0)
    monkeypatch.setattr(job_wait, "_LOOK_S", 0.001)
    told, asked = [], []

    def is_ready():
        asked.append(1)
        return len(asked) > looks

    asyncio.run(wait_for_job(queue, "7", is_ready, what="the notebook", say=told.append))
    return told


def test_each_change_is_told_once(monkeypatch):
    queue = Queue(
        (JobState.PENDING, "Priority"), (JobState.PENDING, "Priority"), (JobState.RUNNING, "")
    )
    assert wait(queue, monkeypatch, looks=5) == [
        "the job of the notebook, 7, is pending (Priority)",
        "the job of the notebook, 7, is running",
    ]


def test_a_queue_without_an_answer_is_waited_for(monkeypatch):
    told = wait(Queue(BatchOutputError("x")), monkeypatch)
    assert told == ["the job of the notebook, 7, is pending (the queue gives no answer)"]


def test_a_job_that_is_not_in_the_queue_yet_is_waited_for(monkeypatch):
    assert wait(Queue((None, ""), (None, ""), (JobState.RUNNING, "")), monkeypatch)


@pytest.mark.parametrize("state", [None, JobState.FAILED, JobState.DONE])
def test_one_that_has_ended_is_an_error_with_what_it_wrote(monkeypatch, state):
    with pytest.raises(ClusterStartError, match="job 7 wrote this"):
        wait(Queue((state, "")), monkeypatch, looks=100)
