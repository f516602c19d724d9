"""The pool on real Dask workers: what it promises the driver."""

import asyncio
import os
import pickle
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client, Event, LocalCluster

from beampipe.clusters.local_cluster import kept_workers
from beampipe.datasets.fileset import read_fileset
from beampipe.datasets.planning import make_plan
from beampipe.datasets.samples import make_data
from beampipe.errors import AccumulationError, PartialLostError, WorkersLostError
from beampipe.execution import context_plugin, dask_pool
from beampipe.execution.bundles import Bundle
from beampipe.execution.context_plugin import Sent
from beampipe.execution.dask_pool import DaskPool
from beampipe.execution.engine import make_context
from beampipe.execution.index_desk import IndexDesk
from beampipe.execution.manifest import DoneChunk, Manifest
from beampipe.execution.partials import Partial
from beampipe.execution.pool import Finished, Lost
from beampipe.execution.processors import load_processor
from beampipe.execution.worker_shelf import lay_out_indexes, worker_shelf
from beampipe.reading.index.encoding import encode_index
from beampipe.reading.index.making import make_index
from beampipe.reading.index.shelf import Made, Place
from beampipe.reading.index.store import IndexStore
from beampipe.reading.trees import TreePool


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    make_data(folder, files=2, events=400, seed=3)
    return make_plan(read_fileset(folder), chunksize=50)


def count_events(events):
    return {"n": len(events)}


@pytest.fixture
def pool_for(plan):
    pools = []

    def make(client, processor):
        pools.append(DaskPool(client, make_context(load_processor(processor), None, plan)))
        return pools[-1]

    yield make
    for pool in pools:
        if pool._client.status == "running":
            pool.close()


def bundles_of(plan, size):
    chunks = list(plan.chunks())
    return [
        Bundle(number, "data", tuple(chunks[i : i + size]), 300.0)
        for number, i in enumerate(range(0, len(chunks), size))
    ]


def wait_for(pool, count, timeout_s=120):
    events, deadline = [], time.monotonic() + timeout_s
    while len(events) < count and time.monotonic() < deadline:
        events += pool.wait(0.2)
    return events


def pull(pool, key, patience_s=60):
    ((answer,),) = (came.values() for came in pool.pull([key], patience_s, lambda: None))
    if isinstance(answer, Exception):
        raise answer
    return answer


def test_bundles_come_back_merge_and_are_pulled(client, plan, pool_for):
    pool = pool_for(client, count_events)
    keys = [pool.submit(bundle) for bundle in bundles_of(plan, 3)]
    events = wait_for(pool, len(keys))
    assert {event.key for event in events} == set(keys)
    assert all(isinstance(event, Finished) for event in events)
    assert sum(event.summary.manifest.n_events for event in events) == 800
    merged = pool.merge(keys)
    pool.release(keys)
    partial = pull(pool, merged)
    assert partial.value == {"n": 800}
    assert partial.manifest.n_events == 800
    assert partial.metrics["bytes_read"] > 0
    pool.release([merged])
    assert pool.n_threads() == pool.n_workers() == 2


def mixed_outputs(events):
    return {"n": 1} if events.metadata["entrystart"] == 0 else {"n": {"deeper": 1}}


def test_outputs_that_cannot_be_added_come_back_as_that_error(client, plan, pool_for):
    pool = pool_for(client, mixed_outputs)
    key = pool.submit(bundles_of(plan, 4)[0])
    (event,) = wait_for(pool, 1)
    assert isinstance(event, Lost)
    assert event.key == key
    assert isinstance(event.error, AccumulationError)


def test_a_merge_that_fails_says_so_when_it_is_pulled(client, plan, pool_for):
    pool = pool_for(client, mixed_outputs)
    keys = [pool.submit(bundle) for bundle in bundles_of(plan, 1)[:2]]
    wait_for(pool, 2)
    with pytest.raises(AccumulationError, match="n"):
        pull(pool, pool.merge(keys))


def sleepy(events):
    time.sleep(0.3)
    return {"n": len(events)}


def test_what_is_released_is_not_reported(client, plan, pool_for):
    pool = pool_for(client, sleepy)
    keys = [pool.submit(bundle) for bundle in bundles_of(plan, 1)]
    pool.release(keys[1:])
    events = wait_for(pool, 1) + wait_for(pool, 1, timeout_s=2)
    assert [event.key for event in events] == keys[:1]


