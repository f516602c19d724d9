from __future__ import annotations

from types import SimpleNamespace

import pytest

from beampipe.execution import worker_shelf as module
from beampipe.execution.manifest import Manifest
from beampipe.execution.partials import Partial, merge_partials, summarize_partial
from beampipe.execution.worker_shelf import count_indexes, lay_out_indexes, summarize_bundle
from beampipe.reading.index.shelf import Made, Place, Shelf
from beampipe.reading.index.store import IndexStore, StorePlace

A, B = Place("a", "Events"), Place("b", "Events")


def index(place: Place):
    return SimpleNamespace(uuid=place.uuid, treename=place.treename)


def encode(found) -> bytes:
    return f"{found.uuid} {found.treename}".encode()


def decode(data: bytes):
    return index(Place(*data.decode().split()))


@pytest.fixture(autouse=True)
def shelf(monkeypatch):
    """A shelf of our own instead of the process's."""
    shelf = Shelf(encode, decode)
    monkeypatch.setattr(module, "worker_shelf", lambda: shelf)
    monkeypatch.setattr(module, "_SURROUNDINGS", module._Surroundings())
    return shelf


@pytest.fixture
def store(tmp_path):
    return IndexStore(tmp_path / "indexes")


PARTIAL = Partial(Manifest("DY"), {"n": 1}, {"s": 1.0})


def test_an_index_that_was_sent_is_at_hand():
    shelf = lay_out_indexes(None, {A: encode(index(A))})
    assert shelf.get(*A).uuid == "a"
    assert shelf.get(*B) is None


def test_a_store_that_is_seen_is_read(store):
    store.put(A, Made(encode(index(A))))
    assert lay_out_indexes(store.place()).get(*A).uuid == "a"
    assert summarize_bundle(PARTIAL).sees_store is True


def test_a_store_that_is_not_seen_is_told(store):
    store.put(A, Made(encode(index(A))))
    other = StorePlace(store.place().directory, "0" * 32)
    assert lay_out_indexes(other).get(*A) is None
    assert summarize_bundle(PARTIAL).sees_store is False


def test_where_there_is_no_store_nothing_is_told(store):
    lay_out_indexes(None)
    assert summarize_bundle(PARTIAL).sees_store is None


def test_the_next_run_may_have_another_store(store, tmp_path):
    other = IndexStore(tmp_path / "other")
    other.put(B, Made(encode(index(B))))
    assert lay_out_indexes(store.place()).get(*B) is None
    assert lay_out_indexes(other.place()).get(*B).uuid == "b"
    assert lay_out_indexes(None).get(*A) is None
    assert summarize_bundle(PARTIAL).sees_store is None


def test_the_store_is_looked_for_once(store, monkeypatch):
    place = store.place()
    lay_out_indexes(place)
    monkeypatch.setattr("beampipe.reading.index.store.open_store", None)
    lay_out_indexes(place)


def test_what_was_made_goes_back_once_and_no_merge_knows_of_it(shelf):
    shelf.put(index(A), seconds=0.5, n_bytes=3)
    summary = summarize_bundle(PARTIAL)
    assert summary.indexes == {A: Made(b"a Events", 0.5, 3)}
    assert summarize_bundle(PARTIAL).indexes == {}
    plain = summarize_partial(PARTIAL)
    assert plain.indexes == {}
    assert (summary.manifest, summary.metrics, summary.value_bytes) == (
        plain.manifest,
        plain.metrics,
        plain.value_bytes,
    )
    assert not hasattr(merge_partials([PARTIAL, PARTIAL]), "indexes")


def test_where_indexes_came_from_is_in_the_metrics(shelf):
    shelf.put(index(A))
    lay_out_indexes(None, {B: encode(index(B))}).get(*B)
    counted = count_indexes(PARTIAL)
    assert counted.metrics == {"s": 1.0, "indexes_made": 1, "indexes_sent": 1}
    assert count_indexes(PARTIAL).metrics == PARTIAL.metrics


def test_the_shelf_of_the_process_holds_real_indexes(monkeypatch):
    monkeypatch.undo()
    shelf = module.worker_shelf()
    assert shelf is module.worker_shelf()
    shelf.offer({A: b"no index"})
    assert shelf.get(*A) is None
