from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter

import awkward as ak
import fsspec
import pytest
from uproot.source.fsspec import FSSpecSource

from beampipe.errors import ChunkUnreadableError, FileChangedError
from beampipe.reading import ahead
from beampipe.reading.ahead import ReadAhead
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


# -- while another chunk is processed -------------------------------------------------------------

GENEROUS_S = 100


@pytest.fixture
def always(monkeypatch):
    """Any waiting for storage is long enough."""
    monkeypatch.setattr(ahead, "_LEAST_SHARE", 0)
    monkeypatch.setattr(ahead, "_LEAST_WAIT_S", 0)


@pytest.fixture
def slow(monkeypatch):
    """A server that needs a while for every request."""
    usual = FSSpecSource.chunks

    def chunks(self, ranges, notifications):
        time.sleep(0.05)
        return usual(self, ranges, notifications)

    monkeypatch.setattr(FSSpecSource, "chunks", chunks)


def run_through(reader, chunks, use):
    """Read chunks as a bundle does; gives what each told."""
    told = []
    for number, chunk in enumerate(chunks):
        with reader.read(chunk, {}) as data:
            if number + 1 < len(chunks):
                reader.look_ahead(chunks[number + 1])
            use(data)
            data.check_unchanged()
            told.append(data.metrics())
    return told


def check_entries(data):
    entries = range(data.start, data.stop)
    assert data.events.event.tolist() == list(entries)
    assert ak.num(muons(data.events, "pt")).tolist() == [entry % 4 for entry in entries]


def test_a_slow_server_is_asked_while_a_chunk_is_processed(
    reader, slow, put_on_server, write_events, chunks_of
):
    chunks = chunks_of(put_on_server(write_events("a.root")), steps=STEPS[:3])
    told = run_through(reader, chunks, check_entries)
    # Before the first one is done nobody knows that it waits, nor which columns are wanted.
    assert [one["chunks_ahead"] for one in told] == [0, 0, 1]
    assert told[2]["read_s"] < told[2]["fetch_s"], "the fetching was no part of the chunk's time"


def test_it_really_goes_on_at_the_same_time(
    reader, always, monkeypatch, put_on_server, write_events, chunks_of
):
    usual, asked = FSSpecSource.chunks, threading.Event()

    def chunks(self, ranges, notifications):
        if threading.current_thread().name == "beampipe-ahead":
            asked.set()
        return usual(self, ranges, notifications)

    monkeypatch.setattr(FSSpecSource, "chunks", chunks)

    def use(data):
        check_entries(data)
        if data.start == STEPS[1][0]:
            assert asked.wait(GENEROUS_S), "nobody reads the next chunk while this one is busy"

    run_through(reader, chunks_of(put_on_server(write_events("a.root")), steps=STEPS[:3]), use)


def test_what_need_not_be_waited_for_is_not_read_ahead(
    reader, monkeypatch, write_events, entry_of, chunks_of
):
    monkeypatch.setattr(ahead, "_LEAST_WAIT_S", GENEROUS_S)
    told = run_through(reader, chunks_of(entry_of(write_events()), steps=STEPS[:3]), check_entries)
    assert [one["chunks_ahead"] for one in told] == [0, 0, 0]


def test_another_chunk_than_the_one_read_ahead_may_come(
    reader, always, write_events, entry_of, chunks_of
):
    chunks = chunks_of(entry_of(write_events()), steps=STEPS[:3])
    run_through(reader, chunks[:2], check_entries)
    with reader.read(chunks[1], {}) as data:
        reader.look_ahead(chunks[0])
        check_entries(data)
    with reader.read(chunks[2], {}) as data:
        check_entries(data)
        assert data.metrics()["chunks_ahead"] == 0
        reader.look_ahead(chunks[1])
    reader.drop_ahead()
    with reader.read(chunks[1], {}) as data:
        check_entries(data)
        assert data.metrics()["chunks_ahead"] == 0


