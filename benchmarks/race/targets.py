"""What was to be reached, what was, and why where it was missed."""

import json
import statistics
from dataclasses import dataclass

from benchmarks.race.places import PROJECT

CAUSES = PROJECT / "benchmarks" / "race" / "causes.json"
"""Written by hand after looking: by the target's name, why it is missed."""


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
    """

    name: str
    limit: float
    values: dict
    is_most: bool = False
    unit: str = ""

    def is_met_by(self, value):
        return value <= self.limit if self.is_most else value >= self.limit


def find_targets(cases, fits, records):
    """All targets of issue 4 with what was measured."""
    narrow = [case for case in cases if case.endswith("narrow zlib")]
    wide = [case for case in cases if "wide" in case]

    def rates(chosen, who, reference):
        pairs = {case: (fits[case, reference], fits[case, who]) for case in chosen}
        return {
            case.partition(",")[0] if case in narrow else case: a.event_s / b.event_s
            for case, (a, b) in pairs.items()
            if a and b
        }

    def figure(name, key="seconds", scale=1.0, **more):
        values = [row[key] for row in records.find(figure=name, **more)]
        return {"": scale * statistics.median(values)} if values else {}

    q6 = [case for case in narrow if case.startswith("q6")]
    others = [case for case in narrow if case not in q6]
    floor = rates(narrow, "floor", "numba")
    ours, theirs = (figure("memory", "bytes", who=who) for who in ("beampipe", "coffea"))
    memory = {"": ours[""] / theirs[""]} if ours and theirs else {}
    return [
        Target("unchanged, rate over RDataFrame MT", 1.2, rates(others, "beampipe", "rdataframe")),
        Target("q6 unchanged, over RDataFrame MT", 0.9, rates(q6, "beampipe", "rdataframe")),
        Target("numba kernels, over RDataFrame MT", 2, rates(narrow, "numba", "rdataframe")),
        Target("numba kernels, time over the floor", 1.3, floor, is_most=True),
        Target("wide files, over coffea DaskExecutor", 150, rates(wide, "beampipe", "coffea-dask")),
        Target("second run, over coffea DaskExecutor", 15, rates(narrow, "second", "coffea-dask")),
        Target(
            "fixed cost of a chunk on 2,619 branches",
            5,
            figure("chunk", scale=1e3),
            is_most=True,
            unit=" ms",
        ),
        Target(
            "start of the command to the first partial",
            1.5,
            figure("first partial"),
            is_most=True,
            unit=" s",
        ),
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
    cause = causes.get(target.name, "")
    which = f" by {', '.join(missed)}" if missed != [""] else ""
    return f"**missed**{which}{': ' if cause else ''}{cause}"
