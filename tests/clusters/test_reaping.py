"""Jobs that nobody looks after. Named clusters that died: test_launching.py."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from beampipe.batch.model import JobDescription
from beampipe.batch.slurm import Slurm
from beampipe.clusters.batch_queue import BatchQueue
from beampipe.clusters.job_leases import JobLease, read_leases
from beampipe.clusters.reaping import Orphans, end_orphans, find_orphans
from beampipe.errors import ClusterError


@pytest.fixture
def submit(fake_slurm, tmp_path):
    """Put jobs into the queue."""

    def submit(tag, count=1):
        job = JobDescription(name=tag, tag=tag, command=("sleep", "300"), log_folder=tmp_path)
        return asyncio.run(BatchQueue(Slurm(), job, tmp_path / "job.sh").submit(count))

    yield submit
    asyncio.run(BatchQueue(Slurm(), JobDescription(
        name="x", tag="x", command=("x",), log_folder=tmp_path), tmp_path / "job.sh"
    ).cancel(tuple(alive(fake_slurm))))  # fmt: skip


def alive(fake):
    with fake.open() as jobs:
        return [job.job_id for job in jobs.values() if job.state != "ended"]


def lease(tag, **owner):
    made = JobLease.of_this_process(tag=tag, name=tag[3:-9], site="slurm", system="slurm")
    replace(made, owner=made.owner | owner).write()


def test_jobs_of_dead_clusters_are_found_and_ended_and_no_others(submit, fake_slurm):
    lease("bp-living-00000001")
    lease("bp-dead-00000002", ticks=1)
    living, foreign = submit("bp-living-00000001"), submit("not-ours")
    dead, unknown = submit("bp-dead-00000002", 2), submit("bp-unknown-00000003")
    found = {each.tag: each for each in find_orphans() if isinstance(each, Orphans)}
    assert found == {
        "bp-dead-00000002": Orphans(
            system="slurm", tag="bp-dead-00000002", job_ids=dead, cluster="dead"
        ),
        "bp-unknown-00000003": Orphans(
            system="slurm", tag="bp-unknown-00000003", job_ids=unknown, cluster=""
        ),
    }
    assert end_orphans(found["bp-dead-00000002"])
    assert sorted(alive(fake_slurm)) == sorted([*living, *foreign, *unknown])
    assert set(read_leases()) == {"bp-living-00000001"}


def test_a_queue_that_gives_no_answer_is_told(submit, fake_slurm):
    fake_slurm.change(fail="slurmctld is down")
    # Commands of other systems may be on this machine, too.
    (told,) = [each for each in find_orphans() if str(each).startswith("slurm")]
    assert "slurmctld is down" in told
    fake_slurm.change(fail="")


def test_of_a_system_that_is_not_spoken_nothing_is_ended():
    with pytest.raises(ClusterError, match="does not speak"):
        end_orphans(Orphans(system="punch cards", tag="bp-x-00000000", job_ids=()))
