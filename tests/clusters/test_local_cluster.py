"""Workers that Dask's local cluster gives up come back, and nothing of ours stays on it."""

import asyncio
import os
import signal
import time

import dask
import pytest
from distributed import Client, LocalCluster

from beampipe.clusters.local_cluster import keep_workers, kept_workers
from beampipe.clusters.opening import cluster


@pytest.fixture
def impatient():
    """Dask gives a worker up at once that has died, while its nanny starts it again."""
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}):
        yield


def kill_worker(client):
    client.wait_for_workers(1, timeout=120)
    (pid,) = client.run(os.getpid).values()
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_for_another(client, pid):
    end = time.monotonic() + 120
    while pid in (pids := client.run(os.getpid, on_error="ignore").values()) or not pids:
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def given(impatient):
    with (
        LocalCluster(n_workers=1, dashboard_address=":0", silence_logs=50) as given,
        Client(given) as client,
    ):
        yield given, client


def test_a_worker_that_is_given_up_comes_back_for_so_long(given):
    local, client = given
    before = dict(local.periodic_callbacks)
    with kept_workers(local), kept_workers(local):
        for _ in range(2):
            wait_for_another(client, kill_worker(client))
    assert local.periodic_callbacks == before


def test_one_whose_nanny_has_ended_comes_back(given):
    """So it is where workers die of their first chunk, before they have reported back."""
    local, client = given
    before = set(client.nthreads())
    with kept_workers(local):
        local.sync(next(iter(local.workers.values())).close)
        end = time.monotonic() + 120
        while not set(client.nthreads()) - before:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_what_is_no_longer_asked_for_stays_away(given):
    local, client = given
    with kept_workers(local):
        local.scale(0)
        end = time.monotonic() + 120
        while client.nthreads():
            assert time.monotonic() < end
            time.sleep(0.1)
        time.sleep(2.5)  # it looks every second
        assert not client.nthreads()


def test_one_that_is_opened_later_is_kept(impatient):
    async def story():
        local = LocalCluster(
            n_workers=1, dashboard_address=":0", silence_logs=50, asynchronous=True
        )
        guard = keep_workers(local)
        assert not guard.is_running()
        async with local:
            assert guard.is_running()
        assert not guard.is_running()

    asyncio.run(story())


def test_a_cluster_of_ours_keeps_its_own(impatient):
    with (
        cluster("local", n_workers=1, memory="400 MiB") as local,
        local.get_client() as client,
    ):
        wait_for_another(client, kill_worker(client))
