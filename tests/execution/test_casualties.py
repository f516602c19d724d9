import pytest

from beampipe.execution.bundles import Bundle
from beampipe.execution.casualties import Casualties
from beampipe.execution.dispatch import Dispatcher
from beampipe.execution.incidents import Incidents
from beampipe.execution.outings import Outing, Outings
from beampipe.execution.pool import Crumb, DeathReport, WorkerDied
from beampipe.execution.troubles import DEATHS, Troubles

SEEN = {"text": "killed by signal 11 (SIGSEGV)", "signal": 11}


class Pool:
    def __init__(self):
        self.released = []

    def release(self, keys):
        self.released += keys


@pytest.fixture
def scene(chunks_of, make_file_plan):
    """A dispatcher whose four chunks are out in bundle 1, and what is written off."""
    chunks = chunks_of(make_file_plan())
    dispatcher = Dispatcher([], 0)
    dispatcher.pace.learn(0.001, 1)
    written = []
    casualties = Casualties(
        dispatcher,
        Pool(),
        Outings(),
        Troubles(),
        Incidents(),
        write_off=lambda dataset, failure: written.append((dataset, failure)),
    )
    return casualties, chunks, written


def send(casualties, chunks, *, number=1, is_quiet=False, **terms):
    bundle = Bundle(number, chunks[0].plan.file.dataset, tuple(chunks), 1.0, **terms)
    casualties.out.add(f"b{number}", Outing(bundle, 0.0, is_quiet=is_quiet))


def kill(casualties, *numbers, begun=None, seen=None, is_expected=False):
    keys = tuple(f"b{number}" for number in numbers)
    casualties.take_death(WorkerDied("w", keys, is_expected))
    assert set(keys) <= set(casualties.pool.released)
    casualties.take_report(DeathReport("w", begun, seen or SEEN))


def drain(dispatcher):
    bundles = []
    while bundle := dispatcher.next_bundle(1) or dispatcher.next_suspect():
        bundles.append(bundle)
    return [([chunk.k for chunk in one.chunks], one.is_suspect) for one in bundles]


def test_the_named_chunk_is_suspected_and_all_others_go_on(scene):
    casualties, chunks, _ = scene
    send(casualties, chunks[:2])
    send(casualties, chunks[2:], number=2)
    kill(casualties, 1, 2, begun=(Crumb(1, chunks[1].key[1:], ("Muon_pt",)),))
    assert sorted(drain(casualties.dispatcher)) == [([0], False), ([1], True), ([2, 3], False)] or (
        sorted(k for ks, _ in drain(casualties.dispatcher) for k in ks) == []
    )
    (incident,) = casualties.incidents.to_json()
    assert "SIGSEGV" in incident["text"]
    assert "Muon_pt" in incident["text"]
    assert casualties.n_died == 1


def test_a_killer_is_written_off_after_a_few_workers(scene):
    casualties, chunks, written = scene
    for number in range(DEATHS):
        send(casualties, chunks[1:2], number=number, is_suspect=True)
        kill(casualties, number, begun=(Crumb(number, chunks[1].key[1:]),))
        n_left = len(drain(casualties.dispatcher))
        assert n_left == (1 if number < DEATHS - 1 else 0)
    ((_, failure),) = written
    assert failure.k == 1
    assert failure.seen["workers_killed"] == DEATHS


def test_without_crumbs_halves_are_tried_until_one_chunk_is_left(scene):
    casualties, chunks, _ = scene
    send(casualties, chunks)
    kill(casualties, 1)
    assert drain(casualties.dispatcher) == [([0, 1, 2, 3], True)]
    send(casualties, chunks, number=2, is_quiet=True, is_suspect=True)
    kill(casualties, 2)
    assert drain(casualties.dispatcher) == [([0, 1], True), ([2, 3], True)]


