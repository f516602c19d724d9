import pytest

from beampipe.execution.breakers import BreakerOptions, Breakers
from beampipe.execution.dispatch import Terms
from beampipe.execution.retries import Retries, RetryPolicy
from beampipe.execution.troubles import DEATHS, Troubles, spell_death

OUT_OF_MEMORY = {"text": "ended by the nanny", "signal": 9, "is_out_of_memory": True}
SEGFAULT = {"text": "killed by signal 11 (SIGSEGV)", "signal": 11, "columns": ["Muon_pt"]}


@pytest.fixture
def troubles():
    return Troubles(
        Retries(RetryPolicy(waits_s=(1.0, 2.0), jitter=0.0)),
        Breakers(BreakerOptions(failures=3, first_pause_s=5.0)),
    )


@pytest.fixture
def chunk(chunks_of, make_file_plan):
    return chunks_of(make_file_plan())[1]


def test_a_chunk_goes_elsewhere_later_and_at_last_for_the_last_time(troubles, chunk, make_failed):
    dues, terms = [], []
    for number in range(3):
        failure = make_failed(k=1, kind="transient", worker=f"tcp://{number}", host=f"h{number}")
        fate = troubles.retry(chunk, failure, now=100.0)
        dues.append(fate.due)
        terms.append(fate.terms)
    assert dues == [101.0, 102.0, 102.0]
    assert [one.attempt for one in terms] == [2, 3, 4]
    assert [one.is_last_try for one in terms] == [False, False, True]
    assert terms[-1].away == {"tcp://0", "tcp://1", "tcp://2"}


def test_a_host_that_fails_is_held_back_and_not_held_against_the_chunk(
    troubles, chunk, make_failed
):
    failure = make_failed(k=1, kind="transient", url="root://door:1094//a", host="h")
    attempts = [troubles.retry(chunk, failure, now=0.0).terms.attempt for _ in range(5)]
    assert attempts == [2, 3, 4, 3, 3]
    assert troubles.shunned == {"door:1094"}


def test_a_host_that_answers_again_is_forgiven(troubles, chunk, make_failed):
    where = {"host": "h", "worker": "tcp://10.0.0.7:1"}
    failure = make_failed(k=1, kind="transient", url=chunk.plan.file.urls[0], **where)
    for _ in range(3):
        fate = troubles.retry(chunk, failure, now=0.0)
    assert "h" in fate.text
    assert troubles.shunned == {"h", "tcp://10.0.0.7:1"}
    troubles.sent([chunk], 1)
    troubles.worked([chunk], 1, "h")
    assert troubles.shunned == frozenset()
    assert troubles.hold(chunk, Terms()) == 0.0


def test_a_chunk_without_memory_goes_out_in_more_and_more_pieces(troubles, chunk, make_failed):
    failure = make_failed(k=1, kind="resource", error_type="_ArrayMemoryError")
    pieces = [troubles.retry(chunk, failure, now=0.0).terms.pieces for _ in range(4)]
    assert pieces == [4, 16, 64, 64]


def test_a_full_disk_is_not_mended_by_pieces(troubles, chunk, make_failed):
    failure = make_failed(k=1, kind="resource", error_type="OSError")
    assert troubles.retry(chunk, failure, now=0.0).terms.pieces == 1


def test_a_killer_is_given_up_with_all_that_was_seen(troubles, chunk):
    for _ in range(DEATHS - 1):
        fate = troubles.blame(chunk, "tcp://w", SEGFAULT)
        assert fate.failure is None
        assert fate.terms.is_suspect
        assert fate.terms.pieces == 1
    failure = troubles.blame(chunk, "tcp://w", SEGFAULT).failure
    assert failure.code == "run-worker-died"
    assert failure.kind == "worker"
    assert failure.worker == "tcp://w"
    assert failure.seen["workers_killed"] == DEATHS
    assert failure.seen["signal"] == 11
    assert "Muon_pt" in failure.why


def test_memory_is_given_every_chance_before_a_chunk_is_given_up(troubles, chunk):
    pieces = []
    while (fate := troubles.blame(chunk, "w", OUT_OF_MEMORY)).failure is None:
        pieces.append(fate.terms.pieces)
    assert pieces == [4, 16, 64]


def test_the_last_try_of_a_chunk_whose_end_nobody_saw_is_in_pieces(troubles, chunk):
    assert troubles.blame(chunk, "w", {}).terms.pieces == 1
    assert troubles.blame(chunk, "w", {}).terms.pieces > 1
    assert troubles.blame(chunk, "w", {}).failure is not None


def test_who_goes_down_with_workers_again_and_again_is_suspicious(troubles, chunk):
    answers = [troubles.lose(chunk) for _ in range(8)]
    assert not answers[0]
    assert answers[-1]
    assert answers == sorted(answers)


def test_deaths_are_spelt():
    assert spell_death({}) == "how it died is not known"
    assert spell_death(SEGFAULT).endswith("last columns read: Muon_pt")
