"""Several look at one scheduler, of which Dask tells the last one only."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from distributed import LocalCluster
from distributed.core import rpc

from beampipe.clusters.watching import watch_workers

PATIENCE_S = 120
pytestmark = pytest.mark.filterwarnings("ignore:Scheduler already contains a plugin:UserWarning")


class Watcher:
    """What of a cluster is looked at."""

    def __init__(self, address):
        self.status, self.scheduler_comm = "running", rpc(address)
        self.scheduler_info = {}

    async def begin(self):
        self.comm = await self.scheduler_comm.live_comm()
        await self.comm.write({"op": "subscribe_worker_status"})
        self.scheduler_info = await self.comm.read()
        return asyncio.ensure_future(watch_workers(weakref.ref(self), self.comm))

    async def sees(self, count):
        async with asyncio.timeout(PATIENCE_S):
            while len(self.scheduler_info["workers"]) != count:  # noqa: ASYNC110 (it is tested)
                await asyncio.sleep(0.05)


async def watch_two(story):
    async with LocalCluster(
        n_workers=0, processes=False, asynchronous=True, dashboard_address=":0"
    ) as cluster:
        watchers = [Watcher(cluster.scheduler_address) for _ in range(2)]
        tasks = [await each.begin() for each in watchers]
        await story(cluster, watchers)
        for each in watchers:
            each.status = "closing"
            await each.comm.close()
        await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)
        for each in watchers:
            await each.scheduler_comm.close_rpc()


def test_all_who_look_see_workers_come_and_go():
    async def story(cluster, watchers):
        for count in (2, 1):
            cluster.scale(count)
            for each in watchers:
                await each.sees(count)

    asyncio.run(watch_two(story))


def test_a_connection_that_is_lost_is_no_end():
    async def story(cluster, watchers):
        await watchers[1].comm.close()
        cluster.scale(1)
        for each in watchers:
            await each.sees(1)

    asyncio.run(watch_two(story))


def test_it_ends_with_what_it_looks_for():
    async def story():
        async with LocalCluster(
            n_workers=0, processes=False, asynchronous=True, dashboard_address=":0"
        ) as cluster:
            watcher = Watcher(cluster.scheduler_address)
            task, scheduler = await watcher.begin(), watcher.scheduler_comm
            del watcher
            gc.collect()
            await asyncio.wait_for(task, PATIENCE_S)
            await scheduler.close_rpc()

    asyncio.run(story())
