"""Every branch of real files, and of types that only ROOT can write: the index against uproot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beampipe.reading.index.encoding import decode_index, encode_index
from beampipe.reading.index.making import make_index
from beampipe.reading.index.reading import can_read, decode_column, fetch_ranges, plan_ranges

BY_ROOT = Path(__file__).parent / "made_by_root"

# Branches that uproot has to read: how many, and why. A file that is not here has none.
LEFT_TO_UPROOT = {
    "nanoAOD_2015_CMS_Open_Data_ttbar.root": (947, "its last baskets lie in the tree itself"),
}
OBJECTS = {"vvf", "vs", "lv"}  # lists of lists, lists of strings, an object with members
# What uproot misreads where a tree has the feature kGenerateOffsetMap: it takes sizes for offsets,
# and the counts of another basket.
MISREAD = {"s", "name", "S_x"}


def assert_columns_equal(found, names, start, stop, assert_equal):
    index = decode_index(encode_index(found.index))
    ranges = plan_ranges(index, found.template, names, start=start, stop=stop)
    fetched = fetch_ranges(found.tree.file.source, ranges)
    for name in names:
        column = decode_column(index, found.template, fetched, name=name, start=start, stop=stop)
        branch = found.tree[name]
        if start == stop:
            assert column.type == branch.array(entry_stop=0).type
        else:
            assert_equal(column, branch.array(entry_start=start, entry_stop=stop))


@pytest.mark.parametrize(
    "name",
    [
        "nanoAOD_2015_CMS_Open_Data_ttbar.root",
        "nano_dimuon.root",
        "nano_dy.root",
        "nano_tt_v12.root",
        "uproot-HZZ.root",
    ],
)
def test_every_branch_of_real_files(name, real_data, index_file, assert_equal):
    found = index_file(real_data / name)
    names = found.tree.keys()
    readable = [one for one in names if can_read(found.index, found.template, one)]
    left, _ = LEFT_TO_UPROOT.get(name, (0, ""))
    assert len(names) - len(readable) == left
    entries = found.index.entries
    rng = np.random.default_rng(5)
    middle = tuple(sorted(rng.integers(0, entries, 2).tolist()))
    for start, stop in ((0, entries), middle, (3, 3)):
        assert_columns_equal(found, readable, start, stop, assert_equal)


def test_no_real_file_is_forgotten(real_data):
    trees = {path.name for path in real_data.glob("*.root") if "rntuple" not in path.name}
    tested = test_every_branch_of_real_files.pytestmark[0].args[1]
    assert trees == set(tested)


@pytest.mark.parametrize("name", ["stored_offsets", "generated_offsets"])
@pytest.mark.parametrize(("start", "stop"), [(0, 60), (7, 31), (25, 50), (59, 60), (20, 20)])
def test_every_type_that_root_writes(name, start, stop, index_file, assert_equal):
    found = index_file(BY_ROOT / f"{name}.root")
    names = set(found.tree.keys())
    readable = {one for one in names if can_read(found.index, found.template, one)}
    assert names - readable == OBJECTS
    assert len(readable) == 27
    sure = readable - MISREAD if name == "generated_offsets" else readable
    assert_columns_equal(found, sorted(sure), start, stop, assert_equal)


@pytest.mark.parametrize("name", ["stored_offsets", "generated_offsets"])
@pytest.mark.parametrize(("start", "stop"), [(0, 60), (7, 31), (25, 50), (59, 60)])
def test_what_uproot_misreads_is_what_was_written(name, start, stop, index_file):
    found = index_file(BY_ROOT / f"{name}.root")
    entries = range(start, stop)
    assert found.read("name", start, stop).to_list() == [f"n{i}" for i in entries]
    assert found.read("s", start, stop).to_list() == ["s" * (i * 10 % 300) for i in entries]
    assert found.read("S_x", start, stop).to_list() == [
        [float(i + k) for k in range(i * 11 % 100)] for i in entries
    ]


def test_baskets_need_not_lie_as_those_that_count_them(index_file):
    found = index_file(BY_ROOT / "generated_offsets.root")
    table, find = found.index.table, found.template.find
    lists, counts = find("S_x"), find("nS")
    assert lists.counter is not None
    assert table.get(lists.position).firsts.tolist() != table.get(counts.position).firsts.tolist()


def test_a_branch_that_uproot_stumbles_over_is_left_to_it(index_file, monkeypatch):
    found = index_file(BY_ROOT / "stored_offsets.root")

    def stumble(branch):
        raise UnboundLocalError("low")

    # As uproot 5.7 does over a Float16_t with a count and no range.
    monkeypatch.setattr(type(found.tree["f16"]), "interpretation", property(stumble))
    again = type(found.template)(found.opened)
    assert again.find("f16") is None
    assert make_index(found.opened).table.get(found.template.find("f16").position) is not None
