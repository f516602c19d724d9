"""A worker reads through an index where it has one, and makes it where it has none."""

import awkward as ak
import numpy as np
import pytest
import uproot

from beampipe.errors import ChunkUnreadableError
from beampipe.reading import trees
from beampipe.reading.index.encoding import decode_index, encode_index
from beampipe.reading.index.shelf import Shelf
from beampipe.reading.indexes import Indexes


@pytest.fixture
def shelf():
    return Shelf(encode_index, decode_index)


@pytest.fixture
def parsed(monkeypatch):
    """Note which files have their tree parsed by uproot."""
    found = []
    usual = trees.find_tree

    def find_tree(directory, treename, *, url):
        found.append(url)
        return usual(directory, treename, url=url)

    monkeypatch.setattr(trees, "find_tree", find_tree)
    return found


def sums(reader, chunk):
    with reader.read(chunk, {}) as data:
        output = data.call(lambda e: (float(ak.sum(e.MET.pt)), float(ak.sum(e.Muon.pt))))
        return output, data.metrics()


def test_the_second_file_of_a_layout_is_not_parsed_once_it_has_an_index(
    write_events, entry_of, chunks_of, reader_of, shelf, parsed
):
    entries = [entry_of(write_events(f"{name}.root", scale=k)) for k, name in enumerate("abc", 1)]
    chunks = [chunks_of(entry)[0] for entry in entries]
    first = [sums(reader_of("NanoAODSchema", shelf=shelf), chunk)[0] for chunk in chunks]
    assert len(parsed) == 3
    parsed.clear()
    reader = reader_of("NanoAODSchema", shelf=shelf)
    again = [sums(reader, chunk) for chunk in chunks]
    assert [output for output, _ in again] == first
    assert not parsed  # what the layout's columns mean is known in this process
    assert all(metrics["columns_uproot"] == 0 for _, metrics in again)
    assert all(metrics["columns_indexed"] >= 3 for _, metrics in again)
    assert all(metrics["fetch_s"] > 0 for _, metrics in again)
    reader.close()


def test_what_was_made_is_given_away_once(write_events, entry_of, chunks_of, reader_of, shelf):
    entry = entry_of(write_events())
    for _ in range(2):
        sums(reader_of("NanoAODSchema", shelf=shelf), chunks_of(entry)[0])
    (place,) = shelf.take_new()
    assert place == (entry.uuid, entry.treename)
    assert shelf.take_new() == {}


def test_an_index_of_another_file_is_found_out(
    write_events, entry_of, chunks_of, reader_of, shelf, tmp_path
):
    """Its uuid is forged: only the baskets' own keys can tell."""
    from dataclasses import replace

    good, bad = (entry_of(write_events(f"{n}.root", clusters=c)) for n, c in OTHERS.items())
    expected, _ = sums(reader_of("NanoAODSchema"), chunks_of(good)[0])
    sums(reader_of("NanoAODSchema", shelf=shelf), chunks_of(bad)[0])
    index = shelf.get(bad.uuid, bad.treename)
    shelf.offer({(good.uuid, good.treename): encode_index(replace(index, uuid=good.uuid))})
    reader = reader_of("NanoAODSchema", shelf=shelf)
    output, metrics = sums(reader, chunks_of(good)[0])
    assert output == expected
    assert metrics["columns_uproot"] > 0
    output, metrics = sums(reader, chunks_of(good)[0])
    assert (output, metrics["columns_uproot"]) == (expected, 0)  # it was made anew
    reader.close()


OTHERS = {"good": (100, 60, 140), "bad": (90, 70, 140)}


def test_an_index_with_other_entries_is_not_used(
    write_events, entry_of, chunks_of, reader_of, shelf, parsed
):
    from dataclasses import replace

    entry = entry_of(write_events())
    sums(reader_of("NanoAODSchema", shelf=shelf), chunks_of(entry)[0])
    index = replace(shelf.get(entry.uuid, entry.treename), entries=7)
    other = Shelf(encode_index, decode_index)
    other.offer({(entry.uuid, entry.treename): encode_index(index)})
    parsed.clear()
    sums(reader_of("NanoAODSchema", shelf=other), chunks_of(entry)[0])
    assert len(parsed) == 1


def test_broken_bytes_are_named_as_uproot_names_them(
    write_events, entry_of, chunks_of, reader_of, shelf, break_basket
):
    path = write_events()
    chunk = chunks_of(entry_of(path))[0]
    sums(reader_of("NanoAODSchema", shelf=shelf), chunk)
    break_basket(path, "Muon_pt", 1)
    with pytest.raises(ChunkUnreadableError, match="'Muon_pt'"):
        sums(reader_of("NanoAODSchema", shelf=shelf), chunk)


def test_what_the_index_cannot_read_is_uproots(tmp_path, entry_of, chunks_of, reader_of, shelf):
    path = tmp_path / "nested.root"
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", {"x": np.arange(10)})
    entry = entry_of(path)
    with reader_of(None, shelf=shelf).read(chunks_of(entry)[0], {}) as data:
        assert data.events.x.tolist() == list(range(10))


def test_a_tree_whose_index_cannot_be_made_is_read_without(
    write_events, entry_of, chunks_of, reader_of, monkeypatch
):
    from beampipe.reading.index import making

    tried = []

    def fail(opened, **_):
        tried.append(opened)
        raise ValueError("nonsense in the description")

    monkeypatch.setattr(making, "make_index", fail)
    chunk = chunks_of(entry_of(write_events()))[0]
    reader = reader_of("NanoAODSchema")
    for _ in range(3):
        output, metrics = sums(reader, chunk)
        assert output[0] == sum(range(300))
        assert metrics["columns_indexed"] == 0
    assert len(tried) == 1  # not again for every chunk
    reader.close()


def test_without_a_shelf_each_has_its_own(write_events, entry_of):
    assert Indexes().find("no such uuid", "Events") is None
