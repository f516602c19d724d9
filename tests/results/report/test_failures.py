from __future__ import annotations

from beampipe.execution.accounting import Failure
from beampipe.results.report.failures import MAX_PLACES, group_failures


def fail(number, message="m", *, code="processor-failed", stop=10):
    return Failure(number, "DY", "a.root", "u", 0, 1, 0, stop, code, "ValueError", message)


def test_a_thousand_of_a_kind_are_one_group():
    (group,) = group_failures([fail(i, f"same\nline {i}") for i in range(1000)])
    assert group.headline == "ValueError: same"
    assert group.count == 1000
    assert len(group.failures) == MAX_PLACES
    assert group.events == 10_000


def test_the_costliest_kind_is_first_and_codes_are_kept_apart():
    failures = [fail(1, "a"), fail(2, "b", stop=99), fail(3, "a", code="other"), fail(4, "")]
    groups = group_failures(failures)
    assert groups[0].headline == "ValueError: b"
    assert len(groups) == 4


def test_none():
    assert group_failures([]) == []
