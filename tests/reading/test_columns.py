from __future__ import annotations

import awkward as ak
import pytest
import uproot

from beampipe.reading.columns import explain_missing_column, known_columns
from beampipe.reading.reader import Reader


@pytest.fixture
def read(write_events, entry_of, chunks_of):
    readers = []

    def events(schema):
        readers.append(Reader(schema))
        return readers[-1].read(chunks_of(entry_of(write_events()))[0], {}).events

    yield events
    for reader in readers:
        reader.close()


NANO = {
    "Muonn": (lambda e: e.Muonn, "Muonn", "Muon"),
    "item": (lambda e: e["Muonn"], "Muonn", "Muon"),
    "another case": (lambda e: e.met.pt, "met", "MET"),
    "field": (lambda e: e.Muon.ptt, "Muon.ptt", "Muon.pt"),
    "field by item": (lambda e: e["Muon"]["ptt"], "Muon.ptt", "Muon.pt"),
    "path": (lambda e: e["Muon", "ptt"], "Muon.ptt", "Muon.pt"),
    "list": (lambda e: e[["Muon", "METT"]], "METT", "MET"),
    "masked": (lambda e: e.Muon[e.Muon.pt > 2].etaa, "Muon.etaa", "Muon.eta"),
    "firsts": (lambda e: ak.firsts(e.Muon).ptt, "Muon.ptt", "Muon.pt"),
    "one event": (lambda e: e[0].Muonn, "Muonn", "Muon"),
    "method": (lambda e: e.Muon.neerest(e.Muon), "Muon.neerest", "Muon.nearest"),
    "sum": (lambda e: (e.Muon + e.Muon).masss, "masss", "mass"),
}


@pytest.mark.parametrize("case", NANO)
def test_a_missing_column_of_nanoevents_is_named_with_the_closest_ones(read, case):
    events = read("NanoAODSchema")
    ask, column, closest = NANO[case]
    with pytest.raises((AttributeError, IndexError)) as caught:
        ask(events)
    error = explain_missing_column(caught.value, known_columns(events.layout.form))
    assert error is not None
    assert error.code == "reading-column-not-found"
    assert error.column == column
    assert error.close[0] == closest
    assert repr(closest) in error.fix


PLAIN = {
    "attribute": (lambda e: e.Muon_ptt, "Muon_ptt", "Muon_pt"),
    "item": (lambda e: e["Muon_ptt"], "Muon_ptt", "Muon_pt"),
    "absent parent": (lambda e: e["Muo_pt", "x"], "Muo_pt", "Muon_pt"),
    "another case": (lambda e: e.muon_PT, "muon_PT", "Muon_pt"),
}


@pytest.mark.parametrize("case", PLAIN)
def test_a_missing_branch_is_named_with_the_closest_ones(read, case):
    events = read(None)
    ask, column, closest = PLAIN[case]
    with pytest.raises((AttributeError, IndexError)) as caught:
        ask(events)
    error = explain_missing_column(caught.value, known_columns(events.layout.form))
    assert error is not None
    assert (error.column, error.close[0]) == (column, closest)


def test_a_branch_that_uproot_does_not_find_is_recognised(write_events):
    with uproot.open({str(write_events()): "Events"}) as tree:
        with pytest.raises(uproot.KeyInFileError) as caught:
            tree["MET_ptt"]
        error = explain_missing_column(caught.value, tree.keys())
    assert error is not None
    assert (error.column, error.close[0]) == ("MET_ptt", "MET_pt")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: {}["pt"],
        lambda: [].pt,
        lambda: [1].index(7),
        lambda: 1 // 0,
        lambda: ak.Array([1])[5],
    ],
)
def test_other_errors_are_left_alone(ask):
    with pytest.raises(Exception) as caught:  # noqa: PT011  each its own
        ask()
    assert explain_missing_column(caught.value, ["pt"]) is None


def test_nothing_close_says_where_to_look(read):
    events = read(None)
    with pytest.raises(AttributeError) as caught:
        _ = events.zzzzzz
    error = explain_missing_column(caught.value, known_columns(events.layout.form))
    assert error is not None
    assert error.close == ()
    assert "beampipe try" in error.fix


def test_known_columns_are_those_of_events_and_collections(read):
    names = known_columns(read("NanoAODSchema").layout.form)
    assert {"Muon", "Muon.pt", "MET", "MET.pt", "genWeight"} <= set(names)
    assert "Muon_pt" in known_columns(read(None).layout.form)
