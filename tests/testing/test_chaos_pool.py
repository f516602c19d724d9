"""The pool that tests lie with does what it says."""

import pytest

from beampipe.datasets.model import Chunk, FileEntry, FilePlan
from beampipe.errors import PartialLostError, WorkersLostError
from beampipe.execution.bundles import Bundle
from beampipe.execution.pool import Finished, Lost
from beampipe.testing.chaos_pool import ChaosPool, Outcome, compute, weigh


@pytest.fixture
def bundle():
    plan = FilePlan(FileEntry("DY", ("/a.root",), "Events", "u-1", 40), 4, 4, 40)
    return Bundle(1, "DY", tuple(Chunk(plan, k) for k in range(4)), 30.0)


def pull(pool, key):
    ((answer,),) = (came.values() for came in pool.pull([key], 1.0, lambda: None))
    if isinstance(answer, Exception):
        raise answer
    return answer


def test_values_hold_what_manifests_say(bundle):
    partial = compute(bundle, Outcome(n_begun=3, failing=frozenset({1})))
    assert [chunk.k for chunk in partial.manifest.done] == [0, 2]
    assert [chunk.k for chunk in partial.manifest.failed] == [1]
    assert partial.remainder == (("u-1", 3),)
    keys = [("DY", "u-1", 0), ("DY", "u-1", 2)]
    weight = sum(weigh(bundle.chunks[k]) for k in (0, 2))
    assert partial.value == {"events": 20, "chunks": keys, "x": weight}


def test_bundles_end_when_the_test_says_so(bundle):
    pool = ChaosPool()
    key = pool.submit(bundle)
    assert pool.wait(0) == []
    assert pool.running() == [key]
    pool.finish(key, Outcome())
    (event,) = pool.wait(0)
    assert isinstance(event, Finished)
    assert event.summary.manifest.n_events == 40
    assert pool.running() == []
    pool.repeat(key)
    assert pool.wait(0) == [event]
    assert pool.n_threads() == pool.n_workers() == 2


def test_merges_are_of_what_there_is_when_they_are_pulled(bundle):
    pool = ChaosPool()
    key = pool.submit(bundle)
    pool.finish(key, Outcome(n_begun=1))
    merged = pool.merge([key])
    pool.recompute(key, Outcome())
    assert pull(pool, merged).manifest.n_events == 40
    pool.release([key])
    assert key in pool.released


def test_what_is_lost_is_lost(bundle):
    pool = ChaosPool()
    key = pool.submit(bundle)
    pool.lose(key)
    (event,) = pool.wait(0)
    assert isinstance(event, Lost)
    assert isinstance(event.error, WorkersLostError)
    other = pool.submit(Bundle(2, "DY", bundle.chunks, 30.0))
    pool.finish(other, Outcome())
    pool.lose_partial(other)
    with pytest.raises(PartialLostError):
        pull(pool, other)
