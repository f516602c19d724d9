from __future__ import annotations

from beampipe.worker_environment import ENVIRONMENT, MALLOC, THREADS


def test_a_worker_keeps_its_memory_and_has_one_thread():
    assert MALLOC.items() <= ENVIRONMENT.items()
    assert {ENVIRONMENT[name] for name in THREADS} == {"1"}
    assert all(isinstance(text, str) for text in ENVIRONMENT.values())
