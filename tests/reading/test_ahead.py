from __future__ import annotations

import dataclasses
from collections import Counter

import awkward as ak
import fsspec
import pytest
from uproot.source.fsspec import FSSpecSource

from beampipe.errors import ChunkUnreadableError
from beampipe.reading.reader import Reader

STEPS = ((0, 100), (100, 160), (160, 300), (300, 300))


@pytest.fixture(params=["NanoAODSchema", None])
def reader(request):
    found = Reader(request.param)
    yield found
    found.close()


@pytest.fixture
def requests(monkeypatch):
    """Count the requests for columns, local and remote."""
    counted = Counter()
    usual = FSSpecSource.chunks

    def chunks(self, ranges, notifications):
        counted["remote"] += 1
        return usual(self, ranges, notifications)

    monkeypatch.setattr(FSSpecSource, "chunks", chunks)
    return counted


@pytest.fixture
def put_on_server(entry_of):
    """Make a local file one of fsspec's in-memory server."""

    def put(path):
        fsspec.filesystem("memory").pipe(f"/{path.name}", path.read_bytes())
        return dataclasses.replace(entry_of(path), urls=(f"memory://{path.name}",))

    yield put
    fsspec.filesystem("memory").store.clear()


def muons(events, name):
    return events["Muon", name] if "Muon" in events.fields else events[f"Muon_{name}"]


def test_the_columns_of_the_first_chunk_are_fetched_together_for_the_next(
    reader, put_on_server, write_events, chunks_of, requests
):
    asked = []
    for chunk in chunks_of(put_on_server(write_events("a.root")), steps=STEPS):
        requests.clear()
        with reader.read(chunk, {}) as data:
            pt, eta = muons(data.events, "pt"), muons(data.events, "eta")
            entries = range(data.start, data.stop)
            assert ak.num(pt).tolist() == [entry % 4 for entry in entries]
            assert data.events.event.tolist() == list(entries)
            assert ak.sum(eta) == 0
        asked.append(requests["remote"])
    assert asked[0] >= 3
    assert asked[1:] == [1, 1, 0]


def test_other_columns_are_still_there(reader, put_on_server, write_events, chunks_of):
    chunks = chunks_of(put_on_server(write_events("a.root")), steps=STEPS)
    with reader.read(chunks[0], {}) as data:
        ak.sum(data.events.event)
    with reader.read(chunks[1], {}) as data:
        assert data.columns() == ()
        assert ak.sum(data.events.genWeight) == 60 - 2 * 12
        assert data.columns() == ("genWeight",)
    with reader.read(chunks[2], {}) as data:
        assert data.columns() == ()


def test_a_column_that_is_broken_but_not_used_does_no_harm(
    reader, put_on_server, write_events, chunks_of, break_basket
):
    path = write_events("a.root")
    entry = put_on_server(path)
    break_basket(path, "genWeight", 1)
    fsspec.filesystem("memory").pipe(f"/{path.name}", path.read_bytes())
    chunks = chunks_of(entry, steps=STEPS)
    with reader.read(chunks[0], {}) as data:
        ak.sum(data.events.genWeight)
        ak.sum(data.events.event)
    with reader.read(chunks[1], {}) as data:
        assert ak.sum(data.events.event) == sum(range(100, 160))
        with pytest.raises(ChunkUnreadableError, match="'genWeight'"):
            ak.sum(data.events.genWeight)
    with reader.read(chunks[2], {}) as data:
        assert ak.sum(data.events.event) == sum(range(160, 300))


def test_known_columns_of_a_local_file_are_fetched_too(reader, write_events, entry_of, chunks_of):
    first, second, *_ = chunks_of(entry_of(write_events()), steps=STEPS)
    with reader.read(first, {}) as data:
        ak.sum(data.events.event)
    with reader.read(second, {}) as data:
        fetched = data.metrics()["bytes_read"]
        assert fetched > 0
        ak.sum(data.events.event)
        assert data.metrics()["bytes_read"] == fetched
