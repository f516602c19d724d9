import zlib
from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beampipe.datasets.model import DatasetPlan, FileEntry, FilePlan, Plan
from beampipe.execution.blocks import FAN_IN
from beampipe.execution.manifest import DoneChunk, Manifest, SplitChunk
from beampipe.execution.partials import Partial, merge_partials
from beampipe.execution.summing import sum_segments, why_not_reproducible

PLAN = Plan(
    (
        DatasetPlan(
            "d",
            tuple(
                FilePlan(FileEntry("d", ("/a",), "Events", f"u{i:03}", 1), 1, 1, 1)
                for i in range(100)
            ),
        ),
    ),
    1,
)


class Segment:
    """A segment in memory."""

    def __init__(self, manifest, value):
        self.manifest, self.value = manifest, value

    def read_value(self, *, trust):  # noqa: ARG002
        return self.value


def leaf(index):
    weight = 1 / (3 + zlib.crc32(str(index).encode()) % 1000)
    return Partial(Manifest("d", (DoneChunk(f"u{index:03}", 0, 1, 0, 1),)), {"x": weight})


def whole(level, index, count):
    """What the tree gives for a node, folded as workers fold it."""
    if level == 0:
        return leaf(index)
    inside = range(index * FAN_IN, (index + 1) * FAN_IN)
    children = [
        whole(level - 1, child, count) for child in inside if child * FAN_IN ** (level - 1) < count
    ]
    return merge_partials(children) if len(children) > 1 else children[0]


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 100))
def test_the_sum_has_the_same_bits_wherever_epochs_were_cut(data, count):
    def cut(level, index):
        """The segments that a node was committed in."""
        if level == 0 or data.draw(st.booleans()):
            partial = whole(level, index, count)
            manifest = replace(partial.manifest, node=(level, index))
            return [Segment(manifest, partial.value)]
        inside = range(index * FAN_IN, (index + 1) * FAN_IN)
        wanted = [child for child in inside if child * FAN_IN ** (level - 1) < count]
        return [segment for child in wanted for segment in cut(level - 1, child)]

    top = 0
    while FAN_IN**top < count:
        top += 1
    segments = data.draw(st.permutations(cut(top, 0)))
    assert sum_segments(segments, trust=False) == {"d": whole(top, 0, count).value}


def test_order_matters_at_all():
    """Else the test above could not fail."""
    values = [leaf(index).value["x"] for index in range(100)]
    assert reduce(float.__add__, values) != whole(3, 0, 100).value["x"]


def test_parts_are_added_behind_the_tree():
    one, other = leaf(0), leaf(1)
    segments = [
        Segment(other.manifest, other.value),
        Segment(replace(one.manifest, node=(0, 0)), one.value),
    ]
    total = one.value["x"] + other.value["x"]
    assert sum_segments(segments, trust=False) == {"d": {"x": total}}
    assert "1 blocks of chunks were done in parts" in why_not_reproducible(PLAN, segments)


@pytest.mark.parametrize("is_split", [False, True])
def test_chunks_in_pieces_void_the_mark(is_split):
    split = (SplitChunk("u000", 0, 4),) if is_split else ()
    manifest = replace(leaf(0).manifest, node=(0, 0), split=split)
    assert bool(why_not_reproducible(PLAN, [Segment(manifest, {})])) == is_split


@pytest.mark.parametrize("late", [0, 3, 7])
def test_a_chunk_that_is_done_after_the_node_above_it_counts_and_voids_the_mark(late):
    others = [leaf(index) for index in range(8) if index != late]
    folded = merge_partials(others)
    segments = [
        Segment(replace(folded.manifest, node=(1, 0)), folded.value),
        Segment(replace(leaf(late).manifest, node=(0, late)), leaf(late).value),
    ]
    total = folded.value["x"] + leaf(late).value["x"]
    assert sum_segments(segments, trust=False) == {"d": {"x": total}}
    assert "1 sums were added out of their order" in why_not_reproducible(PLAN, segments)
    assert why_not_reproducible(PLAN, segments[:1]) == ""


def test_segments_of_a_run_whose_files_had_other_places_are_all_added():
    """One with the same place would else be taken for the other, and its events be lost."""
    mine, theirs = merge_partials([leaf(i) for i in range(8)]), merge_partials([leaf(8), leaf(9)])
    segments = [
        Segment(replace(theirs.manifest, node=(1, 0)), theirs.value),
        Segment(replace(mine.manifest, node=(1, 0)), mine.value),
    ]
    total = mine.value["x"] + theirs.value["x"]
    assert sum_segments(segments, trust=False) == {"d": {"x": total}}
    assert "out of their order" in why_not_reproducible(PLAN, segments)
    assert "out of their order" in why_not_reproducible(PLAN, segments[:1])


def test_processors_of_two_kinds_void_the_mark():
    segments = [
        Segment(replace(leaf(k).manifest, node=(0, k), instructions=(f"x86-{k}",)), {})
        for k in range(2)
    ]
    assert why_not_reproducible(PLAN, segments[:1]) == ""
    assert "2 kinds of processors" in why_not_reproducible(PLAN, segments)
