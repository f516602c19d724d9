from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from beampipe.testing.fake_batch.queue import FakeJob, FakeQueue

PATIENCE_S = 120


@pytest.fixture
def queue(tmp_path):
    queue = FakeQueue(tmp_path / "queue")
    yield queue
    with queue.open() as jobs:
        for job in jobs.values():
            queue.cancel(job)


@pytest.fixture
def add(queue, tmp_path):
    def add(text, **more):
        number = queue.take_number()
        script = tmp_path / f"{number}.sh"
        script.write_text(f"#!/bin/bash\n{text}\n")
        script.chmod(0o755)
        out = str(tmp_path / f"{number}.out")
        with queue.open() as jobs:
            jobs[f"{number}"] = FakeJob(
                job_id=f"{number}", tag="t", script=str(script), out=out, err=out, **more
            )
        return f"{number}"

    return add


def wait_for(queue, job_id, state):
    give_up = time.monotonic() + PATIENCE_S
    while True:
        with queue.open() as jobs:
            job = jobs[job_id]
        if job.state == state:
            return job
        assert time.monotonic() < give_up, job
        time.sleep(0.05)


def test_jobs_begin_in_order_while_there_are_cores(queue, add):
    queue.change(cores=3)
    ids = [add("exec sleep 100", cores=2), add("exec sleep 100", cores=2), add("exec sleep 100")]
    with queue.open() as jobs:
        assert [jobs[job_id].state for job_id in ids] == ["running", "pending", "running"]
        assert jobs[ids[1]].reason == "Resources"
        queue.cancel(jobs[ids[0]])
    wait_for(queue, ids[1], "running")


@pytest.mark.parametrize(
    ("text", "cause", "code", "signum"),
    [("true", "finished", 0, None), ("exit 4", "exit", 4, None), ("kill -9 $$", "signal", None, 9)],
)
def test_an_end_is_what_the_process_made_of_it(queue, add, text, cause, code, signum):
    job = wait_for(queue, add(text), "ended")
    assert (job.cause, job.exit_code, job.signal) == (cause, code, signum)


def test_a_cancelled_job_that_will_not_go_is_killed(queue, add, tmp_path):
    job_id = add("trap '' TERM; echo up; while :; do sleep 1; done")
    out = tmp_path / f"{job_id}.out"
    give_up = time.monotonic() + PATIENCE_S
    while not (out.exists() and out.read_text()):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    with queue.open() as jobs:
        queue.cancel(jobs[job_id])
    job = wait_for(queue, job_id, "ended")
    assert (job.cause, job.signal) == ("cancelled", 9)


def test_a_job_whose_time_is_over_ends_and_a_lost_node_takes_its_job(queue, add):
    assert wait_for(queue, add("exec sleep 100", walltime_s=1), "ended").cause == "walltime"
    job_id = add("exec sleep 100")
    wait_for(queue, job_id, "running")
    with queue.open() as jobs:
        queue.lose_node(jobs[job_id])
    assert wait_for(queue, job_id, "ended").cause == "node"


def test_two_who_look_at_once_lose_nothing(queue, tmp_path):
    program = """
import sys
from pathlib import Path
from beampipe.testing.fake_batch.queue import FakeJob, FakeQueue
queue = FakeQueue(Path(sys.argv[1]))
for _ in range(20):
    with queue.open() as jobs:
        number = str(queue.take_number())
        jobs[number] = FakeJob(job_id=number, tag="t", script="x", out="o", err="e", state="held")
"""
    argv = [sys.executable, "-c", program, str(queue.folder)]
    children = [subprocess.Popen(argv, env=os.environ) for _ in range(2)]
    assert [child.wait(PATIENCE_S) for child in children] == [0, 0]
    rows = json.loads((queue.folder / "jobs.json").read_text())
    assert sorted(int(row["job_id"]) for row in rows) == list(range(1, 41))