def test_a_cluster_that_is_restarted_loses_results_and_takes_new_bundles(plan, pool_for):
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        kept_workers(cluster),
        Client(cluster) as client,
    ):
        pool = pool_for(client, count_events)
        bundle = bundles_of(plan, 8)[0]
        key = pool.submit(bundle)
        assert len(wait_for(pool, 1)) == 1
        client.restart()
        with pytest.raises(PartialLostError):
            pull(pool, key)
        again = pool.submit(Bundle(99, "data", bundle.chunks, 30.0))
        finished = []
        while not finished:  # the death of the old worker may be told as well
            finished = [event for event in wait_for(pool, 1) if isinstance(event, Finished)]
        assert [event.key for event in finished] == [again]


def test_a_client_that_is_closed_is_named(plan, pool_for):
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        client = Client(cluster)
        pool = pool_for(client, count_events)
        client.close()
        with pytest.raises(WorkersLostError, match="connection"):
            pool.wait(0.1)
        pool._counted_at = -10.0
        assert pool.n_threads() == 0
        with pytest.raises(WorkersLostError, match="scheduler"):
            pool.submit(bundles_of(plan, 8)[0])
        pool.close()


def test_a_scheduler_that_goes_while_summaries_are_fetched_is_named(
    client, plan, pool_for, monkeypatch
):
    def time_out(*args, **kwargs):
        raise OSError("Timed out trying to connect")

    pool = pool_for(client, count_events)
    monkeypatch.setattr(context_plugin, "tell_summary", lambda *_: None)
    monkeypatch.setattr(client, "gather", time_out)
    pool.submit(bundles_of(plan, 8)[0])
    with pytest.raises(WorkersLostError, match="scheduler does not answer"):
        wait_for(pool, 1)


def test_a_client_that_is_just_being_closed_is_named(client, plan, pool_for):
    # Dask closes the pool of connections when the scheduler is gone, and only then says so.
    with Client(client.scheduler.address) as other:
        pool = pool_for(other, count_events)
        key = pool.submit(bundles_of(plan, 8)[0])
        wait_for(pool, 1)
        other.sync(other.rpc.close)
        assert other.status == "running"
        with pytest.raises(WorkersLostError, match="ConnectionPool is closed"):
            pool.find_workers([key])
        pool._counted_at = -10.0
        pool.n_threads()
        with pytest.raises(PartialLostError):
            pull(pool, key, 0.5)
        pool.close()


def test_a_client_that_never_ends_reconnecting_is_named(client, plan, pool_for, monkeypatch):
    # As after an AssertionError in Dask's `Client._reconnect`, which nobody hears of.
    monkeypatch.setattr(dask_pool, "_RECONNECT_S", 0.5)
    with Client(client.scheduler.address) as other:
        pool = pool_for(other, count_events)
        for _ in range(2):
            other.status = "connecting"
            pool.wait(0.3)
            other.status = "running"
            pool.wait(0.3)
        other.status = "connecting"
        with pytest.raises(WorkersLostError, match="connecting', for"):
            wait_for(pool, 1)
        other.status = "running"


def sleep_half_a_second(events):
    time.sleep(0.5)
    return {"n": 1}


def test_bundles_that_are_to_be_apart_run_on_workers_of_their_own(client, plan, pool_for):
    pool = pool_for(client, sleep_half_a_second)
    assert pool.n_workers() == 2
    pool.submit(bundles_of(plan, 4)[0], apart=True)
    pool.submit(bundles_of(plan, 4)[1], apart=True)
    summaries = [event.summary for event in wait_for(pool, 2)]
    assert len({summary.worker for summary in summaries}) == 2


def waits_for_the_other(events):
    mine = int(events.metadata["entrystart"] > 0)
    Event(f"beampipe-met-{mine}").set()
    return {"n": int(Event(f"beampipe-met-{1 - mine}").wait(60))}


