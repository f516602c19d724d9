from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from beampipe.errors import ChunkUnreadableError
from beampipe.reading.loading import ColumnLoader
from beampipe.reading.reader import Reader
from beampipe.reading.trees import is_rntuple, know_inner_fields


@pytest.fixture
def reader():
    found = Reader(None)
    yield found
    found.close()


FILES = (
    "nano_dy.root",
    "nano_dimuon.root",
    "nano_tt_v12.root",
    "nano_dy_rntuple.root",
    "nanoAOD_2015_CMS_Open_Data_ttbar.root",
    "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root",
    "uproot-HZZ.root",
)


@pytest.mark.parametrize("name", FILES)
def test_every_branch_of_real_files_is_what_uproot_gives(
    reader, real_data, entry_of, chunks_of, name
):
    entry = entry_of(real_data / name)
    with uproot.open({str(real_data / name): entry.treename}) as tree:
        if is_rntuple(tree):
            know_inner_fields(tree)  # as uproot would find them (test_trees.py), in minutes
        whole = tree.arrays()
    third = entry.entries // 3
    steps = ((0, third), (third, entry.entries), (third, third))
    for chunk in chunks_of(entry, steps=steps):
        with reader.read(chunk, {}) as data:
            assert data.events.fields == whole.fields
            assert len(data.events) == data.stop - data.start
            for field in whole.fields:
                ours, theirs = data.events[field], whole[field][data.start : data.stop]
                assert ak.array_equal(ours, theirs, equal_nan=True), field
                assert ours.type == theirs.type, field


def test_only_what_is_used_is_read(reader, real_data, entry_of, chunks_of):
    chunk = chunks_of(entry_of(real_data / "nano_tt_v12.root"))[0]
    with reader.read(chunk, {}) as data:
        assert data.columns() == ()
        assert data.events.fields
        assert data.columns() == ()
        before = data.metrics()["bytes_read"]
        ak.sum(data.events["MET_pt"])
        ak.sum(data.events.MET_pt[data.events.nMuon > 0])
        assert data.columns() == ("MET_pt", "nMuon")
        assert 0 < data.metrics()["bytes_read"] - before < 10_000


def test_metadata_is_there_and_survives_a_selection(reader, write_events, entry_of, chunks_of):
    with reader.read(chunks_of(entry_of(write_events()))[0], {"xsec": 6077.22}) as data:
        events = data.events
        assert events.metadata["dataset"] == "DY"
        assert events.metadata["xsec"] == 6077.22
        selected = events[events.MET_pt > 3]
        assert selected.metadata == events.metadata
        assert isinstance(events, ak.Array)
        assert not hasattr(events[0], "metadata")


@pytest.mark.parametrize("rntuple", [False, True])
def test_branches_of_all_kinds(rntuple, reader, tmp_path, entry_of, chunks_of):
    path = tmp_path / "kinds.root"
    columns = {
        "flat": np.arange(7, dtype=np.int16),
        "matrix": np.arange(42, dtype=np.float64).reshape(7, 2, 3),
        "flag": np.array([True, False] * 3 + [True]),
        "jagged": ak.Array([[1.5], [], [2.5, 3.5]] + [[]] * 4),
        "word": ak.Array(["", "µµ", "e"] + ["x"] * 4),
        "metadata": np.arange(7),
    }
    with uproot.recreate(path) as file:
        if rntuple:
            file.mkrntuple("t", columns)
        else:
            file.mktree("t", columns)
    with reader.read(chunks_of(entry_of(path), steps=((1, 6),))[0], {}) as data:
        with uproot.open(path)["t"] as tree:
            whole = tree.arrays(entry_start=1, entry_stop=6)
        assert data.events.fields == whole.fields
        for field in whole.fields:
            assert ak.array_equal(data.events[field], whole[field], dtype_exact=True), field


@pytest.mark.parametrize("raises", [False, True])
def test_unreadable_branches_are_left_out(
    raises, reader, tmp_path, entry_of, chunks_of, monkeypatch
):
    from uproot.interpretation.identify import UnknownInterpretation

    path = tmp_path / "t.root"
    with uproot.recreate(path) as file:
        file.mktree("t", {"good": np.int32, "bad": np.int32})
        file["t"].extend({"good": np.arange(3), "bad": np.arange(3)})
    entry = entry_of(path)
    kind = type(uproot.open(path)["t"]["bad"])
    usual = kind.interpretation

    def interpretation(branch):
        if branch.name != "bad":
            return usual.__get__(branch)
        if raises:
            raise ValueError("invalid C++ type name syntax at char 44")
        return UnknownInterpretation("none of the rules matched", str(path), "bad")

    monkeypatch.setattr(kind, "interpretation", property(interpretation))
    with reader.read(chunks_of(entry)[0], {}) as data:
        assert data.events.fields == ["good"]


def test_a_broken_basket_is_told_apart_from_the_processors_errors(
    reader, write_events, entry_of, chunks_of, break_basket
):
    path = write_events()
    chunks = chunks_of(entry_of(path), steps=((0, 100), (100, 300)))
    break_basket(path, "MET_pt", 1)
    with reader.read(chunks[0], {}) as data:
        assert len(ak.materialize(data.events.MET_pt)) == 100
    with reader.read(chunks[1], {}) as data:
        assert ak.sum(data.events.event) > 0
        with pytest.raises(ChunkUnreadableError, match="'MET_pt'"):
            ak.sum(data.events.MET_pt)


