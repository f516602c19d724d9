"""What `dask worker --preload` calls; real workers do in test_recovery_handover."""

import asyncio

from distributed import Client, LocalCluster

from beampipe.execution import handover, preload


def test_a_worker_is_watched_as_long_as_it_is_there():
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):

        async def watch(dask_worker):
            preload.dask_setup(dask_worker)
            return dask_worker in handover._DEPARTURES

        async def leave(dask_worker):
            assert preload.dask_teardown(dask_worker) is None
            return dask_worker in handover._DEPARTURES

        assert list(client.run(watch).values()) == [True]
        assert list(client.run(leave).values()) == [False]
        assert client.submit(sum, (1, 2)).result() == 3


def test_other_servers_are_left_alone():
    server = object()
    preload.dask_setup(server)
    assert preload.dask_teardown(server) is None
    assert not asyncio.iscoroutinefunction(preload.dask_setup)
