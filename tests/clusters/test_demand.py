from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from beampipe.clusters.demand import Demand


def test_more_is_asked_for_at_once():
    assert Demand(minimum=0, maximum=10).follow(4, now=0.0).wanted == 4


def test_less_is_asked_for_only_after_a_while_of_less():
    demand = Demand(minimum=0, maximum=10, patience_s=30).follow(8, now=0.0)
    demand = demand.follow(0, now=1.0).follow(3, now=10.0)
    assert demand.wanted == 8
    assert demand.follow(1, now=31.0).wanted == 3


def test_a_place_in_the_queue_outlives_a_pause():
    demand = Demand(minimum=0, maximum=10, patience_s=30).follow(8, now=0.0)
    for now in range(1, 300):
        demand = demand.follow(0 if now % 20 else 8, now=float(now))
        assert demand.wanted == 8


@given(
    st.lists(st.tuples(st.integers(-5, 50), st.floats(0, 100))),
    st.integers(0, 5),
    st.integers(5, 20),
)
def test_bounds_are_kept(steps, minimum, maximum):
    demand, now = Demand(minimum=minimum, maximum=maximum), 0.0
    for needed, pause_s in steps:
        now += pause_s
        demand = demand.follow(needed, now)
        assert demand.wanted <= maximum
        assert demand.wanted >= min(minimum, max(needed, minimum))