def test_columns_that_nobody_expected_can_be_read_meanwhile(
    reader, always, write_events, entry_of, chunks_of
):
    """One file, two threads: each gets what it asked for."""
    steps = [(at, at + 30) for at in range(0, 300, 30)]
    chunks = chunks_of(entry_of(write_events()), steps=steps)

    def use(data):
        check_entries(data)
        if data.start % 60:
            assert ak.sum(muons(data.events, "eta")) == 0
            assert data.events.genWeight.tolist() == [
                -1 if entry % 5 == 0 else 1 for entry in range(data.start, data.stop)
            ]

    for _ in range(5):
        told = run_through(reader, chunks, use)
    assert sum(one["chunks_ahead"] for one in told) >= len(chunks) - 1


def test_what_fails_ahead_is_told_to_who_wants_it(
    reader, always, write_events, entry_of, chunks_of, break_basket
):
    path = write_events("a.root")
    entry = entry_of(path)
    break_basket(path, "event", 2)
    chunks = chunks_of(entry, steps=STEPS[:3])
    run_through(reader, chunks[:2], check_entries)
    with reader.read(chunks[1], {}) as data:
        reader.look_ahead(chunks[2])
        check_entries(data)
    with reader.read(chunks[2], {}) as data:
        assert data.metrics()["chunks_ahead"] == 0
        with pytest.raises(ChunkUnreadableError, match="'event'"):
            ak.sum(data.events.event)


def test_a_file_that_changed_is_not_taken_from_under_the_chunk(
    reader, always, write_events, entry_of, chunks_of
):
    path = write_events("a.root")
    chunks = chunks_of(entry_of(path), steps=STEPS[:3])
    run_through(reader, chunks[:2], check_entries)
    with reader.read(chunks[1], {}) as data:
        path.unlink()
        write_events("a.root", scale=2.0)
        reader.look_ahead(chunks[2])
        check_entries(data)  # of the file that is still open
        assert ak.sum(data.events.genWeight) == 60 - 2 * 12


def test_what_is_read_ahead_confirms_what_was_read_before(
    reader, always, monkeypatch, put_on_server, write_events, chunks_of
):
    steps = [(at, at + 30) for at in range(0, 300, 30)]
    chunks = chunks_of(put_on_server(write_events("a.root", clusters=(30,) * 10)), steps=steps)
    usual, asked = FSSpecSource.chunk, []

    def chunk(self, start, stop):
        asked.append((start, stop))
        return usual(self, start, stop)

    def use(data):
        check_entries(data)
        if reader._ahead._pending is not None:
            reader._ahead._pending.thread.join()

    run_through(reader, chunks[:2], use)
    monkeypatch.setattr(FSSpecSource, "chunk", chunk)
    told = run_through(reader, chunks[1:], use)
    assert sum(one["chunks_ahead"] for one in told) == len(told) - 1
    assert asked == [asked[0]], "the last chunk alone asks for the header by itself"


def test_a_remote_file_that_is_replaced_is_noticed_all_the_same(
    reader, always, put_on_server, write_events, chunks_of
):
    steps = [(at, at + 30) for at in range(0, 300, 30)]
    chunks = chunks_of(put_on_server(write_events("a.root", clusters=(30,) * 10)), steps=steps)
    run_through(reader, chunks[:2], check_entries)
    with reader.read(chunks[2], {}) as data:
        reader.look_ahead(chunks[3])
        check_entries(data)
        reader._ahead._pending.thread.join()
        put_on_server(write_events("a.root", clusters=(30,) * 10, scale=2.0))
        data.check_unchanged()  # the header was the old one after these columns were read
    with reader.read(chunks[3], {}) as data:
        assert data.metrics()["chunks_ahead"] == 1
        with pytest.raises(FileChangedError):
            data.check_unchanged()


def test_chunks_too_large_for_two_are_not_read_ahead():
    looking = ReadAhead()
    looking.learn(waited_s=1, took_s=2, n_bytes=1000)
    assert looking.is_worth_it
    looking.learn(waited_s=1, took_s=2, n_bytes=ahead._MOST_BYTES)
    assert not looking.is_worth_it
    looking.learn(waited_s=0.01, took_s=2, n_bytes=1000)
    assert not looking.is_worth_it
