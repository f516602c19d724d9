from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.execution.manifest import FailedChunk
from beampipe.execution.retries import POLICY, Retries, RetryPolicy

URLS = st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True)


@pytest.mark.parametrize(
    ("kind", "rule", "tries"),
    [
        ("transient", "connection", 4),
        ("transient", "error_rules 1", 4),
        ("resource", "memory", 4),
        ("data", "not-seen-here", 2),
        ("data", "unreadable", 1),
        ("processor", "anything-else", 1),
        ("worker", "worker-died", 1),
    ],
)
def test_how_often_a_chunk_is_tried(kind, rule, tries):
    attempt = 1
    while POLICY.is_worth_another(
        FailedChunk("u", 0, 1, 0, 9, "f", "c", "E", "m", attempt=attempt, kind=kind, rule=rule)
    ):
        attempt += 1
    assert attempt == tries


def test_the_pauses_grow():
    policy = RetryPolicy(jitter=0)
    rng = random.Random(1)  # noqa: S311
    assert [policy.wait_s(attempt, rng) for attempt in range(1, 6)] == [0.5, 2, 8, 8, 8]


@given(st.integers(1, 20), st.integers())
def test_jitter_stays_within_its_part(attempt, seed):
    wanted = (0.5, 2.0, 8.0)[min(attempt, 3) - 1]
    rng = random.Random(seed)  # noqa: S311
    assert wanted / 2 <= POLICY.wait_s(attempt, rng) <= wanted * 1.5


def test_chunks_that_failed_together_do_not_come_back_together():
    rng = random.Random(7)  # noqa: S311
    waits = {POLICY.wait_s(2, rng) for _ in range(100)}
    assert len(waits) == 100
    assert max(waits) - min(waits) > 1


def test_the_first_replica_has_two_tries_then_the_next_ones_have_theirs():
    def replicas(urls):
        return [POLICY.replica(urls, attempt) for attempt in range(1, 6)]

    assert replicas(["a"]) == ["a"] * 5
    assert replicas(["a", "b"]) == ["a", "a", "b", "b", "b"]
    assert replicas(["a", "b", "c"]) == ["a", "a", "b", "c", "c"]


@given(URLS, st.integers(1, 50))
def test_never_are_all_replicas_avoided(urls, attempt):
    avoid = POLICY.replicas_to_avoid(urls, attempt)
    assert avoid < set(urls)
    assert POLICY.replica(urls, attempt) == next(url for url in urls if url not in avoid)


def test_the_next_try_is_due_after_the_pause():
    retries = Retries(RetryPolicy(jitter=0))
    assert retries.due_at(3, now=100.0) == 108.0


def test_retries_are_counted_by_kind_and_host():
    retries = Retries()
    for kind, host in (("transient", "door"), ("transient", "door"), ("resource", "node7")):
        retries.count(kind, host)
    assert retries.counts == {("transient", "door"): 2, ("resource", "node7"): 1}


@given(st.lists(st.booleans(), max_size=30))
def test_an_outage_uses_up_no_tries(outcomes):
    """What fails while the breaker is open never makes a try the last one."""
    retries, attempt, n_counted = Retries(), 1, 0
    for counts in outcomes:
        attempt = retries.next_attempt(attempt, counts=counts)
        n_counted += counts
        assert attempt <= 1 + n_counted
        if not counts:
            assert attempt < retries.policy.tries
