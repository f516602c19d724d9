from __future__ import annotations

import pytest

from beampipe.execution.placing import Places

HERE, BESIDE, THERE = "tcp://10.0.0.1:1", "tcp://10.0.0.1:2", "tcp://10.0.0.2:1"


@pytest.fixture
def places():
    made = Places()
    made.see(dict.fromkeys((HERE, BESIDE, THERE), 1))
    return made


def test_a_chunk_goes_to_another_host_or_at_least_to_another_worker(places):
    assert places.away_from("a", frozenset()) == {}
    assert places.away_from("a", frozenset({HERE})) == {
        "workers": [THERE],
        "allow_other_workers": True,
    }
    places.see(dict.fromkeys((HERE, BESIDE), 1))
    assert places.away_from("a", frozenset({HERE, "node1"}))["workers"] == [BESIDE]
    assert places.away_from("a", frozenset({HERE, BESIDE})) == {}
    assert places.away_from("a", frozenset({"door.org:1094"})) == {}


def test_those_apart_never_share_a_worker_while_there_are_others(places):
    out = {"a", "b", "c"}
    workers = [places.apart(key, frozenset(), out)["workers"] for key in ("a", "b", "c")]
    assert sorted(workers) == [[HERE], [BESIDE], [THERE]]
    assert places.apart("d", frozenset(), out) == {}
    out.discard("b")
    assert places.apart("d", frozenset(), out)["workers"] == workers[1]


def test_those_apart_are_kept_from_where_they_failed(places):
    assert places.apart("a", frozenset({HERE, BESIDE}), {"a"})["workers"] == [THERE]
    assert places.apart("b", frozenset({HERE, BESIDE}), {"a"})["workers"] == [THERE]


def test_workers_that_are_gone_get_nothing(places):
    places.apart("a", frozenset(), {"a"})
    places.see({THERE: 1})
    assert places.apart("b", frozenset(), {"a", "b"})["workers"] == [THERE]
    places.see({})
    assert places.apart("c", frozenset(), {"c"}) == {}


def test_those_whose_workers_are_gone_and_that_nobody_has_are_stranded(places):
    for key in ("gone", "elsewhere", "there", "done"):
        places.apart(key, frozenset(), set())
    wished = {key: worker for key, ((worker,),) in places._wishes.items()}
    asked = []

    def find(keys):
        asked.append(sorted(keys))
        return {"elsewhere"}

    def look():
        return places.find_stranded(lambda key: key != "done", find)

    assert look() == []
    assert asked == []  # all of their workers are there
    places.see({wished["there"]: 1})
    assert look() == []  # it may be on its way
    assert look() == ["gone"]
    places.forget("gone")
    assert look() == []
    assert asked[0] == ["elsewhere", "gone"]


def test_what_is_made_of_what_is_stranded_is_stranded_as_well(places):
    places.apart("a", frozenset(), set())
    places.apart("b", frozenset(), set())
    places.inherit("sum", ["a", "b", "c"])
    places.inherit("other", ["c"])
    places.forget("a")
    places.forget("b")
    (gone,) = max(places._wishes["sum"])
    places.see({worker: 1 for worker in (HERE, BESIDE, THERE) if worker != gone})
    for _ in range(2):
        stranded = places.find_stranded(lambda _: True, lambda _: ())
    assert stranded == ["sum"]