# -- narrow ---------------------------------------------------------------------------------------


def call(reader, chunk, process):
    with reader.read(chunk, {"of": "mine"}) as data:
        return data.call(process), data.metrics()


@pytest.fixture(params=FILES)
def narrow_chunk(request, reader, real_data, entry_of, chunks_of):
    """A chunk whose reader has learned of one column, and leaves out all others."""
    chunk = chunks_of(entry_of(real_data / request.param))[0]
    for _ in range(2):
        _, metrics = call(reader, chunk, lambda events: ak.to_list(events[events.fields[0]]))
    assert metrics["chunks_full_form"] == 0
    return chunk


def whole_arrays(chunk):
    file = chunk.plan.file
    with uproot.open({file.urls[0]: file.treename}) as tree:
        return tree.arrays()


def test_every_branch_can_be_asked_for_of_narrow_events(reader, narrow_chunk):
    whole = whole_arrays(narrow_chunk)
    for field in whole.fields[:: max(1, len(whole.fields) // 12)]:
        found, metrics = call(reader, narrow_chunk, lambda e, field=field: ak.materialize(e[field]))
        assert ak.array_equal(found, whole[field], equal_nan=True), field
        assert found.type == whole[field].type
        assert metrics["chunks_again"] <= 1


WAYS = {
    "names": lambda events: events.fields,
    "length": len,
    "is there": lambda events: ("nMuon" in events.fields, "nobody" in events.fields),
    "has": lambda events: (hasattr(events, "nMuon"), hasattr(events, "nobody")),
    "type": lambda events: str(events.type),
    "cut": lambda events: ak.to_list(events[events[events.fields[0]] == 0][events.fields[-1]]),
    "slice": lambda events: ak.to_list(events[3:5][events.fields[1]]),
    "one": lambda events: ak.to_list(events[0][events.fields[1]]),
    "several": lambda events: ak.to_list(events[events.fields[:3]][:4]),
    "all of it": lambda events: len(str(ak.to_list(events[:2]))),
    "metadata": lambda events: events.metadata["of"],
}


@pytest.mark.parametrize("way", WAYS)
def test_narrow_events_answer_as_whole_ones(reader, real_data, entry_of, chunks_of, way):
    chunk = chunks_of(entry_of(real_data / "nano_tt_v12.root"))[0]
    fresh = Reader(None)
    expected, _ = call(fresh, chunk, WAYS[way])
    fresh.close()
    for _ in range(2):
        call(reader, chunk, lambda events: ak.to_list(events.MET_pt))
    found, _ = call(reader, chunk, WAYS[way])
    assert found == expected


def test_the_names_of_a_dataset_are_learned_by_themselves(
    reader, write_events, entry_of, chunks_of
):
    first, second, third = chunks_of(entry_of(write_events()), 3)
    assert call(reader, first, lambda e: int(ak.sum(e.event)))[1]["chunks_full_form"] == 1
    assert call(reader, second, lambda e: int(ak.sum(e.event)))[1]["chunks_full_form"] == 0
    found, metrics = call(reader, third, lambda e: (e.metadata["of"], float(ak.sum(e.MET_pt))))
    assert found[0] == "mine"
    assert (metrics["chunks_again"], metrics["chunks_full_form"]) == (1, 0)


def test_of_branches_with_one_name_the_tree_gives_one(reader, twins, entry_of, chunks_of):
    with uproot.open(twins)["t"] as tree:
        given = tree["one_a"].array()
    for _ in range(2):
        found, _ = call(reader, chunks_of(entry_of(twins))[0], lambda e: ak.to_list(e.one_a))
        assert found == given.to_list()
    with reader.read(chunks_of(entry_of(twins))[0], {}) as data:
        assert data.events.fields == ["one_a", "other"]


def test_arrays_in_a_structure_are_what_uproot_gives(reader, entry_of, chunks_of):
    entry = entry_of(Path(__file__).parent / "index" / "made_by_root" / "structures.root")
    with uproot.open({entry.urls[0]: entry.treename}) as tree:
        whole = tree.arrays()
    chunk = chunks_of(entry, steps=((20, 60),))[0]
    for _ in range(3):
        with reader.read(chunk, {}) as data:
            assert data.events.fields == whole.fields == ["plain", "hit"]
            hit = data.call(lambda events: ak.materialize(events.hit))
        assert hit.type == whole.hit[20:60].type
        assert ak.array_equal(hit, whole.hit[20:60])


def test_a_branch_that_ends_before_its_tree_is_told_of(
    reader, write_events, entry_of, chunks_of, monkeypatch
):
    chunk = chunks_of(entry_of(write_events()))[0]
    monkeypatch.setattr(ColumnLoader, "_read", lambda *_: ak.Array(np.arange(293)))
    with (
        reader.read(chunk, {}) as data,
        pytest.raises(ChunkUnreadableError, match=r"(?s)'MET_pt'.*293 of 300 entries"),
    ):
        ak.sum(data.events.MET_pt)
