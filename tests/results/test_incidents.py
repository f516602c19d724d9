from __future__ import annotations

from dataclasses import replace

import pytest
from tests.results.runs_by_hand import INCIDENTS

from beampipe.results.incidents import (
    count_incidents,
    group_incidents,
    list_remarks,
    sum_incidents,
)


def test_the_same_words_are_one_line_with_their_times():
    retry, died, new = group_incidents(INCIDENTS)
    assert (retry.count, retry.name) == (14, "retry")
    assert retry.when == "2026-11-20 21:45:20 UTC+01:00 to 2026-11-20 21:46:20 UTC+01:00"
    assert (died.count, died.name, died.when) == (1, "worker died", "2026-11-20 21:45:31 UTC+01:00")
    assert (new.name, new.when) == ("new kind of thing", "")


def test_kinds_are_counted_the_worst_first():
    assert count_incidents(INCIDENTS) == "1 worker died, 14 retries, 1 new kind of thing"
    assert sum_incidents(INCIDENTS)["retry"] == 14
    assert count_incidents([]) == ""


def test_an_entry_that_makes_no_sense_is_still_shown():
    (group,) = group_incidents([{"count": "many", "time": 3}])
    assert (group.what, group.text, group.count) == ("", "", 1)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({}, None),
        ({"reproducible": True}, "Reproducible to the bit"),
        ({"reproducible": False}, "the reason was not recorded"),
        ({"reproducible": False, "reproducible_why": "a chunk was split"}, "a chunk was split"),
    ],
)
def test_the_mark_is_said_where_it_was_asked_for(whole_record, metrics, words):
    remarks = list_remarks(replace(whole_record, metrics=metrics))
    assert len(remarks) == (words is not None)
    assert words is None or words in remarks[0]
