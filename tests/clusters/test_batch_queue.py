from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace

import pytest

from beampipe.batch.model import Answer, Command, JobDescription, JobState
from beampipe.batch.registry import DIALECTS
from beampipe.clusters import batch_queue
from beampipe.clusters.batch_queue import BatchQueue, run_command
from beampipe.errors import BatchOutputError, BatchRefusedError, ClusterStartError
from beampipe.testing.fake_batch.commands import install_fakes
from beampipe.testing.fake_batch.queue import FakeQueue


@pytest.fixture
def fake(tmp_path, monkeypatch):
    commands = ("sinfo", *DIALECTS["slurm"].commands)
    for name, text in install_fakes(tmp_path / "f", "slurm", commands).items():
        monkeypatch.setenv(name, text)
    return FakeQueue(tmp_path / "f" / "queue")


@pytest.fixture
def queue(tmp_path, fake):
    logs = tmp_path / "logs µ"
    logs.mkdir()
    command = ("bash", "-c", "echo 'what µ it said' >&2; exit 3")
    job = JobDescription(name="x", tag="bp-x-1", command=command, log_folder=logs)
    return BatchQueue(DIALECTS["slurm"], job, tmp_path / "job.sh")


def test_a_command_is_run_with_what_it_reads():
    answer = asyncio.run(run_command(Command(("cat", "-"), stdin="µ")))
    assert (answer.stdout, answer.exit_code) == ("µ", 0)
    code = "import sys; sys.stderr.buffer.write(bytes([255])); sys.exit(2)"
    answer = asyncio.run(run_command(Command((sys.executable, "-c", code))))
    assert (answer.stderr, answer.exit_code) == ("\ufffd", 2)


def test_a_command_that_hangs_or_is_not_there_is_an_error():
    with pytest.raises(BatchOutputError, match="no answer"):
        asyncio.run(run_command(Command(("sleep", "1000"), timeout_s=0.2)))
    with pytest.raises(BatchOutputError, match="cannot be started"):
        asyncio.run(run_command(Command(("no such command",))))


def test_jobs_are_submitted_seen_and_explained(queue):
    async def story():
        ids = await queue.submit(2)
        give_up = time.monotonic() + 120
        while time.monotonic() < give_up:
            found = await queue.look()
            if {status.state for status in found.values()} <= {JobState.FAILED}:
                break
        return ids, found, await queue.explain({each: found[each].end for each in ids})

    ids, found, reports = asyncio.run(story())
    assert len(ids) == 2
    assert set(found) == set(ids)
    assert {report.tail for report in reports.values()} == {"what µ it said"}
    assert queue.script.stat().st_mode & 0o777 == 0o700


def test_a_queue_that_refuses_or_talks_nonsense_is_an_error(queue, fake):
    fake.change(refuse="Invalid account", fail="busy")
    with pytest.raises(BatchRefusedError):
        asyncio.run(queue.submit(1))
    with pytest.raises(BatchOutputError):
        asyncio.run(queue.look())
    fake.change(fail="", print="nonsense")
    with pytest.raises(BatchOutputError):
        asyncio.run(queue.look())


def test_commands_that_are_not_there_are_named(queue, monkeypatch):
    queue.check_commands()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ClusterStartError, match="sbatch"):
        queue.check_commands()


def test_jobs_of_the_user_that_are_not_the_clusters_are_not_seen(queue, monkeypatch):
    """Grid Engine tells of all of them, and what nobody knows of is cancelled as a stray."""

    async def answer(_):
        line = "{}|RUNNING|1:00|59:00|n1|{}|None\n"
        return Answer(line.format(7, queue.job.tag) + line.format(8, "thesis"))

    monkeypatch.setattr(batch_queue, "run_command", answer)
    assert set(asyncio.run(queue.look())) == {"7"}


def test_nodes_are_asked_for_and_none_is_known_where_that_fails(queue, fake, monkeypatch):
    assert queue.knows_nodes
    assert asyncio.run(queue.find_nodes()) == {"localhost"}
    (job_id,) = asyncio.run(queue.submit(1, ("localhost",)))
    assert asyncio.run(queue.look())[job_id].state is JobState.PENDING
    monkeypatch.setenv("PATH", "/nowhere")
    assert asyncio.run(queue.find_nodes()) == frozenset()


def test_where_nodes_are_not_spoken_of_none_is_asked_for(queue):
    elsewhere = replace(queue, dialect=DIALECTS["pbs"])
    assert not elsewhere.knows_nodes
    assert asyncio.run(elsewhere.find_nodes()) == frozenset()
