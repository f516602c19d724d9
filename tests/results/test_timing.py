from __future__ import annotations

import pytest

from beampipe.results.timing import explain_timing


def explain(stages, wall=20.0, workers=2):
    return explain_timing({"stages_s": stages, "wall_s": wall, "n_workers": workers})


def test_nothing_measured_says_nothing():
    timing = explain_timing({})
    assert timing.workers == timing.driver == timing.sentences == timing.advice == ()


def test_shares_add_up_within_their_group_and_unknown_stages_are_kept():
    timing = explain({"open": 1, "read": 2, "process": 6, "add": 1, "plan": 3, "pack": 1})
    assert sum(stage.share for stage in timing.workers) == pytest.approx(1)
    assert {stage.name: stage.share for stage in timing.driver} == {"plan": 0.75, "pack": 0.25}
    assert "60 % in the processor, 20 % reading columns" in timing.sentences[0]
    assert "25 % of the run" in timing.sentences[1]


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({"process": 30, "read": 2}, "processor itself"),
        ({"read": 30, "process": 2}, "is reading"),
        ({"open": 20, "process": 20}, "opening files"),
        ({"process": 5, "read": 5, "start": 12}, "stays up"),
        ({"process": 5, "read": 5, "add": 1}, "waited more"),
        ({"open": 0.3, "process": 0.1, "start": 9}, "stays up"),
    ],
)
def test_advice_follows_what_was_measured(stages, words):
    advice = explain(stages).advice
    assert len(advice) == 1
    assert words in advice[0]


def test_a_short_run_gets_no_advice():
    assert explain({"process": 3}, wall=2).advice == ()
