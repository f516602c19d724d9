import pytest

from beampipe.errors import PartialLostError
from beampipe.execution.chunk_list import ChunkList
from beampipe.execution.committing import Committer
from beampipe.execution.holdings import Held
from beampipe.execution.manifest import Manifest
from beampipe.execution.meter import Meter


class Pool:
    """Gives what a test puts there."""

    def __init__(self):
        self.answers, self.asked, self.released = {}, [], []

    def pull(self, keys, patience_s, meanwhile):  # noqa: ARG002
        self.asked.append(list(keys))
        for key in keys:
            meanwhile()
            yield {key: self.answers[key]}

    def release(self, keys):
        self.released += keys


class Holdings(list):
    """A list that is sealed by being emptied."""

    add = list.append

    def fold(self):
        pass

    def seal(self):
        everything = list(self)
        self.clear()
        return everything


class Ledger:
    def __init__(self):
        self.written, self.error = [], None

    def commit_all(self, partials):
        if self.error:
            raise self.error
        self.written += partials


@pytest.fixture
def committer():
    return Committer(Pool(), Ledger(), Holdings(), Meter())


@pytest.fixture
def hold(committer, make_partial):
    def hold(key, k, *, answer=None, value_bytes=0, node=None):
        partial = make_partial(k)
        committer.pool.answers[key] = answer or partial
        held = Held(key, partial.manifest, ChunkList(()), value_bytes, node)
        committer.hold(held)
        return held

    return hold


def test_what_is_expected_is_committed(committer, hold):
    hold("a", 0)
    hold("b", 1, node=(0, 1))
    assert committer.has_any
    assert committer.commit(10) == []
    assert [partial.manifest.done[0].k for partial in committer.ledger.written] == [0, 1]
    assert [partial.manifest.node for partial in committer.ledger.written] == [None, (0, 1)]
    assert committer.meter.events_committed == 50
    assert committer.metrics["s"] == 2.0
    assert sorted(committer.pool.released) == ["a", "b"]
    assert not committer.has_any


def test_what_has_come_is_committed_while_others_are_waited_for(committer, hold):
    for key in "abc":
        hold(key, 0)
    there = []
    committer.commit(10, lambda: there.append((len(committer.ledger.written), committer.n_sealed)))
    assert there == [(0, 3), (1, 2), (2, 1)]
    assert committer.n_sealed == 0


def test_another_value_and_a_lost_one_are_refused(committer, hold, make_partial):
    hold("a", 0)
    other = hold("b", 1, answer=make_partial(1, 2))
    lost = hold("c", 3, answer=PartialLostError("gone"))
    refused = {refusal.held.key: refusal.error for refusal in committer.commit(10)}
    assert refused == {"b": None, "c": committer.pool.answers.get("c") or lost}
    assert other.key in refused
    assert [partial.manifest.done[0].k for partial in committer.ledger.written] == [0]


def test_large_values_are_pulled_one_by_one_and_small_ones_together(committer, hold):
    for key in "abc":
        hold(key, 0, value_bytes=1000)
    for key in "de":
        hold(key, 0, value_bytes=60_000_000)
    committer.commit(10)
    assert committer.pool.asked == [["a", "b", "c", "d"], ["e"]]


def test_what_a_commit_that_broke_held_is_never_given_again(committer, hold):
    hold("a", 0)
    committer.ledger.error = OSError("full")
    with pytest.raises(OSError, match="full"):
        committer.commit(10)
    committer.ledger.error = None
    assert committer.commit(10) == []
    assert committer.ledger.written == []


def test_failures_without_a_value_are_committed_too(committer, make_failed):
    manifest = Manifest("d", failed=(make_failed(),))
    committer.hold_failure(manifest)
    assert committer.has_any
    committer.commit(10)
    assert [partial.manifest for partial in committer.ledger.written] == [manifest]


def test_an_epoch_lasts_a_hundred_times_what_its_end_costs(committer, hold):
    hold("a", 0)
    assert not committer.is_due(1e9)
    assert committer.is_due(0.0)
    committer._commit_s = 1e6
    assert not committer.is_due(0.0)
    committer.commit(10)
    assert not committer.is_due(0.0)  # nothing is held
