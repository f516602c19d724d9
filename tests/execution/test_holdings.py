import pytest

from beampipe.datasets.model import DatasetPlan, FileEntry, FilePlan, Plan
from beampipe.execution import blocks as blocks_module
from beampipe.execution.blocks import Blocks
from beampipe.execution.chunk_list import ChunkList
from beampipe.execution.groups import FileGroups
from beampipe.execution.holdings import GroupedHoldings, Held, TreeHoldings
from beampipe.execution.manifest import DoneChunk, Manifest


class Pool:
    """Merges names."""

    def __init__(self):
        self.released, self.merging, self.workers = set(), 0, 2

    def n_workers(self):
        return self.workers

    def n_merging(self):
        return self.merging

    def merge(self, keys):
        return f"({'+'.join(keys)})"

    def release(self, keys):
        self.released.update(keys)


@pytest.fixture
def plan():
    files = tuple(
        FilePlan(FileEntry("d", ("/a",), "Events", f"u{i:02}", 4), 4, 4, 4) for i in range(20)
    )
    return Plan((DatasetPlan("d", files),), 1)


@pytest.fixture
def hold(plan):
    def make(*numbers, value_bytes=0, place=""):
        chunks = list(plan.chunks())
        mine = ChunkList(chunks[n] for n in numbers)
        done = tuple(DoneChunk(one.plan.file.uuid, one.k, 4, one.k, one.k + 1) for one in mine)
        key = "k" + "_".join(map(str, numbers))
        return Held(key, Manifest("d", done), mine, value_bytes, place=place)

    return make


def test_files_of_a_group_are_folded_and_others_left(plan, hold):
    pool = Pool()
    holdings = GroupedHoldings(pool, FileGroups(plan))
    for number in (0, 4, 1, 5):
        holdings.add(hold(number))
    assert len(holdings) == 4
    sealed = holdings.seal()
    assert [held.key for held in sealed] == ["(k0+k1)", "(k4+k5)"]
    assert {chunk.k for chunk in sealed[0].manifest.done} == {0, 1}
    assert pool.released == {"k0", "k1", "k4", "k5"}
    assert len(holdings) == 0


def test_large_values_are_folded_across_files_and_at_once(plan, hold):
    holdings = GroupedHoldings(Pool(), FileGroups(plan))
    for number in (0, 4, 8):
        holdings.add(hold(number, value_bytes=160_000_000))
        assert len(holdings) == 1
    (sealed,) = holdings.seal()
    assert sealed.key == "((k0+k4)+k8)"


def test_large_values_are_merged_one_pair_at_a_time(plan, hold):
    pool = Pool()
    holdings = GroupedHoldings(pool, FileGroups(plan))
    pool.merging = 1
    for number in (0, 4, 8):
        holdings.add(hold(number, value_bytes=160_000_000))
    assert len(holdings) == 3
    holdings.fold()
    assert len(holdings) == 3
    pool.merging = 0
    holdings.fold()
    assert len(holdings) == 1


def test_large_values_are_merged_in_several_places_where_there_are_many_workers(plan, hold):
    pool = Pool()
    pool.merging, pool.workers = 24, 100
    holdings = GroupedHoldings(pool, FileGroups(plan))
    for number in (0, 4):
        holdings.add(hold(number, value_bytes=160_000_000))
    assert len(holdings) == 1
    pool.merging = 25
    holdings.add(hold(8, value_bytes=160_000_000))
    assert len(holdings) == 2


def test_of_large_values_each_worker_keeps_a_sum(plan, hold):
    pool = Pool()
    pool.merging = 1
    holdings = GroupedHoldings(pool, FileGroups(plan))
    for number, place in ((0, "a"), (4, "b"), (8, "a"), (12, "b")):
        holdings.add(hold(number, value_bytes=160_000_000, place=place))
    assert len(holdings) == 4
    pool.merging = 0
    holdings.fold()
    assert sorted(held.key for held in holdings) == ["(k0+k8)", "(k4+k12)"]
    (sealed,) = holdings.seal()
    assert sealed.key == "((k0+k8)+(k4+k12))"


