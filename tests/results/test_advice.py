from __future__ import annotations

import pytest

from beampipe.results.advice import RULES, Figures, advise

BUSY = {"open": 5.0, "fetch": 5.0, "decompress": 5.0, "interpret": 5.0, "compute": 20.0}
QUIET = Figures(wall_s=100.0, work_s=40.0, stages=BUSY, busy=0.9)


def run(stages=BUSY, *, busy=0.9, driver=None, wall=100.0, **metrics):
    work = sum(seconds for name, seconds in stages.items() if name != "wait")
    return Figures(wall, work, stages, driver or {}, busy, metrics)


# By rule: a run to which it applies, and what it then says.
CASES = {
    "storage": (run({"fetch": 72, "compute": 28}), "72 % waiting for storage"),
    "decompression": (run({"decompress": 45, "compute": 55}), "45 % of the work is decomp"),
    "interpretation": (run({"interpret": 45, "fetch": 55}), "45 % of the work is turning"),
    "reading": (run({"read": 70, "compute": 30}), "70 % of the work is reading"),
    "opening": (run({"open": 30, "compute": 70}), "30 % of the work is opening files"),
    "processor": (run({"compute": 70, "fetch": 30}), "70 % of the work is in the"),
    "filling": (run({"fill": 35, "compute": 65}), "35 % of the work is filling"),
    "merging": (run({"merge": 35, "compute": 65}), "35 % of the work is adding"),
    "start": (run(driver={"plan": 25, "start": 20}), "45 % of the time went into"),
    "driver": (run(busy=0.4, driver={"pull": 45}), "60 % of the time while results"),
    "few-bundles": (run(busy=0.4, n_bundles=5, n_workers=2), "smaller chunks"),
    "idle": (run(busy=0.4, n_bundles=50, n_workers=2), "60 % of the time: fewer"),
    "uproot": (
        run({"fetch": 30, "compute": 70}, columns_indexed=60, columns_uproot=40),
        "40 % of the columns were read by uproot's own reader",
    ),
    "columns-change": (run(chunks_again=50, chunks=200, n_workers=2), "50 times a chunk began"),
}


def test_every_rule_has_a_case():
    assert [rule.name for rule in RULES] == list(CASES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_what_was_measured(rule):
    figures, words = CASES[rule.name]
    assert rule.applies(figures)
    (said,) = [text for text in advise(figures) if words in text]
    assert said.endswith(".")
    assert "{" not in said


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_nothing_of_other_runs(rule):
    assert not rule.applies(QUIET)
    assert not rule.applies(Figures())
    short, _ = CASES[rule.name]
    assert advise(Figures(4.0, short.work_s, short.stages, short.driver, short.busy)) == ()


def test_nothing_stands_out_nothing_is_said():
    assert advise(QUIET) == ()


def test_learning_columns_is_no_fault():
    assert advise(run(chunks_again=16, chunks=4, n_workers=2)) == ()
    assert advise(run(chunks_again=16, chunks=400, n_workers=2)) == ()


def test_little_work_has_no_shares():
    assert run({"fetch": 4.0, "compute": 0.5}).share("fetch") == 0.0


def test_the_start_explains_idle_workers_and_nothing_else_is_said():
    figures = run(busy=0.1, driver={"start": 60.0}, n_bundles=5, n_workers=2)
    assert len(advise(figures)) == 1
    assert "starting workers" in advise(figures)[0]


def test_idle_workers_are_not_told_twice():
    for driver in ({}, {"pull": 50.0}):
        figures = run(busy=0.1, driver=driver, n_bundles=50, n_workers=2)
        assert len([text for text in advise(figures) if "idle" in text]) == 1
