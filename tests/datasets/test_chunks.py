from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.datasets.chunks import MAX_CHUNK_GROWTH, chunk_range, nominal_border
from beampipe.datasets.model import Chunk, FileEntry, FilePlan
from beampipe.datasets.planning import cut_file
from beampipe.errors import PlanArgumentError

UUID = "12345678-1234-1234-1234-123456789abc"


def entry(entries: int) -> FileEntry:
    return FileEntry("DY", ("/a.root",), "Events", UUID, entries)


def ranges(plan: FilePlan, boundaries=None) -> list[tuple[int, int]]:
    return [chunk_range(Chunk(plan, k), boundaries) for k in range(plan.used_chunks)]


@st.composite
def plans(draw, *, limited: bool = True) -> FilePlan:
    entries = draw(st.integers(0, 5000))
    chunksize = draw(st.integers(1, 6000))
    limits = st.none() | st.integers(1, 6000)
    return cut_file(
        entry(entries),
        chunksize=chunksize,
        maxchunks=draw(limits) if limited else None,
        maxevents=draw(limits) if limited else None,
    )


@st.composite
def plans_with_boundaries(draw, *, limited: bool = True):
    plan = draw(plans(limited=limited))
    entries = plan.file.entries
    inner = draw(st.sets(st.integers(0, entries), max_size=40))
    ends = draw(st.booleans())
    return plan, sorted(inner | ({0, entries} if ends else set()))


@given(plans_with_boundaries())
def test_chunks_tile_the_planned_events_whatever_the_boundaries(case):
    plan, boundaries = case
    for given_boundaries in (None, boundaries):
        borders = ranges(plan, given_boundaries)
        assert sum(stop - start for start, stop in borders) == plan.n_events == plan.stop
        at = 0
        for start, stop in borders:
            assert start == at
            assert stop >= start
            at = stop
        assert at == plan.stop


@given(plans_with_boundaries())
def test_interior_borders_are_boundaries_or_lie_in_a_cluster_that_is_too_big(case):
    plan, boundaries = case
    entries, n = plan.file.entries, plan.n_chunks
    ends = sorted({0, entries, *boundaries})
    for k, (start, _) in enumerate(ranges(plan, boundaries)):
        if start in (*ends, plan.stop):
            continue
        assert start == nominal_border(k, n, entries)
        low, high = max(b for b in ends if b < start), min(b for b in ends if b > start)
        assert (high - low) * n > MAX_CHUNK_GROWTH * entries


@given(plans_with_boundaries(limited=False))
def test_no_chunk_grows_beyond_four_nominal_ones(case):
    plan, boundaries = case
    nominal = plan.file.entries / plan.n_chunks if plan.n_chunks else 0
    for start, stop in ranges(plan, boundaries):
        assert stop - start <= MAX_CHUNK_GROWTH * nominal + 1


@given(plans_with_boundaries(limited=False))
def test_a_border_is_as_near_to_its_nominal_place_as_the_boundaries_allow(case):
    plan, boundaries = case
    ends = sorted({0, plan.file.entries, *boundaries})
    for k, (start, _) in enumerate(ranges(plan, boundaries)):
        nominal = nominal_border(k, plan.n_chunks, plan.file.entries)
        if start != nominal:
            assert start == min(ends, key=lambda b: (abs(b - nominal), b))


@given(plans_with_boundaries())
def test_limits_only_cut_and_never_move_a_border(case):
    """A trial's chunks are the full run's chunks, but for where it stops."""
    plan, boundaries = case
    whole = FilePlan(plan.file, plan.n_chunks, plan.n_chunks, plan.file.entries)
    for k in range(plan.used_chunks - 1):
        full = chunk_range(Chunk(whole, k), boundaries)
        cut = chunk_range(Chunk(plan, k), boundaries)
        assert cut == tuple(min(border, plan.stop) for border in full)


@pytest.mark.parametrize(
    ("boundaries", "expected"),
    [
        (None, [(0, 25), (25, 50), (50, 75), (75, 100)]),
        ([0, 30, 60, 100], [(0, 30), (30, 60), (60, 60), (60, 100)]),
        ([30, 60], [(0, 30), (30, 60), (60, 60), (60, 100)]),
        ([0, 20, 30, 100], [(0, 20), (20, 30), (30, 100), (100, 100)]),  # 25: a tie goes down
        ([0, 100], [(0, 0), (0, 0), (0, 100), (100, 100)]),  # 50: a tie too
    ],
)
def test_borders_snap(boundaries, expected):
    assert ranges(cut_file(entry(100), chunksize=25), boundaries) == expected


def test_a_file_of_one_cluster_is_still_cut_when_chunks_would_get_too_big():
    plan = cut_file(entry(100), chunksize=20)
    assert ranges(plan, [0, 100]) == [(0, 20), (20, 40), (40, 60), (60, 80), (80, 100)]


def test_a_stop_before_the_snapped_border_leaves_an_empty_chunk():
    plan = cut_file(entry(100), chunksize=25, maxevents=26)
    assert ranges(plan, [0, 30, 60, 100]) == [(0, 26), (26, 26)]


@given(st.lists(st.integers(0, 100), min_size=2, max_size=8, unique=True))
def test_steps_stand_as_they_are(numbers):
    numbers.sort()
    steps = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    plan = cut_file(entry(100), steps, chunksize=10)
    assert ranges(plan, [0, 7, 50, 100]) == list(steps)


@pytest.mark.parametrize("k", [-1, 2, 4])
def test_a_chunk_that_is_not_planned_is_refused(k):
    plan = cut_file(entry(100), chunksize=25, maxchunks=2)
    with pytest.raises(PlanArgumentError, match="uses 2 of its 4"):
        chunk_range(Chunk(plan, k))
