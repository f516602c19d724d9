from __future__ import annotations

import pytest

from beampipe.execution.accounting import Accounting, DatasetAccounting
from beampipe.results.verdict import judge_run


def account(processed=10, failed=0, not_reached=0, *, planned=10, uncounted=0):
    events = (planned, processed, failed, not_reached)
    return Accounting((DatasetAccounting("DY", 2, uncounted, *events, 2, 2, 0),))


def test_complete_needs_status_and_accounting():
    verdict = judge_run("complete", account())
    assert verdict.is_complete
    assert verdict.headline == "COMPLETE"
    assert "All 10 events of 2 files were processed, each once." in verdict.sentence


@pytest.mark.parametrize(
    ("status", "accounting", "headline"),
    [
        ("complete", account(9, 1), "INCOMPLETE"),
        ("complete", account(uncounted=1), "INCOMPLETE"),
        ("incomplete", account(), "INCOMPLETE"),
        ("interrupted", account(), "INTERRUPTED"),
        ("failed", account(), "FAILED"),
        ("incomplete", account(8, 1, 1), "INCOMPLETE"),
        ("failed", account(5, 1, 4), "FAILED, INCOMPLETE"),
        ("interrupted", account(5, 0, 5), "INTERRUPTED, INCOMPLETE"),
        ("running", account(5, 0, 5), "RUNNING, INCOMPLETE"),
        ("complete", account(9, 0, 0), "DOES NOT BALANCE, INCOMPLETE"),
    ],
)
def test_a_hole_is_said_whatever_the_status(status, accounting, headline):
    verdict = judge_run(status, accounting)
    assert not verdict.is_complete
    assert verdict.headline == headline


def test_the_counts_are_in_the_sentence():
    sentence = judge_run("incomplete", account(7, 1, 2, uncounted=1)).sentence
    assert "7 of 10 events processed (70.0 %), 1 failed, 2 not reached." in sentence
    assert "1 file could not be counted" in sentence


def test_sums_that_do_not_add_up_name_the_dataset():
    assert "The sums of DY do not add up" in judge_run("complete", account(9, 0, 0)).sentence


def test_an_end_that_was_not_recorded_is_not_called_a_hole():
    verdict = judge_run("interrupted", account())
    assert not verdict.lacks_events
    assert "All 10 events of 2 files were processed" in verdict.sentence
