from __future__ import annotations

import asyncio
import threading
import time

from distributed import Client, LocalCluster

from beampipe.clusters.retiring import retire_workers

STARTED, GO = threading.Event(), threading.Event()
CALLS = []


def run_until_told(number):
    CALLS.append(number)
    STARTED.set()
    GO.wait(60)
    return number


def negate(number):
    return -number


def play(story, workers):
    async def run():
        async with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=False, asynchronous=True,
                dashboard_address=":0",
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):  # fmt: skip
            await story(cluster.scheduler, client)

    asyncio.run(run())


async def until(condition):
    give_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)


def test_what_runs_is_ended_and_not_begun_anew_elsewhere():
    CALLS.clear(), STARTED.clear(), GO.clear()

    async def story(scheduler, client):
        future = client.submit(run_until_told, 7, pure=False)
        await until(STARTED.is_set)
        (address,) = (a for a, w in scheduler.workers.items() if w.processing)
        heard = scheduler.workers[address].last_seen
        retiring = asyncio.ensure_future(retire_workers(scheduler, [address]))
        await until(lambda: scheduler.workers[address].last_seen > heard + 0.5)
        assert not retiring.done()
        assert await client.submit(negate, 1) == -1  # elsewhere
        GO.set()
        assert await retiring == set()
        assert address not in scheduler.workers
        assert await future == 7
        assert CALLS == [7]

    play(story, 2)


def test_results_are_handed_over():
    async def story(scheduler, client):
        futures = client.map(negate, range(10))
        await client.gather(futures)
        address = next(a for a, w in scheduler.workers.items() if w.has_what)
        assert await retire_workers(scheduler, [address, "tcp://nowhere:1"]) == set()
        assert len(scheduler.workers) == 1
        assert sum(await client.gather(futures)) == -45

    play(story, 2)


def test_one_whose_results_nobody_can_take_works_on():
    async def story(scheduler, client):
        future = client.submit(negate, 3)
        await future
        (address,) = scheduler.workers
        assert await retire_workers(scheduler, [address]) == {address}
        assert await client.submit(negate, 4) == -4
        assert await future == -3

    play(story, 1)
