from hypothesis import given
from hypothesis import strategies as st

from beampipe.results.intervals import count, find_overlap, subtract, unite

RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)


def entries(ranges):
    return {entry for start, stop in ranges for entry in range(start, stop)}


def is_tidy(ranges):
    flat = [edge for range_ in ranges for edge in range_]
    return flat == sorted(set(flat))


@given(RANGES)
def test_a_union_holds_the_same_entries(ranges):
    united = unite(ranges)
    assert entries(united) == entries(ranges)
    assert is_tidy(united)
    assert count(united) == len(entries(ranges))


@given(RANGES, RANGES)
def test_a_difference_holds_what_is_left(ranges, others):
    left = subtract(ranges, others)
    assert entries(left) == entries(ranges) - entries(others)
    assert is_tidy(left)


@given(RANGES)
def test_an_overlap_is_found_if_there_is_one(ranges):
    total = sum(len(range(*range_)) for range_ in ranges)
    overlap = find_overlap(ranges)
    assert (overlap is not None) == (total > len(entries(ranges)))
    if overlap is not None:
        first, second = overlap
        assert entries([first]) & entries([second])


def test_nothing_overlaps_with_an_empty_range():
    assert find_overlap([(0, 5), (3, 3)]) is None