def test_all_workers_get_bundles_at_once(client, plan, pool_for):
    """Bundles that depended on a shared task would all go to the worker that holds it."""
    pool = pool_for(client, waits_for_the_other)
    keys = [pool.submit(bundle) for bundle in bundles_of(plan, 1)[:2]]
    assert len(wait_for(pool, 2)) == 2
    assert [pull(pool, key).value for key in keys] == [{"n": 1}] * 2


def sign_and_sleep_half_a_second(events):
    Path(os.environ["SIGNS"], uuid.uuid4().hex).touch()
    return sleep_half_a_second(events)


def test_bundles_that_nobody_waits_for_end_after_their_chunk(
    client, plan, pool_for, tmp_path, monkeypatch
):
    monkeypatch.setenv("SIGNS", str(tmp_path))
    pool = pool_for(client, sign_and_sleep_half_a_second)
    both = [pool.submit(bundle) for bundle in bundles_of(plan, 8)]  # 4 s for each worker
    while (begun := len(list(tmp_path.iterdir()))) < 2:
        time.sleep(0.01)
    pool.release(both)
    pool.submit(Bundle(100, "data", bundles_of(plan, 1)[0].chunks, 30.0))
    assert len(wait_for(pool, 1)) == 1
    assert len(list(tmp_path.iterdir())) - begun < 8  # of 14 that were left


def test_a_frozen_worker_does_not_keep_the_news_of_others_back(client, plan, pool_for, monkeypatch):
    pool = pool_for(client, count_events)
    monkeypatch.setattr(context_plugin, "tell_summary", lambda *_: None)
    first, second = bundles_of(plan, 4)[:2]
    frozen, other = pool.submit(first), pool.submit(second)
    gather = client.gather

    async def stuck(futures, **how):
        if frozen in futures:
            await asyncio.sleep(1e9)
        return await gather(futures, **how)

    monkeypatch.setattr(client, "gather", stuck)
    monkeypatch.setattr(dask_pool, "_ANSWER_S", 2.0)
    events = {event.key: event for event in wait_for(pool, 2)}
    assert isinstance(events[other], Finished)
    assert isinstance(events[frozen].error, PartialLostError)


def waits_for_the_gate(events):
    if events.metadata["entrystart"] > 0:
        Event("beampipe-gate").wait(60)
    return {"n": len(events)}


def test_what_was_pulled_is_let_go_of_while_others_are_waited_for(client, plan, pool_for):
    """Dask would compute it again, with all that it was made of, when its worker goes."""
    pool = pool_for(client, waits_for_the_gate)
    first, second = bundles_of(plan, 1)[:2]
    here, held = pool.submit(first), pool.submit(second)
    merged = pool.merge([here])
    pool.release([here])

    was_there = False

    def open_gate():
        nonlocal was_there
        is_there = merged in client.run_on_scheduler(lambda dask_scheduler: [*dask_scheduler.tasks])
        if was_there and not is_there:
            Event("beampipe-gate", client=client).set()
        was_there = was_there or is_there

    try:
        came = [*pool.pull([merged, held], 20, open_gate)]
    finally:
        Event("beampipe-gate", client=client).set()
    assert [{key: answer.value for key, answer in answers.items()} for answers in came] == [
        {merged: {"n": 50}},
        {held: {"n": 50}},
    ]
    Event("beampipe-gate", client=client).clear()


def test_a_bundle_is_heard_of_while_its_worker_does_the_next_one(client, plan, pool_for):
    """No task has to wait for a free thread to say how a bundle ended."""
    pool = pool_for(client, waits_for_the_gate)
    bundles = bundles_of(plan, 1)
    quick = [bundle for bundle in bundles if bundle.chunks[0].k == 0]
    held = [bundle for bundle in bundles if bundle.chunks[0].k > 0][:4]
    try:
        keys = {pool.submit(replace(bundle, attempt=2)) for bundle in quick}  # these go first
        for bundle in held:
            pool.submit(bundle)
        assert {event.key for event in wait_for(pool, len(keys))} == keys
    finally:
        Event("beampipe-gate", client=client).set()
    assert len(wait_for(pool, len(held))) == len(held)


