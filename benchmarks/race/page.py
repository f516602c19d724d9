"""The tables, and the page that they are written into."""

import datetime as dt
import importlib.metadata
import os
import platform
import statistics
import subprocess

from benchmarks.race.contestants import CONTESTANTS
from benchmarks.race.fitting import fit
from benchmarks.race.places import PROJECT, ROOT_ENVIRONMENT
from benchmarks.race.stages import share_stages
from benchmarks.race.targets import render_targets

BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
REFERENCES = {"rdataframe": "RDataFrame MT(2)", "coffea-dask": "coffea DaskExecutor(2)"}


def render(records, results):
    """All tables as text."""
    cases = list(dict.fromkeys(row["case"] for row in records.rows if "case" in row))
    fits = {
        (case, who): fit(records.find(case=case, who=who)) for case in cases for who in CONTESTANTS
    }
    parts = [
        describe_machine(),
        "### Targets",
        render_targets(cases, fits, records),
        "### Time per event, in multiples of the floor",
        render_race(cases, fits, results),
    ]
    for who, label in REFERENCES.items():
        if any(fits[case, who] for case in cases):
            parts += [f"### Rate over {label}", render_ratios(cases, fits, who)]
    parts += ["### What is paid once [s]", render_fixed(cases, fits, records)]
    for who in ("beampipe", "numba"):
        parts += [f"### Where the time of workers goes: {CONTESTANTS[who].label}"]
        parts += [render_stages(cases, records, who)]
    parts += list(render_errors(records))
    return "\n\n".join(parts)


def describe_machine():
    packages = ("awkward", "coffea", "distributed", "numba", "uproot")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    root = list(ROOT_ENVIRONMENT.glob("lib/python*/site-packages/root-*.dist-info"))
    versions += f", root {root[0].name.split('-')[1].removesuffix('.dist')} (wheel)" if root else ""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607  the one on PATH
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    today = dt.datetime.now(dt.UTC).date()
    return (
        f"{today}, commit {commit}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{versions}."
    )


def render_race(cases, fits, results):
    """How many times the floor everybody takes, and how far results of other forms are apart."""
    names = [who for who in CONTESTANTS if any(fits[case, who] for case in cases)]
    rows = []
    for case in cases:
        floor = fits[case, "floor"]
        cells = [_ratio(fits[case, who], floor, digits=1) for who in names]
        apart = max((row["apart"] for row in results.find(case=case)), default=0.0)
        rows.append([case, *cells, f"{apart:.0e}" if apart else "0"])
    heads = [CONTESTANTS[who].label for who in names]
    return make_table(["", *heads, "results apart by at most"], rows)


def render_ratios(cases, fits, reference):
    names = [who for who in CONTESTANTS if any(fits[case, who] for case in cases)]
    names = [who for who in names if who != reference]
    rows = [
        [case, *(_ratio(fits[case, reference], fits[case, who], digits=2) for who in names)]
        for case in cases
    ]
    return make_table(["", *(CONTESTANTS[who].label for who in names)], rows)


def render_fixed(cases, fits, records):
    """Fixed cost of a warm run (median over the cases), and the whole first run of a process."""
    rows = []
    for who, contestant in CONTESTANTS.items():
        # Where runs are short the line may cross the axis below zero, which means nothing.
        fixed = [max(fits[case, who].fixed_s, 0.0) for case in cases if fits[case, who]]
        cold = [row["seconds"] for row in records.find(figure="cold start", who=who)]
        cells = [f"{statistics.median(values):.2f}" if values else "" for values in (fixed, cold)]
        if any(cells):
            rows.append([contestant.label, *cells])
    return make_table(["", "fixed cost of a warm run", "cold start to the first result"], rows)


def render_stages(cases, records, who):
    """Shares of the workers' time at the larger size, medians of what each round took."""
    shares = {case: share_stages(records.find(case=case, who=who)) for case in cases}
    names = list(dict.fromkeys(name for found in shares.values() for name in found))
    rows = [
        [case, *(f"{100 * found.get(name, 0):.0f} %" for name in names)]
        for case, found in shares.items()
        if found
    ]
    return make_table(["", *names], rows) if rows else "Not measured."


def render_errors(records):
    found = {(row["who"], row["case"], row["error"]) for row in records.rows if row.get("error")}
    if found:
        lines = [f"- {CONTESTANTS[w].label}, {case}: {error}" for w, case, error in sorted(found)]
        yield "### No time that counts\n\n" + "\n".join(lines)


def make_table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _ratio(one, other, *, digits):
    if one is None or other is None:
        return ""
    return f"{one.event_s / other.event_s:.{digits}f}"


def write_page(path, text):
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
