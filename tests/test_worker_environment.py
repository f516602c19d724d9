from __future__ import annotations

from beampipe.worker_environment import ENVIRONMENT, MALLOC, THREADS, find_margin


def test_a_worker_keeps_its_memory_and_has_one_thread():
    assert MALLOC.items() <= ENVIRONMENT.items()
    assert {ENVIRONMENT[name] for name in THREADS} == {"1"}
    assert all(isinstance(text, str) for text in ENVIRONMENT.values())


def test_the_last_tenth_of_a_life_is_for_handing_over_and_half_a_minute_is_enough():
    assert find_margin(60) == 6
    assert find_margin(86_400) == 30
