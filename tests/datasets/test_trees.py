from __future__ import annotations

import struct

import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

from beampipe.datasets import trees
from beampipe.datasets.trees import (
    count_entries,
    entries_in_head,
    find_tree,
    list_trees,
    unpack_head,
)
from beampipe.errors import TreeAmbiguousError, TreeNotFoundError
from beampipe.testing import tiny_files

URL = "/Z → µµ.root"


def look(path, treename=None):
    with uproot.open({path: None}) as directory:
        tree = find_tree(directory, treename, url=URL)
        return tree.name, tree.kind, count_entries(tree, url=URL)


@pytest.mark.parametrize(
    ("trees", "asked", "expected"),
    [
        ({"Events": 3, "Runs": 1}, None, ("Events", "TTree", 3)),
        ({"tree": 4}, None, ("tree", "TTree", 4)),
        ({"dir/sub/tree": 5}, None, ("dir/sub/tree", "TTree", 5)),
        ({"dir/Events": 6, "Runs": 1}, None, ("dir/Events", "TTree", 6)),
        ({"dir/Events": 6, "Events": 7}, None, ("Events", "TTree", 7)),
        ({"Events": 3, "Runs": 1}, "Runs", ("Runs", "TTree", 1)),
        ({"a/t": 1, "b/t": 2}, "b/t", ("b/t", "TTree", 2)),
        ({"Events": 3}, "Events;1", ("Events;1", "TTree", 3)),
    ],
)
def test_the_obvious_or_named_tree_is_found(tmp_path, trees, asked, expected):
    assert look(tiny_files.write_trees_file(tmp_path / "a.root", trees), asked) == expected


def test_several_trees_and_no_name_is_an_error_that_lists_them(tmp_path):
    path = tiny_files.write_trees_file(tmp_path / "a.root", {"one": 1, "sub/two": 2})
    with pytest.raises(TreeAmbiguousError, match="'one', 'sub/two'") as caught:
        look(path)
    assert caught.value.trees == ("one", "sub/two")


def test_two_events_in_subdirectories_are_ambiguous(tmp_path):
    path = tiny_files.write_trees_file(tmp_path / "a.root", {"a/Events": 1, "b/Events": 2})
    with pytest.raises(TreeAmbiguousError):
        look(path)


@pytest.mark.parametrize(
    "asked", ["Event", "sub", "sub/none", "Events/x", "none/Events", "Events;7"]
)
def test_a_tree_that_is_not_there_is_an_error_that_names_those_that_are(tmp_path, asked):
    path = tiny_files.write_trees_file(tmp_path / "a.root", {"Events": 1, "sub/two": 2})
    with pytest.raises(TreeNotFoundError, match="'Events', 'sub/two'") as caught:
        look(path, asked)
    if asked == "Event":
        assert "did you mean 'Events'" in caught.value.fix


def test_a_file_without_trees_says_what_it_holds(tmp_path):
    with pytest.raises(TreeNotFoundError, match="'histogram'"):
        look(tiny_files.write_trees_file(tmp_path / "a.root", {}))


def test_a_file_without_objects_was_probably_not_closed(tmp_path):
    path = tmp_path / "a.root"
    uproot.recreate(path).close()
    with pytest.raises(TreeNotFoundError, match="did not close"):
        look(path)


def test_the_highest_cycle_is_taken(tmp_path):
    path = tiny_files.write_tree_file(tmp_path / "a.root", events=3)
    with uproot.update(path) as file:
        file.mktree("Events", {"x": "f8"})
        file["Events"].extend({"x": [1.0] * 8})
    assert look(path) == look(path, "Events") == ("Events", "TTree", 8)
    with uproot.open(path) as directory:
        assert "Events;2" in directory
        assert list_trees(directory) == ["Events"]


@pytest.mark.parametrize("compression", [None, "zlib", "lzma", "lz4", "zstd"])
@pytest.mark.parametrize("events", [0, 1, 1000])
def test_entries_of_every_compression(tmp_path, compression, events):
    path = tiny_files.write_tree_file(tmp_path / "a.root", events=events, compression=compression)
    assert look(path) == ("Events", "TTree", events)


@pytest.mark.parametrize("events", [1, 1000])
def test_entries_of_an_rntuple(tmp_path, events):
    path = tiny_files.write_rntuple_file(tmp_path / "a.root", events=events)
    assert look(path) == ("Events", "RNTuple", events)


def test_an_rntuple_of_several_cluster_groups(tmp_path):
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        ntuple = file.mkrntuple("Events", {"x": [1.0, 2.0]})
        for _ in range(3):
            ntuple.extend({"x": [3.0] * 5})
    assert look(path) == ("Events", "RNTuple", 17)


def test_real_files_agree_with_uproot(real_data):
    for path in real_data.glob("*.root"):
        name, kind, entries = look(path)
        with uproot.open(path) as file:
            assert file[name].num_entries == entries
            assert kind in type(file[name]).__name__.replace("Model_", "").replace("_3a3a_", "::")


def test_only_the_beginning_of_a_tree_is_read(real_data, monkeypatch):
    """336 kB of compressed branches take 4.6 ms to unpack, and the first of them 0.1 ms."""
    monkeypatch.setattr(trees, "_read_all", None)
    assert look(real_data / "nanoAOD_2015_CMS_Open_Data_ttbar.root")[2] == 200


def streamed(*lengths, version=20, entries=7):
    bases = b"".join(struct.pack(">I", 0x40000000 | n) + bytes(n) for n in lengths)
    return struct.pack(">IH", 0x40000100, version) + bases + struct.pack(">q", entries)


def test_entries_in_the_head_of_a_tree():
    assert entries_in_head(streamed(20, 8, 6, 10)) == 7
    assert entries_in_head(streamed(20, 8, 6, 10, version=5)) is None  # stored as a double then
    assert entries_in_head(streamed(20, 8, 6, 10, entries=-1)) is None
    assert entries_in_head(streamed(20, 8, 6, 10)[:-1]) is None


@given(st.binary(max_size=300))
def test_rubbish_has_no_entries_and_does_no_harm(rubbish):
    for start in (b"", b"ZL\x08......", b"XZ\x00......", b"L4......."):
        assert len(unpack_head(start + rubbish)) <= 2048
    entries = entries_in_head(rubbish)
    assert entries is None or entries >= 0
