"""What was to be reached, what was, and why where it was missed."""

import json
import statistics
from dataclasses import dataclass, field, replace

from benchmarks.race.places import PROJECT
from benchmarks.race.stages import name_largest

CAUSES = PROJECT / "benchmarks" / "race" / "causes.json"
"""Written by hand after looking: by the target's name, why it is missed. Where the workers'
time went is added to it."""


@dataclass(frozen=True)
class Target:
    """One line of the table.

    Attributes
    ----------
    name : str
        What is measured.
    limit : float
        To be reached.
    is_most : bool
        Whether less is better.
    values : dict of str to float
        What was measured, by case; each of them has to reach the limit.
    unit : str
        Of the limit and the values.
    causes : dict of str to str
        What the time went into, by case.
    """

    name: str
    limit: float
    values: dict
    is_most: bool = False
    unit: str = ""
    causes: dict = field(default_factory=dict)

    def is_met_by(self, value):
        return value <= self.limit if self.is_most else value >= self.limit


def find_targets(cases, fits, records):
    """All targets of issue 4 with what was measured."""
    narrow = [case for case in cases if case.endswith("narrow zlib")]
    wide = [case for case in cases if "wide" in case]
    q6 = [case for case in narrow if case.startswith("q6")]
    others = [case for case in narrow if case not in q6]

    def rate(name, limit, chosen, who, reference):
        values, causes = {}, {}
        for case in chosen:
            one, other = fits[case, who], fits[case, reference]
            if one and other:
                short = case.removesuffix(", narrow zlib")
                values[short] = other.event_s / one.event_s
                causes[short] = name_largest(records.find(case=case, who=who))
        return Target(name, limit, values, causes=causes)

    over_floor = rate("numba kernels, time over the floor", 1.3, narrow, "numba", "floor")
    times = {case: 1 / value for case, value in over_floor.values.items()}
    return [
        rate("unchanged, rate over RDataFrame MT", 1.2, others, "beampipe", "rdataframe"),
        rate("q6 unchanged, over RDataFrame MT", 0.9, q6, "beampipe", "rdataframe"),
        rate("numba kernels, over RDataFrame MT", 2, narrow, "numba", "rdataframe"),
        replace(over_floor, values=times, is_most=True),
        rate("wide files, over coffea DaskExecutor", 150, wide, "beampipe", "coffea-dask"),
        rate("second run, over coffea DaskExecutor", 15, narrow, "second", "coffea-dask"),
        *find_figures(records),
    ]


def find_figures(records):
    """The targets that are no race."""

    def figure(name, limit, found, *, scale=1.0, unit=""):
        rows = records.find(figure=found)
        seconds = [row["seconds"] for row in rows]
        values = {"": scale * statistics.median(seconds)} if seconds else {}
        causes = {"": name_largest(rows)}
        return Target(name, limit, values, is_most=True, unit=unit, causes=causes)

    peaks = {}
    for who in ("beampipe", "coffea"):
        found = [row["bytes"] for row in records.find(figure="memory", who=who)]
        peaks[who] = statistics.median(found) if found else None
    memory = {"": peaks["beampipe"] / peaks["coffea"]} if all(peaks.values()) else {}
    return [
        figure("fixed cost of a chunk on 2,619 branches", 5, "chunk", scale=1e3, unit=" ms"),
        figure("start of the command to the first partial", 1.5, "first partial", unit=" s"),
        Target("peak memory of a worker, over coffea's", 1, memory, is_most=True),
    ]


def render_targets(cases, fits, records):
    causes = json.loads(CAUSES.read_text()) if CAUSES.exists() else {}
    lines = ["| | measured | target | |", "|---|---|---|---|"]
    for target in find_targets(cases, fits, records):
        sign = "≤" if target.is_most else "≥"
        limit = f"{sign} {target.limit:g}{target.unit}"
        lines.append(f"| {target.name} | {_spell(target)} | {limit} | {_judge(target, causes)} |")
    return "\n".join(lines)


def _spell(target):
    if not target.values:
        return "not measured"
    return ", ".join(
        f"{case} {value:.3g}{target.unit}".strip() for case, value in target.values.items()
    )


def _judge(target, causes):
    if not target.values:
        return ""
    missed = [case for case, value in target.values.items() if not target.is_met_by(value)]
    if not missed:
        return "met"
    which = f" by {', '.join(missed)}" if missed != [""] else ""
    said = [causes.get(target.name, "")]
    said += [f"{case}: {target.causes[case]}" for case in missed if target.causes.get(case)]
    cause = "; ".join(text.removeprefix(": ") for text in said if text)
    return f"**missed**{which}{' · ' if cause else ''}{cause}"
