from __future__ import annotations

import math

import pytest

from beampipe.execution.accounting import DatasetAccounting
from beampipe.results.quantities import (
    count_noun,
    format_bytes,
    format_missing,
    format_number,
    format_quantity,
    format_seconds,
    format_share,
    format_time,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (2.0, "2"),
        (61.99123, "61.9912"),
        (1e30, "1e+30"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 3, "33.3 %"),
        (999_999, 1_000_000, "> 99.9 %"),
        (1, 1_000_000, "< 0.1 %"),
        (0, 0, "n/a"),
    ],
)
def test_shares_never_round_to_all_or_nothing(part, whole, text):
    assert format_share(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0012, "1.2 ms"),
        (0.0949, "94.9 ms"),
        (17.34, "17.3 s"),
        (125, "2 min 05 s"),
        (3725, "1 h 02 min"),
    ],
)
def test_durations(seconds, text):
    assert format_seconds(seconds) == text


def test_quantities_have_prefixes():
    assert format_quantity(6936) == "6.94 k"
    assert format_quantity(12) == "12"
    assert format_bytes(123_456_789) == "123 MB"
    assert format_bytes(12) == "12 B"


def test_times_are_readable_and_what_is_none_stays():
    assert format_time("2026-11-20T21:45:10+01:00") == "2026-11-20 21:45:10 UTC+01:00"
    assert format_time("long ago") == "long ago"


@pytest.mark.parametrize(
    ("files", "uncounted", "planned", "processed", "text"),
    [
        (2, 0, 100, 100, "0 %"),
        (2, 0, 100, 97, "3.0 %"),
        (2, 0, 10**9, 10**9 - 1, "< 0.1 %"),
        (4, 1, 300, 300, "about 25.0 %"),
        (4, 1, 300, 0, "about 100 %"),
        (2, 2, 0, 0, "about 100 %"),
        (2, 1, 0, 0, "some"),
        (2, 0, 0, 0, "0 %"),
    ],
)
def test_what_is_missing(files, uncounted, planned, processed, text):
    left = planned - processed
    row = DatasetAccounting("DY", files, uncounted, planned, processed, left, 0, 2, 2, 0)
    assert format_missing(row) == text


def test_nouns():
    assert count_noun(1, "retry", "retries") == "1 retry"
    assert count_noun(1200, "retry", "retries") == "1,200 retries"
    assert count_noun(0, "file") == "0 files"