def test_a_summary_that_was_not_told_is_asked_for(client, plan, pool_for, monkeypatch):
    pool = pool_for(client, count_events)
    monkeypatch.setattr(context_plugin, "tell_summary", lambda *_: None)
    keys = [pool.submit(bundle) for bundle in bundles_of(plan, 3)]
    events = wait_for(pool, len(keys))
    assert sorted(event.key for event in events) == sorted(keys)
    assert sum(event.summary.manifest.n_events for event in events) == 800
    assert not pool.wait(0.2)


# -- indexes of files ---------------------------------------------------------------------------


@pytest.fixture
def shelf():
    """The workers': they are threads of this process."""
    shelf = worker_shelf()
    shelf.clear()
    yield shelf
    shelf.clear()
    lay_out_indexes(None)


@pytest.fixture
def desk(tmp_path):
    desk = IndexDesk(IndexStore(tmp_path / "indexes"))
    yield desk
    desk.close()


@pytest.fixture
def pool_with(client, plan, monkeypatch):
    """A pool with a desk, on workers that see its store, or do not; they read no file."""

    def run(context, bundle, **_):
        done = [DoneChunk(one.plan.file.uuid, one.k, 8, 0, 0) for one in bundle.chunks]
        return Partial(Manifest(bundle.dataset, tuple(done)))

    monkeypatch.setattr(context_plugin, "run_bundle", run)
    pools = []

    def make(desk, place):
        context = make_context(load_processor(count_events), None, plan)
        pools.append(DaskPool(client, replace(context, store=place), desk))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def run_one(pool, bundle):
    pool.submit(bundle)
    (event,) = wait_for(pool, 1)
    return event


def index_of(plan, number=0):
    trees = TreePool()
    index = make_index(trees.get(plan.datasets[0].files[number].file))
    trees.close()
    return Place(index.uuid, index.treename), index


def test_an_index_that_a_worker_made_is_fetched_and_kept(plan, pool_with, desk, shelf):
    pool = pool_with(desk, desk.place)
    place, index = index_of(plan)
    shelf.put(index, seconds=0.5, n_bytes=100)
    event = run_one(pool, bundles_of(plan, 3)[0])
    assert event.summary.sees_store is True
    assert event.summary.indexes == {}  # summaries stay with the scheduler for a while
    pool._calls.close()
    desk.close()
    assert desk._store.get(place).data == encode_index(index)
    assert not shelf.has_new


def test_workers_that_see_the_store_are_sent_nothing_and_find_it(plan, pool_with, desk, shelf):
    place, index = index_of(plan)
    desk._store.put(place, Made(encode_index(index)))
    pool = pool_with(desk, desk.place)
    for bundle in bundles_of(plan, 3)[:2]:
        run_one(pool, bundle)
    assert desk._out_bytes == 0
    assert shelf.get(*place).entries == index.entries
    assert shelf.take_counts() == {"indexes_stored": 1}


def test_workers_that_do_not_see_it_are_sent_what_their_bundles_need(plan, pool_with, desk, shelf):
    place, index = index_of(plan)
    other, _ = index_of(plan, 1)
    desk._store.put(place, Made(encode_index(index)))
    pool = pool_with(desk, desk.place._replace(token="0" * 32))
    first, second, *_ = bundles_of(plan, 3)
    assert run_one(pool, first).summary.sees_store is False
    assert shelf.get(*place) is None
    event = run_one(pool, second)
    assert shelf.get(*place).entries == index.entries
    assert shelf.get(*other) is None
    assert desk._out_bytes > 0
    pool.release([event.key])
    assert desk._out_bytes == 0


def test_an_index_of_another_file_that_is_sent_is_not_given_out(plan, pool_with, desk, shelf):
    place, _ = index_of(plan)
    _, other = index_of(plan, 1)
    desk._store.put(place, Made(encode_index(other)))
    pool = pool_with(desk, desk.place._replace(token="0" * 32))
    for bundle in bundles_of(plan, 3)[:2]:
        run_one(pool, bundle)
    assert desk._out_bytes > 0
    assert shelf.get(*place) is None


def test_the_scheduler_is_sent_little_more_than_the_index(client, plan, desk):
    place, index = index_of(plan)
    data = encode_index(index)
    bundle = bundles_of(plan, 3)[0]
    alone = len(pickle.dumps(("name", bundle, None)))
    assert len(pickle.dumps(("name", bundle, Sent({place: data})))) < alone + len(data) + 300
