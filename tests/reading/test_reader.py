from __future__ import annotations

import dataclasses
import gc
import os
import shutil
import weakref
from collections import Counter

import awkward as ak
import psutil
import pytest
import uproot
from coffea.nanoevents import NanoAODSchema

from beampipe.datasets.samples import make_data
from beampipe.errors import (
    ChunkUnreadableError,
    FileChangedError,
    FileMissingError,
    FileTruncatedError,
)
from beampipe.reading.index import reading
from beampipe.reading.trees import OpenTree


@pytest.fixture
def opened(monkeypatch):
    """Count how often each basket is opened."""
    counted = Counter()
    usual = reading.open_basket

    def open_basket(raw, place, entries):
        counted[place] += 1
        return usual(raw, place, entries)

    monkeypatch.setattr(reading, "open_basket", open_basket)
    return counted


@pytest.mark.parametrize("schema", ["NanoAODSchema", None])
def test_metadata_that_a_processor_changes_are_no_other_chunks(
    reader_of, write_events, entry_of, chunks_of, schema
):
    reader, told = reader_of(schema), {"seen": []}
    for chunk in chunks_of(entry_of(write_events()), 3):
        with reader.read(chunk, told) as data:
            data.call(lambda events: events.metadata["seen"].append(events.event[0]))
            assert len(data.events.metadata["seen"]) <= 1
    assert told == {"seen": []}


@pytest.mark.parametrize("schema", ["NanoAODSchema", "BaseSchema", None])
def test_the_chunks_of_a_file_tile_it(reader_of, write_events, entry_of, chunks_of, schema):
    reader = reader_of(schema)
    entry = entry_of(write_events(clusters=(100, 60, 140, 1, 99)))
    seen, ranges = [], []
    for chunk in chunks_of(entry, 4):
        with reader.read(chunk, {}) as data:
            assert data.events.metadata["entrystart"] == data.start
            seen += data.events.event.tolist()
            ranges.append((data.start, data.stop))
    assert seen == list(range(400))
    assert ranges == [(0, 100), (100, 160), (160, 300), (300, 400)]


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_no_basket_is_read_twice(reader_of, write_events, entry_of, chunks_of, opened, n):
    entry = entry_of(write_events(clusters=(40, 60, 30, 70, 50, 50)))
    reader = reader_of("NanoAODSchema")
    for chunk in chunks_of(entry, n):
        with reader.read(chunk, {}) as data:
            ak.sum(data.events.Muon.pt[data.events.MET.pt > 3])
            ak.sum(data.events.Muon.eta)
    assert len(opened) == 6 * 4
    assert set(opened.values()) == {1}


def test_no_basket_is_read_twice_where_branches_have_their_own(
    reader_of, real_data, entry_of, chunks_of, opened
):
    entry = entry_of(real_data / "uproot-HZZ.root")
    reader = reader_of(None)
    n_used = 0
    for chunk in chunks_of(entry, 3):
        with reader.read(chunk, {}) as data:
            n_used += len(data.events)
            for field in data.events.fields:
                ak.materialize(data.events[field])
    assert n_used == entry.entries
    with uproot.open({entry.urls[0]: entry.treename}) as tree:
        assert len(opened) == sum(branch.num_baskets for branch in tree.values())
    assert set(opened.values()) == {1}


def test_steps_are_read_as_they_stand(reader_of, write_events, entry_of, chunks_of):
    reader = reader_of(None)
    for chunk in chunks_of(entry_of(write_events()), steps=((7, 33), (33, 33), (90, 170))):
        with reader.read(chunk, {}) as data:
            assert (data.start, data.stop) == chunk.plan.steps[chunk.k]
            assert data.events.event.tolist() == list(range(data.start, data.stop))


def test_a_trial_stops_where_the_plan_does(reader_of, write_events, entry_of, chunks_of):
    chunks = chunks_of(entry_of(write_events()), 3)
    plan = dataclasses.replace(chunks[0].plan, used_chunks=2, stop=130)
    with reader_of(None).read(dataclasses.replace(chunks[1], plan=plan), {}) as data:
        assert (data.start, data.stop) == (100, 130)


