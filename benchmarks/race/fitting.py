"""From seconds at two sizes to a fixed cost and a rate."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Fit:
    """What a contestant takes for a case.

    Attributes
    ----------
    fixed_s : float
        Whatever the number of events.
    event_s : float
        For each event more.
    spread : float
        Slowest over fastest run at the larger size.
    rounds : int
        How many runs the medians are of.
    """

    fixed_s: float
    event_s: float
    spread: float
    rounds: int


def fit(rows):
    """Fit a line through the medians at the smaller and the larger size.

    None where a size is missing, or where the larger one was hardly slower, seen beside how far
    the runs of one size are apart: nothing can be told from that.
    """
    seconds = {}
    for row in rows:
        if row["round"] > 0 and "seconds" in row:
            seconds.setdefault(row["events"], []).append(row["seconds"])
    if len(seconds) < 2:
        return None
    small, large = min(seconds), max(seconds)
    first, second = (statistics.median(seconds[n]) for n in (small, large))
    noise = max(max(values) - min(values) for values in (seconds[small], seconds[large]))
    if second - first <= noise / 2:
        return None
    event_s = (second - first) / (large - small)
    spread = max(seconds[large]) / min(seconds[large])
    return Fit(first - small * event_s, event_s, spread, len(seconds[large]))
