"""Whether contestants give the same result: before that no time counts."""

from itertools import accumulate

CLOSE = 1e-3


class UnequalError(Exception):
    """Two results differ by more than rounding."""


def judge(form, counts, expected_form, expected):
    """Compare histograms; gives how far apart they are (0 for equal bit by bit).

    Forms that round otherwise (single or double precision, another order of additions) put a
    value that lies on the edge of a bin into the other one. So between forms the largest
    difference of the cumulative distributions is compared: 0.001 of all entries is let pass.

    Raises
    ------
    UnequalError
        They differ by more than that, or at all where the form is the same.
    """
    if set(counts) != set(expected):
        raise UnequalError(f"histograms {sorted(counts)} and {sorted(expected)}")
    distance = max(measure_distance(counts[name], expected[name]) for name in expected)
    allowed = 0.0 if form == expected_form else CLOSE
    if distance > allowed:
        raise UnequalError(f"{form} and {expected_form} are {distance:.2g} apart")
    return distance


def measure_distance(one, other):
    """Largest difference of the cumulative counts, as a share of all."""
    if one == other:
        return 0.0
    if len(one) != len(other):
        return 1.0
    farthest = max(abs(a - b) for a, b in zip(accumulate(one), accumulate(other), strict=True))
    # Equal cumulative counts mean equal counts, so unequal ones give more than nothing.
    return farthest / max(sum(one), sum(other), 1)
