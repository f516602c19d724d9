from __future__ import annotations

import pytest

from beampipe.units import parse_memory, parse_time


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("2 GiB", 2 * 2**30),
        ("2GB", 2_000_000_000),
        (" 1.5 mib ", 3 * 2**19),
        ("500M", 500_000_000),
        ("3_000_000", 3_000_000),
        (2**20, 2**20),
        ("1 TiB", 2**40),
    ],
)
def test_memory_is_parsed(text, size_bytes):
    assert parse_memory(text) == size_bytes


@pytest.mark.parametrize("text", ["", "GiB", "2 iB", "-2 GiB", "2 GiB 3", "1e9", "1.2.3 GB"])
def test_what_is_no_memory_is_refused(text):
    with pytest.raises(ValueError, match="no amount of memory"):
        parse_memory(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("01:30:00", 5400),
        ("2-00:00:01", 172_801),
        ("90 min", 5400),
        ("1.5h", 5400),
        ("2 Days", 172_800),
        ("45s", 45),
    ],
)
def test_a_time_is_parsed(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "60", 60, "1:30", "00:61:00", "-1 h", "1 moon", "2 m"])
def test_a_time_that_is_not_clear_is_refused(text):
    with pytest.raises(ValueError, match="no time that is clear"):
        parse_time(text)
