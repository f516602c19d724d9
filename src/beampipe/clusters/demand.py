"""How many jobs an adaptive cluster asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """An adaptive cluster's bounds, and what it asks for now.

    More is asked for at once. Less is asked for only when less was needed all the time for a while:
    a job that waits has a place in the queue, which is not thrown away between two steps of
    an analysis.

    Attributes
    ----------
    minimum, maximum : int
        Jobs.
    patience_s : float
        How long less must be needed [s].
    wanted : int
        Jobs that are asked for.
    low_since : float or None
        Since when less is needed [s since 1970].
    low_peak : int
        The most that was needed since then.
    """

    minimum: int
    maximum: int
    patience_s: float = 30.0
    wanted: int = 0
    low_since: float | None = None
    low_peak: int = 0

    def follow(self, needed: int, now: float) -> Demand:
        """Take in how many jobs the work at hand needs."""
        needed = min(max(needed, self.minimum), self.maximum)
        if needed >= self.wanted:
            return replace(self, wanted=needed, low_since=None, low_peak=0)
        if self.low_since is None:
            return replace(self, low_since=now, low_peak=needed)
        peak = max(self.low_peak, needed)
        if now - self.low_since < self.patience_s:
            return replace(self, low_peak=peak)
        return replace(self, wanted=peak, low_since=None, low_peak=0)
