from dataclasses import replace

import pytest

from beampipe.execution.bundles import Bundle
from beampipe.execution.manifest import DoneChunk, Manifest
from beampipe.execution.outings import Outing, Outings
from beampipe.execution.pace import Pace
from beampipe.execution.partials import Summary


@pytest.fixture
def make_outing(chunks_of, make_file_plan):
    def make(number=1, *, sent_at=0.0, twin=None, is_quiet=False):
        chunks = chunks_of(make_file_plan())
        bundle = Bundle(number, "d", tuple(chunks), 1.0)
        return Outing(bundle, sent_at, twin, is_quiet)

    return make


def test_a_bundle_comes_back_once(make_outing):
    out = Outings()
    one = make_outing()
    out.add("a", one)
    assert list(out) == ["a"]
    assert out.take("a") is one
    assert out.take("a") is None
    assert len(out) == 0


def test_the_first_of_two_twins_takes_the_other_with_it(make_outing):
    out = Outings()
    out.add("a", make_outing(1))
    out.add("b", make_outing(2, twin="a"))
    taken = out.take("b")
    assert taken.twin == "a"
    assert out.take("a") is None


def test_a_twin_that_is_lost_leaves_the_other(make_outing):
    out = Outings()
    first = make_outing(1)
    out.add("a", first)
    out.add("b", make_outing(2, twin="a"))
    assert out.lose("b") is None
    assert first.twin is None
    assert out.lose("a") is first


@pytest.mark.parametrize(
    ("done", "longest_s", "now", "is_late"),
    [
        (0, 0.0, 30, False),
        (0, 0.0, 61, True),
        (1, 1.0, 9, False),
        (1, 1.0, 11, True),
        (1, 20.0, 59, False),
        (1, 20.0, 61, True),
    ],
)
def test_what_takes_much_longer_than_bundles_take_is_late(
    make_outing, done, longest_s, now, is_late
):
    out = Outings()
    out.add("a", make_outing())
    late = out.find_stragglers(Pace(longest_s=longest_s, done=done), now)
    assert bool(late) == is_late


def test_nothing_is_late_while_others_come_back(make_outing):
    out = Outings()
    out.add("a", make_outing())
    out.heard_at = 95.0
    assert out.find_stragglers(Pace(done=1), 100.0) == []
    assert len(out.find_stragglers(Pace(done=1), 106.0)) == 1


def test_one_twin_is_enough(make_outing):
    out = Outings()
    out.add("a", make_outing(1))
    out.add("b", make_outing(2, twin="a"))
    assert out.find_stragglers(Pace(done=1), 1e6) == []


def test_who_is_to_run_alone_is_known(make_outing):
    out = Outings()
    assert out.n_quiet == 0
    for key in "abcd":
        out.add(key, make_outing(is_quiet=True))
    out.add("twin of d", make_outing(twin="d"))
    assert out.n_quiet == 4
    out.take("a")
    assert out.lose("b") is not None
    out.take("twin of d")
    assert out.n_quiet == len(out) == 1
    assert out.clear() == ["c"]
    assert out.n_quiet == 0


def test_only_what_was_asked_for_is_an_answer(make_outing):
    outing = make_outing()
    (first, *rest) = outing.chunks
    done = (DoneChunk(*first, 9, 0, 1),)
    right = Summary(Manifest(outing.bundle.dataset, done), {}, tuple(rest))
    assert outing.is_answered_by(right)
    assert not outing.is_answered_by(replace(right, remainder=tuple(rest[1:])))
    assert not outing.is_answered_by(replace(right, remainder=(*rest, first)))
    assert not outing.is_answered_by(replace(right, manifest=Manifest("another", done)))
