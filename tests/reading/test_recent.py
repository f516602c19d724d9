from __future__ import annotations

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
