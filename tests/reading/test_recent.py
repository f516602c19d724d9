from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from beampipe.reading.recent import RecentlyUsed


def test_a_value_is_made_once_and_the_least_used_goes_first():
    made = []
    kept: RecentlyUsed[str, str] = RecentlyUsed(2)

    def get(key: str) -> str:
        return kept.get(key, lambda: made.append(key) or key.upper())

    assert [get(key) for key in "abacab"] == list("ABACAB")
    assert made == ["a", "b", "c", "b"]
    assert len(kept) == 2


def test_nothing_is_kept_of_a_failure():
    kept: RecentlyUsed[str, int] = RecentlyUsed(2)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 // 0)
    assert kept.get("a", lambda: 1) == 1


def test_threads_share_and_one_makes_what_others_wait_for():
    kept = RecentlyUsed(2, is_shared=True)
    made = []

    def make():
        time.sleep(0.05)
        made.append(1)
        return object()

    with ThreadPoolExecutor(4) as threads:
        values = list(threads.map(lambda _: kept.get("a", make), range(8)))
    assert len({id(value) for value in values}) == 1
    assert made == [1]
    kept.clear()
    assert len(kept) == 0
