"""Sets of entries as sorted lists of ranges [start, stop)."""

from __future__ import annotations

from collections.abc import Iterable

Range = tuple[int, int]


def unite(ranges: Iterable[Range]) -> list[Range]:
    """Give the entries that are in any of the ranges, sorted and without touching ranges.

    Examples
    --------
    >>> unite([(5, 9), (0, 3), (3, 4), (2, 3), (7, 7)])
    [(0, 4), (5, 9)]
    """
    united: list[Range] = []
    for start, stop in sorted(ranges):
        if stop <= start:
            continue
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(stop, united[-1][1]))
        else:
            united.append((start, stop))
    return united


def subtract(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """Give the entries that are in `ranges` and in none of `others`.

    Examples
    --------
    >>> subtract([(0, 10)], [(2, 4), (8, 20)])
    [(0, 2), (4, 8)]
    """
    left: list[Range] = []
    holes = unite(others)
    first = 0
    for start, stop in unite(ranges):
        begin = start
        while first < len(holes) and holes[first][1] <= begin:
            first += 1
        for hole_start, hole_stop in holes[first:]:
            if hole_start >= stop:
                break
            if hole_start > begin:
                left.append((begin, hole_start))
            begin = max(begin, hole_stop)
        if begin < stop:
            left.append((begin, stop))
    return left


def count(ranges: Iterable[Range]) -> int:
    """Count the entries of ranges that do not overlap.

    Examples
    --------
    >>> count([(0, 2), (4, 8)])
    6
    """
    return sum(stop - start for start, stop in ranges)


def find_overlap(ranges: Iterable[Range]) -> tuple[Range, Range] | None:
    """Find two ranges that share an entry.

    Examples
    --------
    >>> find_overlap([(4, 6), (0, 3), (2, 4)])
    ((0, 3), (2, 4))
    """
    longest: Range | None = None
    for current in sorted(ranges):
        if current[1] <= current[0]:
            continue
        if longest is not None and current[0] < longest[1]:
            return longest, current
        if longest is None or current[1] > longest[1]:
            longest = current
    return None
