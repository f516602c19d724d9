"""Named clusters, from the start of their controllers to their end, on fake commands."""

from __future__ import annotations

import operator
import os
import signal
import time

import pytest

from beampipe.clusters import launching
from beampipe.clusters.connecting import connect
from beampipe.clusters.fleet import Phase
from beampipe.clusters.job_leases import read_leases
from beampipe.clusters.launching import launch
from beampipe.clusters.named import Standing, Wish, find_named, list_named
from beampipe.clusters.reaping import take_down
from beampipe.clusters.site_files import load_site
from beampipe.errors import (
    BatchRefusedError,
    ClusterExistsError,
    ClusterGoneError,
    ClusterStartError,
    ClusterUnknownError,
)

PATIENCE_S = 90
QUICK = {"look_every": "1 s", "submit_every": "1 s", "memory": "400 MiB"}


def wait_for(condition, what):
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.05)


def alive(fake):
    with fake.open() as jobs:
        return [job.job_id for job in jobs.values() if job.state != "ended"]


def connected(cluster):
    return {job.job_id for job in cluster.jobs() if job.phase is Phase.CONNECTED}


@pytest.fixture
def slurm(fake_slurm):
    """The site on fake commands; no controller outlives the test."""
    yield load_site("slurm", **QUICK)
    for record in list_named():
        take_down(record)


def test_a_controller_that_is_killed_is_taken_over_with_its_place_in_the_queue(slurm, fake_slurm):
    fake_slurm.change(cores=2)
    first = launch("top-quark", slurm, Wish(workers=3))
    assert first.standing is Standing.RUNNING
    with connect() as cluster, cluster.get_client() as client:
        cluster.wait_for_workers(2, timeout=PATIENCE_S)
        assert sum(client.gather(client.map(operator.neg, range(10)))) == -45
        wait_for(lambda: len(connected(cluster)) == 2, "two connected jobs")
        (waiting,) = {job.job_id for job in cluster.jobs()} - connected(cluster)
        assert any(name.startswith("job ") for name in cluster.get_logs())
    with pytest.raises(ClusterExistsError, match="running, at slurm"):
        launch(first.name, slurm, Wish())

    os.kill(first.owner["pid"], signal.SIGKILL)
    wait_for(lambda: find_named(first.name).standing is Standing.GONE, "it is gone")
    with pytest.raises(ClusterGoneError, match="takes it over"):
        connect(first.name)
    assert not read_leases()[first.tag].is_alive
    with pytest.raises(ClusterExistsError, match="its controller died"):
        launch(first.name, load_site("htcondor"), Wish())

    second = launch(first.name, None, None)
    assert (second.tag, second.address) == (first.tag, first.address)
    assert second.wish == Wish(workers=3)
    with connect(first.name) as cluster, cluster.get_client() as client:
        wait_for(lambda: waiting in connected(cluster), "the job that had waited")
        wait_for(lambda: len(connected(cluster)) == 2, "two connected jobs again")
        assert sum(client.gather(client.map(operator.neg, range(11)))) == -55
        cluster.scale(1)
        wait_for(lambda: len(alive(fake_slurm)) == 1, "one job")
    assert take_down(second) == []
    assert alive(fake_slurm) == []
    assert list_named() == []
    assert read_leases() == {}


def test_what_is_left_of_a_dead_cluster_is_ended(slurm, fake_slurm):
    record = launch("dead", slurm, Wish(minimum=1, maximum=2))
    wait_for(lambda: len(alive(fake_slurm)) == 1, "one job")
    os.kill(record.owner["pid"], signal.SIGKILL)
    wait_for(lambda: find_named("dead").standing is Standing.GONE, "it is gone")
    assert take_down(find_named("dead")) == []
    assert alive(fake_slurm) == []
    assert list_named() == []


def test_a_controller_ends_its_jobs_when_it_is_told_to_by_a_signal(slurm, fake_slurm):
    record = launch("told", slurm, Wish(workers=1))
    wait_for(lambda: alive(fake_slurm), "a job")
    os.kill(record.owner["pid"], signal.SIGTERM)
    wait_for(lambda: list_named() == [], "no cluster")
    assert alive(fake_slurm) == []


def test_the_scheduler_may_be_a_job_itself(slurm, fake_slurm):
    told = []
    record = launch("there", slurm, Wish(workers=1), as_job=True, say=told.append)
    assert record.controller_job in alive(fake_slurm)
    with connect("there") as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE_S)
    assert take_down(record) == []
    wait_for(lambda: alive(fake_slurm) == [], "no job")


def test_one_whose_jobs_fail_says_so(slurm):
    broken = load_site("slurm", **QUICK, prologue=["echo no such module >&2; exit 3"])
    launch("broken", broken, Wish(workers=1))
    wait_for(lambda: find_named("broken").standing is Standing.FAILED, "it has failed")
    assert "no such module" in find_named("broken").words
    with pytest.raises(ClusterGoneError, match="no such module"):
        connect("broken")
    # It may be started again, or ended.
    assert launch("broken", None, Wish()).standing is Standing.RUNNING


@pytest.mark.parametrize("as_job", [False, True])
def test_one_that_cannot_start_leaves_nothing(slurm, fake_slurm, as_job):
    wrong = load_site("slurm", **QUICK, interface="no-such")
    with pytest.raises(ClusterStartError, match="no-such"):
        launch("wrong", wrong, Wish(), as_job=as_job)
    assert list_named() == []
    wait_for(lambda: alive(fake_slurm) == [], "no job")


def test_a_queue_that_does_not_take_the_scheduler_is_heard(slurm, fake_slurm):
    fake_slurm.change(refuse="Invalid account")
    with pytest.raises(BatchRefusedError, match="Invalid account"):
        launch("refused", slurm, Wish(), as_job=True)
    assert list_named() == []


@pytest.mark.usefixtures("slurm")
def test_one_that_does_not_get_ready_is_given_up(monkeypatch):
    monkeypatch.setattr(launching, "_START_S", 0.0)
    with pytest.raises(ClusterStartError, match="not ready within"):
        launch("slow", load_site("slurm"), Wish())


@pytest.mark.usefixtures("slurm")
def test_nothing_is_taken_over_that_does_not_exist():
    with pytest.raises(ClusterUnknownError, match="--on SITE"):
        launch("new", None, None)
