"""A cluster on fake commands, whose jobs are processes of this machine."""

from __future__ import annotations

import asyncio
import operator
import os
import time
from pathlib import Path

import pytest
from distributed.comm import CommClosedError
from distributed.deploy import Cluster

from beampipe.clusters.fleet import Phase
from beampipe.clusters.opening import cluster
from beampipe.errors import ClusterStartError, JobsFailError

PATIENCE_S = 90
QUICK = {"look_every": "1 s", "submit_every": "1 s", "memory": "400 MiB"}
pytestmark = pytest.mark.usefixtures("fake_slurm")


def wait_for(condition, what):
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.05)


def connected(workers):
    return [job.job_id for job in workers.jobs() if job.phase is Phase.CONNECTED]


def alive(fake):
    with fake.open() as jobs:
        return [job.job_id for job in jobs.values() if job.state != "ended"]


def wait_until_empty(fake):
    wait_for(lambda: not alive(fake), "no job is left")


def test_a_cluster_is_one_of_dasks_and_leaves_nothing(fake_slurm):
    with cluster("slurm", n_workers=2, **QUICK) as workers:
        workers.wait_for_workers(2, timeout=PATIENCE_S)
        wait_for(lambda: len(connected(workers)) == 2, "two connected jobs")
        with workers.get_client() as client:
            assert client.gather(client.map(operator.neg, range(5))) == [0, -1, -2, -3, -4]
            environment = client.run(lambda: os.environ.get("BEAMPIPE_DEADLINE"))
            names = {*client.run(lambda dask_worker: dask_worker.name).values()}
        assert all(float(end) > time.time() for end in environment.values())
        assert names == {f"{job_id}:w" for job_id in connected(workers)}
        assert workers.scheduler_address.startswith("tls://")
        script = workers.job_script()
        assert "PRIVATE" not in script
        assert "PRIVATE" not in workers.folder.script.read_text()
        assert workers.folder.key.stat().st_mode & 0o777 == 0o600
        assert "jobs asked for: 2; 2 connected" in workers._scaling_status()
        logs = workers.get_logs()
        assert any(name.startswith("job ") for name in logs)

        # Killed behind our back: another one takes its place.
        victim = connected(workers)[0]
        with fake_slurm.open() as jobs:
            fake_slurm.lose_node(jobs[victim])
        wait_for(
            lambda: victim not in connected(workers) and len(connected(workers)) == 2, "a new job"
        )
    assert alive(fake_slurm) == []
    assert not workers.folder.key.exists()


def test_a_scale_down_moves_results_first(fake_slurm, tmp_path):
    path = str(tmp_path / "trace")

    def trace(path, number):  # by value: workers of jobs do not find the tests
        with Path(path).open("a") as file:
            file.write("x")
        return number

    with cluster("slurm", n_workers=3, **QUICK) as workers, workers.get_client() as client:
        workers.wait_for_workers(3, timeout=PATIENCE_S)
        futures = client.map(trace, [path] * 30, range(30), pure=False)
        client.gather(futures)
        workers.scale(jobs=1)
        wait_for(lambda: len(client.scheduler_info(-1)["workers"]) == 1, "one worker")
        assert client.gather(futures) == list(range(30))
        wait_for(lambda: len(alive(fake_slurm)) == 1, "one job")
    assert len(Path(path).read_text()) == 30


def test_several_processes_in_one_job_adapt_from_zero_and_back(fake_slurm):
    shape = QUICK | {"cores": 2, "memory": "800 MiB"}
    with cluster("slurm", **shape) as workers, workers.get_client() as client:
        workers.adapt(minimum=0, maximum=2, patience_s=1)
        futures = client.map(operator.neg, range(4))
        assert sum(client.gather(futures)) == -6
        assert {name.partition(":")[0] for name in workers.observed} == {alive(fake_slurm)[0]}
        del futures
        wait_until_empty(fake_slurm)


def test_a_queue_that_refuses_raises_with_its_words(fake_slurm):
    fake_slurm.change(refuse="Invalid account or partition")
    with cluster("slurm", n_workers=1, **QUICK) as workers:
        with pytest.raises(JobsFailError, match="Invalid account or partition"):
            workers.wait_for_workers(1, timeout=PATIENCE_S)
        with pytest.raises(JobsFailError):
            workers.scale(3)


def test_jobs_that_fail_raise_with_what_they_wrote_and_end_who_waits(fake_slurm):
    broken = QUICK | {"prologue": ["echo 'no module µ' >&2", "exit 3"]}
    with cluster("slurm", **broken) as workers, workers.get_client() as client:
        future = client.submit(operator.neg, 1)
        workers.scale(1)
        with pytest.raises(JobsFailError, match="no module µ"):
            workers.wait_for_workers(1, timeout=PATIENCE_S)
        with pytest.raises(Exception, match=r"(?i)scheduler|cancelled"):
            future.result(timeout=PATIENCE_S)
    assert workers.folder.logs.exists()  # to be looked at
    assert alive(fake_slurm) == []


def test_a_queue_that_talks_nonsense_ends_no_job(fake_slurm):
    with cluster("slurm", n_workers=1, **QUICK) as workers:
        workers.wait_for_workers(1, timeout=PATIENCE_S)
        fake_slurm.change(print="slurm_load_jobs error: Unable to contact")
        wait_for(
            lambda: sum("queue" in text for _, text in workers._cluster_manager_logs) >= 3, "looks"
        )
        assert len(workers.scheduler_info["workers"]) == 1
        fake_slurm.change(print="")
    assert alive(fake_slurm) == []


def test_async_code_and_an_exception_leave_nothing(fake_slurm):
    async def story():
        opened = cluster("slurm", n_workers=1, asynchronous=True, **QUICK)
        async with opened as workers:
            await workers.wait_for_workers(1, timeout=PATIENCE_S)
            raise LookupError("in the block")

    with pytest.raises(LookupError, match="in the block"):
        asyncio.run(story())
    assert alive(fake_slurm) == []


def test_without_commands_nothing_is_started(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ClusterStartError, match="sbatch"):
        cluster("slurm", **QUICK)


def test_a_wish_must_be_clear(fake_slurm):
    with cluster("slurm", **QUICK) as workers:
        with pytest.raises(TypeError):
            workers.scale()
        with pytest.raises(ValueError, match="-1"):
            workers.scale(jobs=-1)
        adapting = workers.adapt(minimum=0, maximum=float("inf"))
        adapting.stop()
        assert "Manual" in workers._scaling_status()
    assert alive(fake_slurm) == []


def test_more_workers_than_connections_is_said(monkeypatch):
    monkeypatch.setattr("beampipe.clusters.batch_cluster.count_served", lambda: 1)
    with cluster("slurm", n_workers=0, **QUICK) as workers:
        workers.scale(1)
        assert "ulimit" not in str(workers.get_logs(workers=False))
        workers.scale(2)
        assert "2 workers are asked for" in str(workers.get_logs(workers=False))
        workers.scale(0)


def test_a_scheduler_that_is_closed_for_a_failure_is_not_what_is_told(fake_slurm, monkeypatch):
    failure = JobsFailError("No worker works.", why="no such module")

    async def lose_scheduler(self, n_workers=0, timeout=None):  # noqa: ASYNC109 (Dask's own)
        self._keeper.failure = failure
        raise CommClosedError("it is closed")

    monkeypatch.setattr(Cluster, "_wait_for_workers", lose_scheduler)
    with cluster("slurm", **QUICK) as workers:
        with pytest.raises(JobsFailError, match="No worker works"):
            workers.wait_for_workers(1)
        workers._keeper.failure = None
