from __future__ import annotations

import numpy as np
import pytest
import uproot

from beampipe.reading.boundaries import cluster_boundaries
from beampipe.reading.index.making import make_index
from beampipe.reading.layouts import layout_key


def test_every_basket_is_where_uproot_says(index_file, write_types):
    opened, index, _ = index_file(write_types(baskets=(50, 20)))
    branches = list(opened.tree.itervalues(recursive=True))
    assert len(index.table) == len(branches) > 30
    for position, branch in enumerate(branches):
        seeks, sizes, firsts = index.table.get(position)
        keys = [branch.basket_key(number) for number in range(branch.num_baskets)]
        assert seeks.tolist() == [key.fSeekKey for key in keys]
        assert sizes.tolist() == [key.fNbytes for key in keys]
        assert firsts.tolist() == branch.entry_offsets == [0, 50, 70]
    assert len(index.table.patterns) == 1


def test_what_is_said_of_the_tree(index_file, write_types):
    opened, index, _ = index_file(write_types())
    assert (index.uuid, index.kind, index.entries) == (opened.uuid, "TTree", 111)
    assert index.treename == "Events"
    assert index.layout == layout_key(opened)
    assert index.boundaries == cluster_boundaries(opened) == (0, 70, 71, 111)


def test_of_several_cycles_the_one_that_is_open_is_indexed(index_file, tmp_path):
    path = tmp_path / "cycles.root"
    with uproot.recreate(path) as file:
        for entries in (5, 7):
            file.mktree("folder/tree", {"x": "i8"}).extend({"x": np.arange(entries)})
    found = index_file(path, "folder/tree")
    assert found.tree.object_path == "/folder/tree;2"
    assert (found.index.treename, found.index.entries) == ("folder/tree", 7)
    assert found.read("x", 0, 7).to_list() == list(range(7))
    older = index_file(path, "folder/tree;1")
    assert (older.index.treename, older.index.entries) == ("folder/tree;1", 5)
    assert make_index(found.opened, treename="folder/tree;2").treename == "folder/tree;2"


def test_an_empty_tree_has_an_index(index_file, tmp_path):
    path = tmp_path / "empty.root"
    with uproot.recreate(path) as file:
        file.mktree("Events", {"x": "f8", "y": "var * float32"})
    found = index_file(path)
    assert found.index.entries == 0
    assert len(found.index.table.seeks) == 0
    for name in ("x", "ny", "y"):
        assert found.read(name, 0, 0).type == found.tree[name].array().type


class Member:
    """A branch whose description says something else of it."""

    def __init__(self, branch, **members):
        self._branch, self._members = branch, members

    def __getattr__(self, name):
        return getattr(self._branch, name)

    def member(self, name, **options):
        return self._members.get(name) or self._branch.member(name, **options)


class Raising(Member):
    @property
    def entry_offsets(self):
        raise ValueError("entries in normal baskets don't add up to expected number of entries")


class Embedding(Member):
    embedded_baskets = ("one",)


@pytest.mark.parametrize(
    "stand_in",
    [lambda b: Member(b, fFileName=b"other.root"), Raising, Embedding],
    ids=["in another file", "do not add up", "embedded"],
)
def test_a_branch_whose_baskets_lie_elsewhere_is_uproots_to_read(
    index_file, write_types, monkeypatch, stand_in
):
    opened, _, template = index_file(write_types())
    branches = [
        stand_in(branch) if branch.name == "flat_i4" else branch
        for branch in opened.tree.itervalues(recursive=True)
    ]
    monkeypatch.setattr(opened.tree, "itervalues", lambda **_: iter(branches))
    index = make_index(opened)
    unreadable = [n for n, b in enumerate(branches) if index.table.get(n) is None]
    assert unreadable == [template.find("flat_i4").position]


def test_making_it_reads_nothing_of_the_file(index_file, write_types):
    opened, _, _ = index_file(write_types())
    before = opened.requested_bytes
    make_index(opened)
    assert opened.requested_bytes == before
