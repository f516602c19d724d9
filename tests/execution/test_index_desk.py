from __future__ import annotations

import threading

import pytest

from beampipe.execution import index_desk
from beampipe.execution.bundles import Bundle
from beampipe.execution.index_desk import IndexDesk
from beampipe.execution.manifest import Manifest
from beampipe.execution.partials import Summary
from beampipe.reading.index.shelf import Made, Place
from beampipe.reading.index.store import IndexStore

A, B = Place("a", "Events"), Place("b", "Events")


@pytest.fixture
def store(tmp_path):
    return IndexStore(tmp_path / "ca che")


@pytest.fixture
def desk(store):
    desk = IndexDesk(store)
    yield desk
    desk.close()


@pytest.fixture
def bundle_of(make_file_plan, chunks_of):
    def make(*uuids: str) -> Bundle:
        chunks = [chunk for uuid in uuids for chunk in chunks_of(make_file_plan(uuid))]
        return Bundle(1, chunks[0].plan.file.dataset, tuple(chunks), 10.0)

    return make


def summary(*, sees_store=None, **indexes) -> Summary:
    made = {Place(uuid, "Events"): Made(data) for uuid, data in indexes.items()}
    return Summary(Manifest("DY"), {}, (), indexes=made, sees_store=sees_store)


def test_nothing_is_sent_as_long_as_workers_may_see_the_store(desk, store, bundle_of):
    store.put(A, Made(b"index a"))
    assert desk.lend("1", bundle_of("a"), n_workers=2) == {}
    desk.take(summary(sees_store=True))
    desk.take(summary(sees_store=None))
    assert desk.lend("2", bundle_of("a"), n_workers=2) == {}


def test_once_a_worker_does_not_see_it_what_is_known_of_a_bundles_files_is_sent(
    desk, store, bundle_of
):
    store.put(A, Made(b"index a"))
    desk.take(summary(sees_store=False))
    desk.take(summary(sees_store=True))
    assert desk.lend("1", bundle_of("a", "b"), n_workers=2) == {A: b"index a"}


def test_what_a_worker_made_is_kept_and_sent_to_the_next(desk, store, bundle_of):
    desk.take(summary(sees_store=False, b=b"index b"))
    assert desk.lend("1", bundle_of("a", "b"), n_workers=2) == {B: b"index b"}
    desk.close()
    assert store.get(B) == Made(b"index b")


def test_an_index_is_sent_no_more_often_than_there_are_workers(desk, store, bundle_of):
    store.put(A, Made(b"index a"))
    desk.take(summary(sees_store=False))
    sent = [desk.lend(str(i), bundle_of("a"), n_workers=3) for i in range(5)]
    assert [len(some) for some in sent] == [1, 1, 1, 0, 0]
    assert desk.lend("later", bundle_of("a"), n_workers=4) == {A: b"index a"}, "one has come"


def test_a_bundle_takes_only_so_much_along(desk, store, bundle_of, monkeypatch):
    monkeypatch.setattr(index_desk, "_MOST_SENT_BYTES", 100)
    for uuid, size in (("a", 60), ("b", 50), ("c", 40)):
        store.put(Place(uuid, "Events"), Made(bytes(size)))
    desk.take(summary(sees_store=False))
    sent = desk.lend("1", bundle_of("a", "b", "c"), n_workers=9)
    assert [place.uuid for place in sent] == ["a", "c"]
    monkeypatch.setattr(index_desk, "_MOST_SENT_BYTES", 10)
    assert len(desk.lend("2", bundle_of("a", "b", "c"), n_workers=9)) == 1


def test_only_so_much_is_out_at_a_time(desk, store, bundle_of, monkeypatch):
    monkeypatch.setattr(index_desk, "_MOST_OUT_BYTES", 100)
    store.put(A, Made(bytes(60)))
    desk.take(summary(sees_store=False))
    sent = [len(desk.lend(str(i), bundle_of("a"), n_workers=9)) for i in range(4)]
    assert sent == [1, 1, 0, 0]
    desk.end(["0", "3", "unknown"])
    desk.end(["0"])
    assert [len(desk.lend(f"b{i}", bundle_of("a"), n_workers=9)) for i in range(2)] == [1, 0]


def test_little_is_kept_in_memory(desk, store, bundle_of, monkeypatch):
    monkeypatch.setattr(index_desk, "_MOST_AT_HAND_BYTES", 1000)
    for number in range(50):
        desk.take(summary(sees_store=False, **{f"u{number}": bytes(100)}))
    assert desk._at_hand_bytes == sum(map(len, desk._at_hand.values())) == 1000
    desk.close()
    assert desk.lend("1", bundle_of("u0"), n_workers=1), "the rest is on disk"
    assert desk._at_hand_bytes == 1000


def test_what_a_slow_disk_does_not_take_in_time_is_lost(desk, store, monkeypatch):
    monkeypatch.setattr(index_desk, "_MOST_UNWRITTEN_BYTES", 100)
    go_on = threading.Event()
    put = store.put

    def put_slowly(place, made):
        assert go_on.wait(60)
        return put(place, made)

    monkeypatch.setattr(store, "put", put_slowly)
    for number in range(10):
        desk.take(summary(**{f"u{number}": bytes(40)}))
    go_on.set()
    desk.close()
    places = [Place(f"u{number}", "Events") for number in range(10)]
    assert store.find_known(places) == set(places[:2])
    assert desk._unwritten_bytes == 0


def test_one_larger_than_the_limit_is_written_all_the_same(desk, store, monkeypatch):
    monkeypatch.setattr(index_desk, "_MOST_UNWRITTEN_BYTES", 10)
    desk.take(summary(a=bytes(40)))
    desk.close()
    assert store.get(A)


def test_a_store_that_cannot_be_written_is_no_failure(tmp_path, bundle_of):
    (tmp_path / "file").write_text("mine")
    desk = IndexDesk(IndexStore(tmp_path / "file"))
    assert desk.place is None
    desk.take(summary(sees_store=False, a=b"index a"))
    assert desk.lend("1", bundle_of("a"), n_workers=1) == {A: b"index a"}
    desk.close()


def test_a_damaged_index_is_not_sent(desk, store, bundle_of):
    store.put(A, Made(b"index a"))
    path = next(store.directory.glob("??/*.index"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    desk.take(summary(sees_store=False))
    assert desk.lend("1", bundle_of("a"), n_workers=1) == {}


def test_without_a_desk_nothing_is_sent(bundle_of):
    assert index_desk.lent_with(None, "1", bundle_of("a"), n_workers=1) == {}


def test_what_came_through_dask_is_kept_too(desk, store):
    desk.keep({("a", "Events"): Made(b"index a")})
    desk.close()
    assert store.get(A) == Made(b"index a")
