"""What the tables say of what was measured."""

from __future__ import annotations

import os
import sys

import pytest
from benchmarks.race import targets
from benchmarks.race.page import render, write_page
from benchmarks.race.probes import has_partial, watch
from benchmarks.race.records import Records
from benchmarks.race.targets import Target, find_targets


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["benchmarks.race.records"], "BENCH", tmp_path)
    return Records("page"), Records("page-results")


def race(records, case, who, seconds, *, fixed=1.0):
    for number in (1, 2, 3):
        for events in (1_000_000, 3_000_000):
            took = fixed + seconds * events / 1e6
            known = {"case": case, "who": who, "files": events // 1_000_000, "round": number}
            stages = {"fetch": 1.0, "compute": 3.0} if who == "beampipe" else {}
            records.add(**known, events=events, seconds=took, stages=stages, apart=0)


@pytest.fixture
def measured(records):
    rows, results = records
    for case, scale in (("q1, narrow zlib", 1.0), ("q6, narrow zlib", 2.0)):
        race(rows, case, "beampipe", 1.0 * scale)
        race(rows, case, "numba", 0.5 * scale)
        race(rows, case, "rdataframe", 1.1 * scale, fixed=3.0)
        race(rows, case, "coffea-dask", 8.0 * scale)
        race(rows, case, "floor", 0.4 * scale, fixed=0.0)
    for who, size in (("beampipe", 800), ("coffea", 1_000)):
        rows.add(figure="memory", who=who, round=1, bytes=size)
    rows.add(figure="chunk", round=1, seconds=0.006)
    results.add(case="q6, narrow zlib", form="C++", files=1, apart=2e-4, counts={})
    rows.add(case="q6, narrow zlib", who="loop", files=1, round=1, error="UnequalError: far apart")
    return rows, results


def test_the_tables_give_rates_and_fixed_costs_apart(measured):
    text = render(*measured)
    lines = {line.split(" | ")[0].lstrip("| "): line for line in text.splitlines()}
    assert "| q1, narrow zlib | 2.5 | 1.2 |" in text  # multiples of the floor
    assert "2e-04" in text
    assert "| q1, narrow zlib | 1.10 | 2.20 |" in text  # over RDataFrame
    assert "| q1, narrow zlib | 8.00 | 16.00 |" in text  # over coffea
    assert lines["RDataFrame MT(2)"].startswith("| RDataFrame MT(2) | 3.00 |")
    assert "| q1, narrow zlib | 25 % | 75 % |" in text  # stages
    assert "far apart" in text


def test_targets_are_met_or_missed_case_by_case(measured, monkeypatch, tmp_path):
    causes = tmp_path / "causes.json"
    causes.write_text('{"unchanged, rate over RDataFrame MT": "because"}')
    monkeypatch.setattr(targets, "CAUSES", causes)
    lines = {line.split(" | ")[0][2:]: line for line in render(*measured).splitlines()}
    unchanged = lines["unchanged, rate over RDataFrame MT"]
    assert unchanged.endswith(
        "| q1 1.1 | ≥ 1.2 | **missed** by q1 · because; q1: compute 75 %, fetch 25 % |"
    )
    assert lines["q6 unchanged, over RDataFrame MT"].endswith("| q6 1.1 | ≥ 0.9 | met |")
    assert "**missed** |" in lines["fixed cost of a chunk on 2,619 branches"]
    assert lines["peak memory of a worker, over coffea's"].endswith("| 0.8 | ≤ 1 | met |")
    assert "not measured" in lines["start of the command to the first partial"]


def test_every_cause_belongs_to_a_target(records):
    names = {target.name for target in find_targets([], {}, records[0])}
    if targets.CAUSES.exists():
        import json

        assert set(json.loads(targets.CAUSES.read_text())) <= names


def test_a_limit_itself_is_met():
    assert Target("", 1.0, {}).is_met_by(1.0)
    assert Target("", 1.0, {}, is_most=True).is_met_by(1.0)
    assert not Target("", 1.0, {}, is_most=True).is_met_by(1.1)


def test_the_page_keeps_what_is_around_the_tables(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- make bench: begin -->\nold\n<!-- make bench: end -->\nz\n")
    write_page(page, "new")
    assert page.read_text() == "a\n<!-- make bench: begin -->\nnew\n<!-- make bench: end -->\nz\n"


def test_a_partial_is_there_when_a_histogram_is_drawn():
    assert has_partial("mass ▁▂█".encode())
    assert not has_partial("⠋ ━━━━ 10% 0/8 chunks".encode())


def test_the_clock_stops_when_the_terminal_shows_it():
    shows = [sys.executable, "-c", "print('starting'); print('mass ▁▂')"]
    assert watch(shows) > 0
    # More than a terminal holds: the rest must be read, too.
    assert watch([sys.executable, "-c", "print('mass ▁▂'); print('x' * 1_000_000)"]) > 0
    with pytest.raises(RuntimeError):
        watch([sys.executable, "-c", f"print({os.getpid()})"])
