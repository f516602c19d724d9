from __future__ import annotations

import numpy as np
import pytest

from beampipe.reading.index.making import gather_baskets
from beampipe.reading.index.model import Baskets, ByteRange


def words(*numbers):
    return np.array(numbers, dtype=np.int64)


BASKETS = Baskets(words(100, 200, 300), words(10, 20, 30), words(0, 5, 5, 9))


@pytest.mark.parametrize(
    ("start", "stop", "numbers"),
    [
        (0, 9, [0, 1, 2]),
        (0, 5, [0]),
        (4, 6, [0, 1, 2]),
        (5, 9, [2]),
        (8, 9, [2]),
        (3, 3, []),
        (0, 0, []),
        (8, 100, [2]),
        (9, 12, []),
        (50, 60, []),
    ],
)
def test_a_range_is_covered_by_the_baskets_that_hold_its_entries(start, stop, numbers):
    assert list(BASKETS.covering(start, stop)) == numbers


def test_a_column_without_baskets_covers_nothing():
    assert list(Baskets(words(), words(), words(0)).covering(0, 7)) == []


def test_columns_of_one_pattern_share_it():
    other = Baskets(words(400, 500), words(1, 2), words(0, 4, 9))
    table = gather_baskets([BASKETS, None, other, BASKETS, None])
    assert len(table) == 5
    assert len(table.patterns) == 2
    assert table.get(1) is None
    assert table.get(4) is None
    for column, due in ((0, BASKETS), (2, other), (3, BASKETS)):
        found = table.get(column)
        assert all((left == right).all() for left, right in zip(found, due, strict=True))


def test_positions_beyond_32_bits_are_kept():
    far = Baskets(words(1 << 40), words(10), words(0, 1 << 35))
    (seek,), _, firsts = gather_baskets([far]).get(0)
    assert int(seek) == 1 << 40
    assert int(firsts[-1]) == 1 << 35


def test_a_byte_range_knows_its_end():
    assert ByteRange(1 << 40, 7).stop == (1 << 40) + 7
