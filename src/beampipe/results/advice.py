"""What would make a run quicker: rules over what it measured, in one table.

Shares are of the workers' work, or where it says so of the time that they were there. A rule
says what was measured and what follows. Where nothing stands out, nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# Below this, a run is over before its shares mean anything [s].
_MIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What rules look at.

    Attributes
    ----------
    wall_s, work_s : float
        Of the run, and of all its worker threads together, without waiting [s].
    stages, driver : mapping of str to float
        By stage, as in `Timing` [s].
    busy : float or None
        Share of the workers' time that was work.
    metrics : mapping
        Everything else that was measured.
    """

    wall_s: float = 0.0
    work_s: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    driver: Mapping[str, float] = field(default_factory=dict)
    busy: float | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def share(self, *stages: str) -> float:
        """Share of the work that stages took together; 0 where there was hardly any work."""
        if self.work_s < _MIN_S:
            return 0.0
        return sum(self.stages.get(stage, 0.0) for stage in stages) / self.work_s

    def spent(self, *stages: str) -> float:
        """Share of the wall time that stages of the driver took together."""
        return sum(self.driver.get(stage, 0.0) for stage in stages) / max(self.wall_s, 1e-9)

    def count(self, name: str) -> float:
        """A count among the metrics; 0 where it was not measured."""
        return float(self.metrics.get(name) or 0)

    @property
    def idle(self) -> float:
        """Share of the workers' time in which they had nothing to do; 0 in a short run."""
        return 1 - self.busy if self.busy is not None and self.wall_s > 2 * _MIN_S else 0.0

    @property
    def starting(self) -> float:
        """Share of the wall time before the first bundle."""
        return self.spent("plan", "reuse", "start")

    @property
    def by_uproot(self) -> float:
        """Share of the columns that uproot's own reader had to read."""
        columns = self.count("columns_indexed") + self.count("columns_uproot")
        return self.count("columns_uproot") / columns if columns else 0.0

    @property
    def is_short_of_bundles(self) -> bool:
        """Whether there were hardly more bundles than workers."""
        return 0 < self.count("n_bundles") < 3 * self.count("n_workers")

    @property
    def again(self) -> float:
        """How often a chunk began anew, per chunk; 0 in runs that are mostly learning columns.

        Each worker learns the columns of a dataset with its first chunks, which begin anew some
        times.
        """
        is_long = self.count("chunks") > 50 * max(self.count("n_workers"), 1)
        return self.count("chunks_again") / self.count("chunks") if is_long else 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One advice: when it applies, and the words; `value` goes into them."""

    name: str
    applies: Callable[[Figures], bool]
    words: str
    value: Callable[[Figures], float] = lambda _: 0.0


RULES: tuple[Rule, ...] = (
    Rule(
        "storage",
        lambda run: run.share("fetch") > 0.5,
        "{:.0%} waiting for storage: more workers won't help if they read from the same one. "
        "Files nearer to the workers do, and a second run reads from their column cache.",
        lambda run: run.share("fetch"),
    ),
    Rule(
        "decompression",
        lambda run: run.share("decompress") > 0.4,
        "{:.0%} of the work is decompression: files written with zstd or lz4, or with bigger "
        "baskets, are read faster; more workers help, too.",
        lambda run: run.share("decompress"),
    ),
    Rule(
        "interpretation",
        lambda run: run.share("interpret") > 0.4,
        "{:.0%} of the work is turning bytes into arrays: bigger baskets and a larger chunksize "
        "help, and reading fewer columns.",
        lambda run: run.share("interpret"),
    ),
    Rule(
        "reading",
        lambda run: run.share("read") > 0.6,
        "{:.0%} of the work is reading: files closer to the workers, a quicker compression "
        "(zstd, lz4), or fewer columns would help; a faster processor would not.",
        lambda run: run.share("read"),
    ),
    Rule(
        "opening",
        lambda run: run.share("open") > 0.25,
        "{:.0%} of the work is opening files: a larger chunksize, or larger files, would help.",
        lambda run: run.share("open"),
    ),
    Rule(
        "processor",
        lambda run: run.share("compute") > 0.6,
        "{:.0%} of the work is in the processor itself: more workers help, and so does a faster "
        "processor (numba, fewer intermediate arrays); reading is not the limit.",
        lambda run: run.share("compute"),
    ),
    Rule(
        "filling",
        lambda run: run.share("fill") > 0.3,
        "{:.0%} of the work is filling histograms: one fill per chunk with whole arrays instead "
        "of many small ones, and fewer bins and axes, would help.",
        lambda run: run.share("fill"),
    ),
    Rule(
        "merging",
        lambda run: run.share("merge") > 0.25,
        "{:.0%} of the work is adding outputs up: they are large for the chunks they come from. "
        "Fewer bins, or a larger chunksize, would help.",
        lambda run: run.share("merge"),
    ),
    Rule(
        "start",
        lambda run: run.starting > 0.4,
        "{:.0%} of the time went into planning and starting workers: a cluster that stays up, "
        "given as client=, saves the start.",
        lambda run: run.starting,
    ),
    Rule(
        "driver",
        lambda run: run.idle > 0.4 and run.starting <= 0.4 and run.spent("pull", "commit") > 0.4,
        "Workers were idle {:.0%} of the time while results were fetched and written: smaller "
        "outputs, or a longer checkpoint, would help.",
        lambda run: run.idle,
    ),
    Rule(
        "few-bundles",
        lambda run: _is_idle(run) and run.is_short_of_bundles,
        "Workers were idle {:.0%} of the time, for there was too little to share out: smaller "
        "chunks (chunksize), or fewer workers.",
        lambda run: run.idle,
    ),
    Rule(
        "idle",
        lambda run: _is_idle(run) and not run.is_short_of_bundles,
        "Workers were idle {:.0%} of the time: fewer of them would do.",
        lambda run: run.idle,
    ),
    Rule(
        "uproot",
        lambda run: run.by_uproot > 0.2 and run.share("fetch", "decompress", "read") > 0.2,
        "{:.0%} of the columns were read by uproot's own reader, which takes longer, because the "
        "basket index does not hold their types.",
        lambda run: run.by_uproot,
    ),
    Rule(
        "columns-change",
        lambda run: run.again > 0.2,
        "{:.0f} times a chunk began anew, because the processor asked for a column that it had "
        "not asked for before: use columns in every chunk, or in none.",
        lambda run: run.count("chunks_again"),
    ),
)
"""Every advice there is; several may apply."""


def _is_idle(run: Figures) -> bool:
    """Whether workers had little to do, and neither the start nor the driver explains it."""
    return run.idle > 0.5 and run.starting <= 0.4 and run.spent("pull", "commit") <= 0.4


def advise(figures: Figures) -> tuple[str, ...]:
    """Say what would help.

    Parameters
    ----------
    figures : Figures
        What was measured.

    Returns
    -------
    tuple of str
        A sentence for each rule that applies; empty for runs of a few seconds.
    """
    if figures.wall_s < _MIN_S:
        return ()
    return tuple(
        rule.words.format(rule.value(figures)).replace("%", " %", 1)
        for rule in RULES
        if rule.applies(figures)
    )