def test_large_values_are_sent_where_there_is_more_than_one_for_each_worker(plan, hold):
    holdings = GroupedHoldings(Pool(), FileGroups(plan))
    for number, place in ((0, "a"), (4, "b"), (8, "gone")):
        holdings.add(hold(number, value_bytes=160_000_000, place=place))
    assert sorted(held.key for held in holdings) == ["(k0+k4)", "k8"]


def test_values_that_are_worth_it_wait_until_there_are_enough_on_one_worker(plan, hold):
    """Of 10 MB three are merged at once: what lies on one worker need not be sent."""
    holdings = GroupedHoldings(Pool(), FileGroups(plan))
    holdings._groups.n_files = 20
    for number, place in enumerate("abab"):
        holdings.add(hold(number, value_bytes=10_000_000, place=place))
    assert len(holdings) == 4
    holdings.add(hold(4, value_bytes=10_000_000, place="b"))
    assert sorted(held.key for held in holdings) == ["(k1+k3+k4)", "k0", "k2"]
    assert {held.key: held.place for held in holdings}["(k1+k3+k4)"] == "b"
    (sealed,) = holdings.seal()
    assert sealed.key == "(k0+k2+(k1+k3+k4))"


def test_values_do_not_wait_for_others_where_they_fill_the_workers(plan, hold):
    pool = Pool()
    pool.workers = 0  # all of them went; 40 MB may wait for each
    holdings = GroupedHoldings(pool, FileGroups(plan))
    holdings._groups.n_files = 20
    for number, place in enumerate("abc"):
        holdings.add(hold(number, value_bytes=10_000_000, place=place))
    assert [held.key for held in holdings] == ["(k0+k1+k2)"]


def test_small_values_are_folded_with_their_equals(plan, hold):
    """Else a sum of thousands would be gone through again with every eighth partial."""
    holdings = GroupedHoldings(Pool(), FileGroups(plan))
    holdings._groups.n_files = 20
    for number in range(80):
        holdings.add(hold(number))
    depths = sorted(held.depth for held in holdings)
    assert depths == [1, 1, 2]
    (sealed,) = holdings.seal()
    assert len(sealed.chunks) == 80
    assert sealed.depth == 3


def test_groups_that_grow_take_along_what_is_held(plan, hold):
    holdings = GroupedHoldings(Pool(), FileGroups(plan))
    holdings.add(hold(0))
    holdings.add(hold(4))
    holdings.add(hold(8, value_bytes=160_000_000))
    assert len(holdings) == 1


def test_nodes_of_a_tree_are_folded_when_all_children_are_there(plan, hold):
    holdings = TreeHoldings(Pool(), Blocks(plan))  # blocks of one chunk
    for number in (7, 3, 0, 1, 2, 4, 5):
        holdings.add(hold(number))
    assert len(holdings) == 7
    holdings.add(hold(6))
    (node,) = holdings.seal()
    assert node.node == (1, 0)
    assert sorted(chunk.uuid for chunk in node.manifest.done) == ["u00"] * 4 + ["u01"] * 4


def test_the_last_nodes_of_a_tree_may_have_fewer_children(plan, hold):
    """80 blocks: ten nodes above them, two above those, one root."""
    holdings = TreeHoldings(Pool(), Blocks(plan))
    for number in range(80):
        holdings.add(hold(number))
    (root,) = holdings.seal()
    assert root.node == (3, 0)
    assert len(root.manifest.done) == 80


def test_part_of_a_block_has_no_place_in_the_tree(plan, hold, monkeypatch):
    monkeypatch.setattr(blocks_module, "_BLOCKS", 20)  # four chunks in each
    holdings = TreeHoldings(Pool(), Blocks(plan))
    holdings.add(hold(0, 1, 2))
    holdings.add(hold(4, 5, 6, 7))
    assert [held.node for held in holdings.seal()] == [(0, 1), None]


def test_dropping_gives_everything_back(plan, hold):
    for holdings in (GroupedHoldings(Pool(), FileGroups(plan)), TreeHoldings(Pool(), Blocks(plan))):
        holdings.add(hold(0))
        holdings.add(hold(9))
        assert sorted(held.key for held in holdings.drop()) == ["k0", "k9"]
        assert len(holdings) == 0
