from __future__ import annotations

from dataclasses import replace

import pytest

from beampipe.execution.accounting import Failure
from beampipe.results.failures import MAX_PLACES, describe_death, describe_seen, group_failures


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


def test_kinds_are_told_apart_and_datasets_counted():
    failures = [
        replace(fail(1), kind="transient"),
        replace(fail(2), kind="transient", dataset="TT"),
        replace(fail(3), kind="transient"),
        replace(fail(4), kind="of a later version"),
        replace(fail(5, stop=0), kind="data", n=0),
    ]
    first, other, file = group_failures(failures)
    assert first.kind == "network or storage"
    assert first.extent == "3 chunks with 30 events, of DY (2), TT (1)"
    assert other.kind == "of a later version"
    assert file.extent == "1 file with an unknown number of events, of DY"


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        ({}, ""),
        ({"signal": 11}, "killed by signal 11 (SIGSEGV)"),
        ({"signal": 99, "exit_code": -99}, "killed by signal 99"),
        ({"signal": "SIGKILL"}, "killed by signal SIGKILL"),
        ({"exit_code": 0}, "ended with exit code 0"),
        ({"exit_code": 3, "signal": None}, "ended with exit code 3"),
        ({"memory_bytes": 1.2e9}, "memory 1.2 GB, no limit known"),
        ({"memory_limit_bytes": 1.5e9}, ""),
        ({"columns": ["a", "b"]}, "last columns read: a, b"),
        ({"columns": list("abcdefgh")}, "last columns read: c, d, e, f, g, h (and 2 before)"),
        ({"columns": None, "workers_killed": 1}, "killed 1 worker"),
        ({"of a later version": 1}, ""),
    ],
)
def test_what_was_seen_of_a_death_is_put_into_words(seen, text):
    assert describe_seen(seen) == text


def test_a_death_of_which_nothing_was_seen_says_so():
    assert describe_death(fail(1)) == ""
    assert "not available" in describe_death(replace(fail(1), kind="worker"))
    assert describe_death(replace(fail(1), seen={"signal": 9})).startswith("killed by signal 9")


def test_none():
    assert group_failures([]) == []
