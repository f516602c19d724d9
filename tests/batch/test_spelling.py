from __future__ import annotations

import pytest

from beampipe.batch.spelling import check_accepted, in_turns, misread, read_duration, spell_duration
from beampipe.errors import BatchRefusedError


@pytest.mark.parametrize("seconds", [0, 59, 60, 3599, 3600, 86399, 90061, 10**7])
def test_a_duration_is_read_as_it_was_spelt(seconds):
    assert read_duration(spell_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "N/A", "INVALID", "UNLIMITED", "5", "1-5", "-1:00"])
def test_what_is_no_duration_is_none(text):
    assert read_duration(text) is None


def test_pieces_hold_all_in_order():
    jobs = tuple(map(str, range(1001)))
    pieces = list(in_turns(jobs))
    assert [len(piece) for piece in pieces] == [500, 500, 1]
    assert sum(pieces, ()) == jobs
    assert list(in_turns(())) == []


def test_a_refusal_without_a_word_still_says_something():
    check_accepted("X", stdout="", stderr="a warning", exit_code=0)
    with pytest.raises(BatchRefusedError, match="exit code 5"):
        check_accepted("X", stdout="", stderr="", exit_code=5)


def test_output_that_cannot_be_read_is_shown_in_part():
    assert len(misread("squeue", "x" * 10_000).why) < 400
    assert misread("squeue", " \n").why == "it printed nothing"
