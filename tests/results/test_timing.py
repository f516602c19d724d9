from __future__ import annotations

import json

import pytest

from beampipe.results.timing import WORKER_STAGES, explain_timing


def explain(stages, wall=20.0, workers=2, **more):
    return explain_timing({"stages_s": stages, "wall_s": wall, "n_workers": workers, **more})


def test_nothing_measured_says_nothing():
    timing = explain_timing({})
    assert timing.workers == timing.driver == timing.sentences == timing.advice == ()
    assert timing.line == ""


def test_shares_add_up_within_their_group_and_unknown_stages_are_kept():
    timing = explain({"open": 1, "read": 2, "process": 6, "add": 1, "plan": 3, "pack": 1})
    assert sum(stage.share for stage in timing.workers) == pytest.approx(1)
    assert {stage.name: stage.share for stage in timing.driver} == {"plan": 0.75, "pack": 0.25}
    assert timing.line.startswith("60 % in the processor, 20 % reading columns")
    assert "25 % of the time" in timing.sentences[1]


def test_each_stage_is_counted_once_and_in_order():
    stages = {
        "open": 1,
        "read": 10,
        "fetch": 5,
        "decompress": 3,
        "interpret": 1,
        "keep": 1,
        "process": 8,
        "fill": 2,
        "add": 1,
        "merge": 2,
        "wait": 17,
    }
    timing = explain(stages, threads_s=40, work_s=22)
    seconds = {stage.name: stage.seconds for stage in timing.workers}
    assert seconds == {
        "open": 1,
        "fetch": 5,
        "decompress": 3,
        "interpret": 1,
        "read": 1,
        "keep": 1,
        "compute": 6,
        "fill": 2,
        "merge": 3,
        "wait": 17,
    }
    assert list(seconds) == list(WORKER_STAGES)
    assert sum(seconds.values()) == 40
    assert timing.line.startswith("42 % waiting for work, 15 % in the processor")
    assert timing.sentences[0].startswith("The workers worked 23 s in all: 26 % in the processor")
    assert timing.sentences[1] == "They were at work for 55 % of the time they were there."


def test_reading_is_taken_apart_only_where_that_was_measured():
    names = [stage.name for stage in explain({"read": 4, "process": 2, "fetch": 0}).workers]
    assert names == ["read", "compute"]
    # Reading ahead: more was read than anybody waited for.
    names = [stage.name for stage in explain({"read": 4, "fetch": 3, "decompress": 3}).workers]
    assert names == ["fetch", "decompress"]


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({"process": 30, "read": 2}, "processor itself"),
        ({"read": 30, "process": 2}, "is reading"),
        ({"open": 20, "process": 20}, "opening files"),
        ({"process": 5, "read": 5, "start": 12}, "stays up"),
        ({"process": 5, "read": 5, "add": 1}, "fewer of them"),
        ({"open": 0.3, "process": 0.1, "start": 9}, "stays up"),
    ],
)
def test_advice_follows_what_was_measured(stages, words):
    advice = explain(stages).advice
    assert len(advice) == 1
    assert words in advice[0]


def test_settings_that_a_cluster_does_not_have_are_named():
    (sentence,) = explain_timing({"settings_unset": ["saturation", "a new one"]}).sentences
    assert "distributed.scheduler.worker-saturation" in sentence
    assert sentence.endswith("; a new one.")
    assert explain_timing({"settings_unset": []}).sentences == ()


def test_a_short_run_gets_no_advice():
    assert explain({"process": 3}, wall=2).advice == ()


def test_it_is_json():
    described = explain({"process": 30, "wait": 10, "plan": 1}).to_json()
    assert json.loads(json.dumps(described))["workers"][0] == {
        "name": "compute",
        "meaning": "in the processor",
        "seconds": 30.0,
        "share": 0.75,
    }
