from __future__ import annotations

import numpy as np
import pytest
import uproot

from beampipe.errors import ChunkUnreadableError
from beampipe.reading.boundaries import cluster_boundaries
from beampipe.reading.trees import TreePool


@pytest.fixture
def open_tree(entry_of):
    pool = TreePool()
    yield lambda path, tree=None: pool.get(entry_of(path, tree=tree))
    pool.close()


def test_clusters_of_a_tree_are_where_every_branch_starts_a_basket(open_tree, write_events):
    opened = open_tree(write_events(clusters=(100, 60, 140)))
    assert cluster_boundaries(opened) == (0, 100, 160, 300)


def test_clusters_of_an_rntuple_are_its_own(open_tree, tmp_path):
    path = tmp_path / "r.root"
    with uproot.recreate(path) as file:
        file.mkrntuple("r", {"x": np.float32})
        for size in (10, 30, 5):
            file["r"].extend({"x": np.zeros(size, dtype=np.float32)})
    assert cluster_boundaries(open_tree(path)) == (0, 10, 40, 45)


def test_they_are_worked_out_once(open_tree, write_events):
    opened = open_tree(write_events())
    assert cluster_boundaries(opened) is cluster_boundaries(opened)


def test_only_common_borders_count_on_real_files(open_tree, real_data):
    for path in sorted(real_data.glob("*.root")):
        opened = open_tree(path)
        boundaries = cluster_boundaries(opened)
        assert boundaries[0] == 0
        assert boundaries[-1] == opened.tree.num_entries
        assert list(boundaries) == sorted(set(boundaries))
        if "rntuple" not in path.name:
            common = {int(entry) for entry in opened.tree.common_entry_offsets()}
            assert set(boundaries) == common


def test_branches_with_other_baskets_leave_only_what_all_share(open_tree, real_data, monkeypatch):
    opened = open_tree(real_data / "nano_tt_v12.root")
    kind = type(opened.tree["MET_pt"])
    offsets = {"MET_pt": [0, 50, 100, 200], "nMuon": [0, 100, 150, 200]}
    usual = [0, 50, 100, 150, 200]
    monkeypatch.setattr(
        kind, "entry_offsets", property(lambda branch: offsets.get(branch.name, usual))
    )
    assert cluster_boundaries(opened) == (0, 100, 200)


def test_what_cannot_be_read_is_named(open_tree, write_events, monkeypatch):
    opened = open_tree(write_events())

    def broken(_):
        raise ValueError("basket with a negative seek")

    monkeypatch.setattr(type(opened.tree["MET_pt"]), "entry_offsets", property(broken))
    with pytest.raises(ChunkUnreadableError, match="description of the columns"):
        cluster_boundaries(opened)
    assert opened.is_suspect