def test_of_two_suspects_on_one_worker_nobody_knows_who_it_was(scene):
    casualties, chunks, _ = scene
    send(casualties, chunks[:2], number=1, is_quiet=True, is_suspect=True)
    send(casualties, chunks[2:], number=2, is_quiet=True, is_suspect=True)
    kill(casualties, 1, 2)
    assert drain(casualties.dispatcher) == [([0, 1], True), ([2, 3], True)]


def test_who_was_told_to_go_takes_nobody_down(scene):
    casualties, chunks, _ = scene
    send(casualties, chunks)
    kill(casualties, 1, begun=(Crumb(1, chunks[1].key[1:]),), is_expected=True)
    assert drain(casualties.dispatcher) == [([0, 1, 2, 3], False)]
    assert casualties.n_died == 0
    assert not casualties.is_waiting


def test_a_death_between_chunks_speaks_against_none_until_it_happens_again_and_again(scene):
    casualties, chunks, _ = scene
    found = []
    for number in range(8):
        send(casualties, chunks, number=number)
        kill(casualties, number, begun=())
        found.append(drain(casualties.dispatcher)[0][1])
    assert found[0] is False
    assert found[-1] is True


def test_a_report_that_does_not_come_is_not_waited_for_for_ever(scene, monkeypatch):
    casualties, chunks, _ = scene
    send(casualties, chunks)
    casualties.take_death(WorkerDied("w", ("b1",)))
    casualties.give_up_waiting()
    assert casualties.is_waiting
    casualties._deaths["w"].at -= 1000
    casualties.give_up_waiting()
    assert not casualties.is_waiting
    assert drain(casualties.dispatcher) == [([0, 1, 2, 3], True)]
    casualties.take_report(DeathReport("w", ()))  # late, and of no use any more
    assert drain(casualties.dispatcher) == []


def test_what_was_known_of_a_chunk_is_not_forgotten_when_its_worker_dies(scene):
    casualties, chunks, _ = scene
    send(casualties, chunks[:1], attempt=3, is_last_try=False, pieces=16)
    kill(casualties, 1, begun=())
    bundle = casualties.dispatcher.next_bundle(1)
    assert (bundle.attempt, bundle.pieces) == (3, 16)


def test_a_twin_that_lives_is_enough(scene):
    casualties, chunks, _ = scene
    send(casualties, chunks)
    casualties.out._out["b1"].twin = "b2"
    send(casualties, chunks, number=2)
    casualties.out._out["b2"].twin = "b1"
    kill(casualties, 1, begun=(Crumb(1, chunks[0].key[1:]),))
    assert drain(casualties.dispatcher) == []


def test_a_block_goes_again_as_a_whole_and_without_who_was_given_up(scene):
    casualties, chunks, _ = scene
    casualties.dispatcher.is_whole = True
    for number in range(DEATHS):
        send(casualties, chunks, number=number)
        kill(casualties, number, begun=(Crumb(number, chunks[1].key[1:]),))
        bundle = casualties.dispatcher.next_bundle(1)
        assert [chunk.k for chunk in bundle.chunks] == [0, 1, 2, 3]
        assert len(bundle.given_up) == (1 if number == DEATHS - 1 else 0)
    assert bundle.given_up[0].k == 1


def test_a_suspect_that_nobody_can_name_keeps_its_pieces_and_who_was_given_up(scene, make_failed):
    casualties, chunks, _ = scene
    given_up = (make_failed(k=0),)
    send(casualties, chunks, pieces=4, given_up=given_up)
    kill(casualties, 1)
    bundle = casualties.dispatcher.next_suspect()
    assert (bundle.pieces, bundle.given_up, bundle.is_suspect) == (4, given_up, True)


def test_what_a_suspect_hands_back_is_suspected_still(scene):
    casualties, chunks, _ = scene
    send(casualties, chunks, is_quiet=True, is_suspect=True)
    outing = casualties.out.take("b1")
    casualties.send_again(chunks[2:], outing)
    assert casualties.dispatcher.next_bundle(1) is None
    assert casualties.dispatcher.next_suspect().chunks == tuple(chunks[2:])