def test_a_file_goes_missing_or_bad_after_planning(
    reader_of, write_events, entry_of, chunks_of, tmp_path
):
    gone, replaced, cut = (write_events(f"{name} µ.root") for name in ("gone", "new", "cut"))
    chunks = {path: chunks_of(entry_of(path))[0] for path in (gone, replaced, cut)}
    gone.unlink()
    write_events(replaced.name, clusters=(300,))
    os.truncate(cut, cut.stat().st_size // 2)
    reader = reader_of("NanoAODSchema")
    with pytest.raises(FileMissingError):
        reader.read(chunks[gone], {})
    with pytest.raises(FileChangedError):
        reader.read(chunks[replaced], {})
    with pytest.raises(FileTruncatedError):
        reader.read(chunks[cut], {})


def test_a_file_cut_short_while_it_is_open(reader_of, write_events, entry_of, chunks_of):
    path = write_events()
    first, second = chunks_of(entry_of(path), steps=((0, 100), (100, 300)))
    reader = reader_of(None)
    with reader.read(first, {}) as data:
        assert ak.sum(data.events.event) == 4950
        os.truncate(path, 900)
        with pytest.raises((ChunkUnreadableError, FileChangedError)):
            ak.sum(data.events.MET_pt)
    with pytest.raises(FileTruncatedError):
        reader.read(second, {})


def test_after_a_bad_read_another_replica_can_be_asked_for(
    reader_of, write_events, entry_of, chunks_of, break_basket, tmp_path
):
    bad, good = write_events("bad.root"), tmp_path / "good.root"
    shutil.copyfile(bad, good)
    chunk = chunks_of(entry_of(bad, good))[0]
    break_basket(bad, "MET_pt", 1)
    reader = reader_of(None)
    with reader.read(chunk, {}) as data:
        with pytest.raises(ChunkUnreadableError) as caught:
            ak.sum(data.events.MET_pt)
        assert caught.value.url == str(bad)
    with reader.read(chunk, {}, avoid={caught.value.url}) as data:
        assert data.url == data.events.metadata["filename"] == str(good)
        assert ak.sum(data.events.MET_pt) > 0


@pytest.mark.parametrize("schema", ["NanoAODSchema", None])
def test_memory_is_free_when_a_chunk_is_closed(
    reader_of, write_events, entry_of, chunks_of, schema
):
    reader = reader_of(schema)
    gc.collect()
    gc.disable()  # nothing may wait for the collector
    try:
        with reader.read(chunks_of(entry_of(write_events()))[0], {}) as data:
            events = data.events
            ak.sum(events.Muon.pt if schema else events.Muon_pt)
            layout, array = weakref.ref(events.layout), weakref.ref(events)
            del events
        assert layout() is None
        assert array() is None
    finally:
        gc.enable()


def test_two_hundred_chunks_leave_nothing_behind(reader_of, tmp_path, entry_of, chunks_of):
    paths = make_data(tmp_path / "made", files=5, events=4000)
    chunks = [chunk for path in paths for chunk in chunks_of(entry_of(path), 4)]
    reader = reader_of("NanoAODSchema", max_open=2)
    process = psutil.Process()

    def go_through(times: int) -> int:
        for chunk in chunks * times:
            with reader.read(chunk, {}) as data:
                ak.sum(data.events.Muon.nearest(data.events.Jet).pt)
        gc.collect()
        return len(gc.get_objects())

    go_through(2)
    rss, objects = process.memory_info().rss, go_through(1)
    assert go_through(7) - objects < 5000
    assert process.memory_info().rss - rss < 50_000_000
    assert sum(file.path.endswith(".root") for file in process.open_files()) <= 2
    reader.close()
    assert not any(file.path.endswith(".root") for file in process.open_files())


def test_options_reach_uproot(reader_of, write_events, entry_of, chunks_of):
    options = {"handler": uproot.source.file.MultithreadedFileSource, "num_workers": 3}
    reader = reader_of(NanoAODSchema, uproot_options=options | {"use_threads": True})
    with reader.read(chunks_of(entry_of(write_events()))[0], {}) as data:
        source = data.events.attrs["@events_factory"].file_handle.source
        assert source.num_workers == 3
        assert ak.sum(data.events.event) > 0


def test_synthetic_data_of_both_kinds_is_read_alike(reader_of, tmp_path, entry_of, chunks_of):
    sums = []
    for rntuple in (False, True):
        path = make_data(tmp_path / f"{rntuple}", files=1, events=2000, rntuple=rntuple)[0]
        total, n_muons = 0.0, 0
        reader = reader_of("NanoAODSchema")
        for chunk in chunks_of(entry_of(path), 3):
            with reader.read(chunk, {}) as data:
                total += float(ak.sum(data.events.Muon.pt, axis=None))
                n_muons += int(ak.sum(ak.num(data.events.Muon)))
        sums.append((round(total, 1), n_muons))
    assert sums[0] == sums[1]
    assert sums[0][1] > 0


def test_a_chunk_in_pieces_is_confirmed_once(
    reader_of, write_events, entry_of, chunks_of, monkeypatch
):
    confirmed = []
    monkeypatch.setattr(OpenTree, "confirm", lambda *_: confirmed.append(data.stop))
    (chunk,) = chunks_of(entry_of(write_events()))
    reader = reader_of(None)
    for piece in range(3):
        with reader.read(chunk, {}, piece=(piece, 3)) as data:
            data.check_unchanged()
    assert confirmed == [300]
    data.check_unchanged()  # closed: there is nothing to ask of
    assert confirmed == [300]
