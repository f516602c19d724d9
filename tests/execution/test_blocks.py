import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.datasets.model import Chunk, DatasetPlan, FileEntry, FilePlan, Plan
from beampipe.execution import blocks as module
from beampipe.execution.blocks import FAN_IN, Blocks, parent_of


def make_plan(*chunks_per_file):
    files = tuple(
        FilePlan(FileEntry("d", ("/a",), "Events", f"u{i}", n), n, n, n)
        for i, n in enumerate(chunks_per_file)
    )
    return Plan((DatasetPlan("d", files),), 1)


counts = st.lists(st.integers(1, 30), min_size=1, max_size=12)


@given(counts, st.integers(1, 40))
def test_every_chunk_is_in_one_block_and_blocks_are_whole(chunks, n_blocks):
    plan = make_plan(*chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCKS", n_blocks)
        blocks = Blocks(plan)
    members = {}
    for chunk in plan.chunks():
        members.setdefault(blocks.group_of(chunk)[1], []).append(chunk.key[1:])
    assert sorted(members) == list(range(blocks.n_blocks("d")))
    for index, keys in members.items():
        assert blocks.find_whole("d", keys) == (0, index)
        assert blocks.find_whole("d", keys[::-1]) == (0, index)
        if len(keys) > 1:
            assert blocks.find_whole("d", keys[1:]) is None
    assert blocks.find_whole("d", []) is None


@given(counts)
def test_the_tree_has_one_root_whose_leaves_are_all_blocks(chunks):
    blocks = Blocks(make_plan(*chunks))
    nodes = {(0, index) for index in range(blocks.n_blocks("d"))}
    while len(nodes) > 1:
        for node in nodes:
            same = {other for other in nodes if parent_of(other) == parent_of(node)}
            assert blocks.n_siblings("d", node) == len(same) <= FAN_IN
            assert not blocks.is_root("d", node)
        nodes = {parent_of(node) for node in nodes}
    assert blocks.is_root("d", nodes.pop())


def test_a_million_chunks_have_some_thousand_blocks():
    plan = make_plan(*[25] * 40_000)
    blocks = Blocks(plan)
    assert blocks.size == 64
    assert blocks.n_blocks("d") == 15_625
    assert blocks.group_of(Chunk(plan.datasets[0].files[-1], 24)) == ("d", 15_624)
