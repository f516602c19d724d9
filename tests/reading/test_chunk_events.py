from __future__ import annotations

import awkward as ak


def test_what_reading_took_is_told(reader_of, write_events, entry_of, chunks_of):
    path = write_events()
    reader = reader_of("NanoAODSchema")
    first, second = chunks_of(entry_of(path), steps=((0, 100), (100, 300)))
    with reader.read(first, {}) as data:
        assert data.url == str(path)
        assert data.open_s > 0
        assert data.metrics()["read_s"] == 0
        opening = data.metrics()["bytes_read"]
        assert 0 < opening < path.stat().st_size
        ak.sum(data.events.Muon.pt)
        assert data.metrics()["bytes_read"] > opening
        assert 0 < data.metrics()["read_s"] < 5
        assert data.columns() == ("Muon_pt", "nMuon")
        assert {"Muon.pt", "MET.pt", "event"} <= set(data.known_columns())
    # still there after the end, for the metrics
    assert data.metrics()["bytes_read"] > opening
    assert data.columns() == ("Muon_pt", "nMuon")
    assert data.known_columns() == ()
    with reader.read(second, {}) as data:  # open already; what was used is fetched
        assert 0 < data.metrics()["bytes_read"] < path.stat().st_size
        assert data.columns() == ()


def test_time_spent_on_fetching_is_told_once(reader_of, write_events, entry_of, chunks_of):
    reader = reader_of("NanoAODSchema")
    chunks = chunks_of(entry_of(write_events()), steps=((0, 100), (100, 300)))
    for chunk in chunks:
        with reader.read(chunk, {}) as data:
            ak.sum(data.events.Muon.pt)
            told = data.metrics()
    assert told["fetch_s"] <= told["read_s"]
    assert told["chunks_ahead"] == 0
