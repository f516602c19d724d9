from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beampipe.datasets.samples.tables import Candidates, arrange, find_first_two

OBJECTS = st.lists(
    st.tuples(st.integers(0, 5), st.floats(1, 500, width=16), st.booleans()), max_size=40
)


@given(OBJECTS)
def test_an_order_is_by_event_then_by_falling_pt(objects):
    event = np.array([o[0] for o in objects], np.int64)
    pt = np.array([o[1] for o in objects], float)
    accepted = np.array([o[2] for o in objects], bool)
    order = arrange(event, pt, accepted, 6)
    expected = sorted(np.flatnonzero(accepted), key=lambda k: (event[k], -pt[k], k))
    assert order.kept.tolist() == expected
    assert order.counts.tolist() == [int(np.sum(accepted & (event == e))) for e in range(6)]
    assert order.counts.dtype == np.int32
    assert order.local.tolist() == [k for count in order.counts for k in range(count)]
    positions = order.positions(len(objects))
    assert (positions >= 0).tolist() == accepted.tolist()
    assert positions[order.kept].tolist() == order.local.tolist()


@given(st.lists(st.integers(-1, 4), max_size=30))
def test_the_first_two_are_found(owners):
    owner = np.array(owners, np.int64)
    local = np.arange(100, 100 + len(owners))
    first, second = find_first_two(owner, local, 5)
    for k in range(5):
        mine = [100 + i for i, o in enumerate(owners) if o == k] + [-1, -1]
        assert [first[k], second[k]] == mine[:2]


def test_candidates_are_selected_and_joined():
    whole = np.arange(3)
    some = Candidates(whole, whole + 0.5, whole + 1.0, whole + 2.0, whole + 3.0, whole, -whole)
    twice = Candidates.concatenate(some, some.select(np.array([2, 0])))
    assert len(twice) == 5
    assert twice.pt.tolist() == [0.5, 1.5, 2.5, 2.5, 0.5]
    assert twice.seed.tolist() == [0, -1, -2, -2, 0]
