from __future__ import annotations

import threading
from typing import NamedTuple

import pytest

from beampipe.reading.index import shelf as shelves
from beampipe.reading.index.shelf import Made, Place, Shelf

A, B = Place("uuid-a", "Events"), Place("uuid-b", "Z → µµ")


class Index(NamedTuple):
    uuid: str
    treename: str
    text: str = "x"


def encode(index: Index) -> bytes:
    return "\0".join(index).encode()


def decode(data: bytes) -> Index | None:
    parts = data.decode().split("\0")
    return Index(*parts) if len(parts) == 3 else None


@pytest.fixture
def shelf():
    return Shelf(encode, decode)


def test_an_empty_shelf_has_nothing(shelf):
    assert shelf.get(*A) is None
    assert shelf.take_new() == {}


def test_what_is_put_is_there_and_is_given_away_once(shelf):
    index = Index(*A)
    shelf.put(index, seconds=0.5, n_bytes=7)
    assert shelf.get(*A) is index
    assert shelf.get(A.uuid, "other") is None
    assert shelf.take_new() == {A: Made(encode(index), 0.5, 7)}
    assert shelf.take_new() == {}
    assert shelf.get(*A) is index


def test_what_is_sent_is_decoded_once_and_is_not_new(shelf):
    shelf.offer({A: encode(Index(*A)), B: encode(Index(*B))})
    found = shelf.get(*B)
    assert found == Index(*B)
    assert shelf.get(*B) is found
    assert shelf.take_new() == {}


@pytest.mark.parametrize("data", [b"torn", encode(Index(*B)), encode(Index(A.uuid, "tree"))])
def test_an_index_of_another_file_or_a_torn_one_is_not_given_out(shelf, data):
    shelf.offer({A: data})
    shelf.look_in(lambda _: data)
    assert shelf.get(*A) is None


def test_a_bad_one_that_was_sent_does_not_hide_a_good_one_in_the_store(shelf):
    shelf.offer({A: b"torn"})
    shelf.look_in(lambda place: encode(Index(*place)))
    assert shelf.get(*A) == Index(*A)


def test_the_store_is_asked_once_for_what_it_has_not(shelf):
    asked = []
    shelf.look_in(asked.append)
    for _ in range(3):
        assert shelf.get(*A) is None
    assert asked == [A]
    shelf.look_in(asked.append)
    shelf.get(*A)
    assert asked == [A, A], "another store may have it"


def test_a_wrong_one_is_not_given_out_again_until_a_better_one_comes(shelf):
    wrong, right = Index(*A, "wrong"), Index(*A, "right")
    shelf.look_in(lambda _: encode(wrong))
    assert shelf.get(*A) == wrong
    shelf.forget(*A)
    shelf.offer({A: encode(wrong)})
    assert shelf.get(*A) is None
    shelf.put(right)
    assert shelf.get(*A) is right
    assert shelf.take_new() == {A: Made(encode(right))}, "the store is to have the better one"


def test_a_forgotten_one_is_not_given_away(shelf):
    shelf.put(Index(*A))
    shelf.forget(*A)
    assert shelf.take_new() == {}


def test_little_is_given_away_at_a_time_and_the_rest_follows_in_order(shelf):
    made = [Index(f"u{i}", "t", "x" * 100) for i in range(7)]
    for index in made:
        shelf.put(index)
    size = len(encode(made[0]))
    rounds = []
    while taken := shelf.take_new(max_bytes=2 * size):
        rounds.append(list(taken))
    assert [len(some) for some in rounds] == [2, 2, 2, 1]
    assert [place.uuid for some in rounds for place in some] == [index.uuid for index in made]


def test_one_that_is_larger_than_the_limit_is_given_by_itself(shelf):
    shelf.put(Index(*A, "x" * 100))
    shelf.put(Index(*B))
    assert list(shelf.take_new(max_bytes=10)) == [A]
    assert list(shelf.take_new(max_bytes=10)) == [B]


def test_a_shelf_is_bounded(shelf, monkeypatch):
    monkeypatch.setattr(shelves, "_MOST_OPEN", 3)
    monkeypatch.setattr(shelves, "_MOST_NEW", 4)
    monkeypatch.setattr(shelves, "_MOST_CLOSED_BYTES", 100)
    for i in range(10):
        shelf.put(Index(f"u{i}", "t"))
    assert [i for i in range(10) if shelf.get(f"u{i}", "t")] == [7, 8, 9]
    assert [place.uuid for place in shelf.take_new()] == ["u6", "u7", "u8", "u9"]
    shelf.offer({Place(f"s{i}", "t"): encode(Index(f"s{i}", "t", "x" * 30)) for i in range(10)})
    assert [i for i in range(10) if shelf.get(f"s{i}", "t")] == [8, 9]


def test_the_one_used_last_stays(shelf, monkeypatch):
    monkeypatch.setattr(shelves, "_MOST_OPEN", 2)
    shelf.put(Index(*A))
    shelf.put(Index(*B))
    shelf.get(*A)
    shelf.put(Index("c", "t"))
    assert shelf.get(*A)
    assert shelf.get(*B) is None


def test_threads_take_each_index_once(shelf):
    taken, errors = [], []

    def work(name):
        try:
            for i in range(50):
                shelf.put(Index(f"{name}-{i}", "t"))
                shelf.get(f"{name}-{i}", "t")
                taken.extend(shelf.take_new())
        except Exception as error:  # noqa: BLE001 (shown below)
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(taken) == sorted(
        {Place(f"{name}-{i}", "t") for name in "abcd" for i in range(50)}
    )


def test_where_indexes_came_from_is_counted_once(shelf):
    shelf.offer({A: encode(Index(*A))})
    shelf.look_in(lambda place: encode(Index(*place)) if place == B else None)
    shelf.put(Index("c", "t"))
    for place in (A, B, B, Place("c", "t"), Place("d", "t")):
        shelf.get(*place)
    assert shelf.take_counts() == {"indexes_sent": 1, "indexes_stored": 1, "indexes_made": 1}
    assert shelf.take_counts() == {}


def test_a_cleared_shelf_is_empty(shelf):
    shelf.put(Index(*A))
    shelf.forget(*B)
    shelf.clear()
    assert shelf.get(*A) is None
    shelf.offer({B: encode(Index(*B))})
    assert shelf.get(*B)


def test_what_was_made_here_and_dropped_is_looked_for_again_at_once(shelf, monkeypatch):
    monkeypatch.setattr(shelves, "_MOST_OPEN", 1)
    store: dict[Place, bytes] = {}
    shelf.look_in(store.get)
    assert shelf.get(*A) is None
    shelf.put(Index(*A))
    store[A] = encode(Index(*A))  # the driver writes what workers made
    shelf.put(Index(*B))
    assert shelf.get(*A) == Index(*A)
