"""The table of scenarios in the documentation, written from what was played."""

import datetime as dt
import os
import statistics
from collections import defaultdict

from tests.chaos.campaign import EXACT, FAILED, HONEST
from tests.chaos.nursery import PROJECT

PAGE = PROJECT / "docs" / "explanation" / "chaos.md"
BEGIN, END = "<!-- make chaos: begin -->", "<!-- make chaos: end -->"
HEADS = (
    "scenario",
    "clusters",
    "runs",
    "exact",
    "holes, named",
    "wrong",
    "done again",
    "of the dead",
    "bound",
    "over",
)


def write_table(page, scenarios, played):
    """Put the table between the page's marks."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise ValueError(f"{page} has no marks {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{make_table(scenarios, played)}\n{END}{after}")


def make_table(scenarios, played):
    """The table in Markdown, with how it came about above it."""
    by_scenario = defaultdict(list)
    for one in played:
        by_scenario[one.scenario].append(one)
    lines = [describe(played), "", row(HEADS), row(["---"] * len(HEADS))]
    lines += [
        row(make_row(scenarios[name], by_scenario[name])) for name in scenarios if by_scenario[name]
    ]
    return "\n".join(lines)


def describe(played):
    seeds = sorted({one.seed.partition("/")[0] for one in played})
    commits = sorted({one.commit for one in played})
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    minutes = sum(one.seconds for one in played) / 60
    return (
        f"{len(played)} runs on {today}, commit {', '.join(commits)}, seed {', '.join(seeds)}, "
        f"{os.cpu_count()} cores, {minutes:.0f} minutes. Work is in chunks, of 60 in a run: the "
        "mean over the runs, and the most."
    )


def make_row(scenario, played):
    counts = [sum(one.outcome == outcome for one in played) for outcome in (EXACT, HONEST, FAILED)]
    good = [one for one in played if one.outcome != FAILED]
    kinds = ", ".join(dict.fromkeys(one.kind for one in played))
    what = f"**{scenario.name}**: {scenario.what}"
    work = [
        spread([getattr(one, name) for one in good]) for name in ("redone", "on_the_dead", "bound")
    ]
    return [what, kinds, len(played), *counts, *work, sum(one.is_over for one in good)]


def spread(values):
    if not values:
        return ""
    return f"{statistics.fmean(values):.1f}, at most {max(values):.0f}"


def row(cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
