import hashlib

import cloudpickle
import pytest

from beampipe.datasets.model import Chunk
from beampipe.errors import AccumulationError, ExecutionError
from beampipe.execution import inline_pool as module
from beampipe.execution.bundles import Bundle, RunContext
from beampipe.execution.inline_pool import InlinePool
from beampipe.execution.pool import Finished, Lost
from beampipe.execution.processors import Processor


@pytest.fixture
def pool(monkeypatch, make_partial):
    """Its bundles give the partial of their chunks; a bundle of no chunks breaks."""

    def run(context, bundle):
        if not bundle.chunks:
            raise AccumulationError("cannot be added")
        value = "text" if bundle.dataset == "odd" else None
        return make_partial(*(chunk.k for chunk in bundle.chunks), value=value)

    monkeypatch.setattr(module, "run_bundle", run)
    return InlinePool(RunContext("", b"", {}))


@pytest.fixture
def make_bundle(make_file_plan):
    def make(number, *ks, dataset="DY"):
        return Bundle(number, dataset, tuple(Chunk(make_file_plan(), k) for k in ks), 1.0)

    return make


def pull(pool, key):
    ((answer,),) = (came.values() for came in pool.pull([key], 1.0, lambda: None))
    if isinstance(answer, Exception):
        raise answer
    return answer


def test_bundles_are_done_one_by_one_when_they_are_waited_for(pool, make_bundle):
    keys = [pool.submit(make_bundle(number, number)) for number in range(2)]
    (first,) = pool.wait(0)
    assert isinstance(first, Finished)
    assert first.key == keys[0]
    assert first.summary.manifest.done[0].k == 0
    assert [event.key for event in pool.wait(0)] == keys[1:]
    assert pool.wait(0) == []
    assert pull(pool, keys[1]).value == {"n": 25}


def test_partials_are_merged_and_forgotten(pool, make_bundle):
    keys = [pool.submit(make_bundle(number, number)) for number in range(3)]
    for _ in keys:
        pool.wait(0)
    merged = pool.merge(keys[:2])
    pool.release(keys[:2])
    assert pull(pool, merged).value == {"n": 50}
    again = pool.merge([merged, keys[2]])
    assert pull(pool, again).value == {"n": 75}
    pool.release([merged, again, "never there"])
    with pytest.raises(KeyError):
        pull(pool, merged)


def test_a_queued_bundle_that_is_released_is_never_done(pool, make_bundle):
    keys = [pool.submit(make_bundle(number, number)) for number in range(2)]
    pool.release(keys[:1])
    assert [event.key for event in pool.wait(0)] == keys[1:]


def test_a_bundle_that_breaks_is_lost(pool, make_bundle):
    key = pool.submit(make_bundle(1))
    (event,) = pool.wait(0)
    assert isinstance(event, Lost)
    assert event.key == key
    assert isinstance(event.error, ExecutionError)


def test_a_merge_that_fails_tells_when_it_is_pulled_as_on_a_cluster(pool, make_bundle):
    keys = [pool.submit(make_bundle(1, 0)), pool.submit(make_bundle(2, 1, dataset="odd"))]
    for _ in keys:
        pool.wait(0)
    merged = pool.merge(keys)
    with pytest.raises(AccumulationError):
        pull(pool, merged)
    with pytest.raises(AccumulationError):
        pull(pool, pool.merge([merged]))


def test_it_is_one_worker_with_one_thread(pool):
    assert (pool.n_threads(), pool.n_workers()) == (1, 1)


def test_a_real_bundle_is_done_in_this_process(make_bundle):
    """The file is not there: that is the chunk's failure, not the pool's."""
    payload = cloudpickle.dumps((Processor(len, "len"), None))
    pool = InlinePool(RunContext(hashlib.sha256(payload).hexdigest(), payload, {}))
    pool.submit(make_bundle(1, 0))
    (event,) = pool.wait(0)
    (failure,) = event.summary.returned  # another host may see it
    assert failure.code == "dataset-file-missing"
