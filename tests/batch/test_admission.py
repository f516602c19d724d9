from __future__ import annotations

import pytest

from beampipe.batch.admission import (
    Wanted,
    describe_longest,
    judge_failure,
    judge_name,
    judge_walltime,
    unasked,
)
from beampipe.batch.model import Answer

WANTED = Wanted(site="here", user="me", walltime_s=7200)


def test_a_name_that_is_not_known_has_its_closest_ones():
    finding = judge_name(
        "queue", name="lnog", known={"long", "short"}, key="queue", what="queue", site="here"
    )
    assert finding.fact == "there is no queue 'lnog'; those that there are: long, short"
    assert finding.remedy == "did you mean 'long'? correct `queue` of site 'here'"
    many = [f"q{k:02d}" for k in range(20)]
    finding = judge_name("queue", name="x", known=many, key="queue", what="queue", site="here")
    assert finding.fact.endswith("q11 and 8 more")
    assert "did you mean" not in finding.remedy
    assert judge_name("queue", name="q", known=["q"], key="queue", what="queue", site="s") is None


@pytest.mark.parametrize(("longest_s", "is_fine"), [(None, True), (7200, True), (3600, False)])
def test_jobs_that_are_too_long_for_their_queue(longest_s, is_fine):
    finding = judge_walltime(WANTED, longest_s, queue="short", what="queue")
    assert (finding is None) == is_fine
    if finding:
        assert finding.fact == "jobs of 2 h are asked for, and queue 'short' allows 1 h"
        assert finding.status == "error"


def test_what_gave_no_answer_was_not_checked():
    told = Answer(stdout="", stderr="Unable to\n contact slurm controller", exit_code=1)
    finding = judge_failure("queue", "scontrol", told)
    assert finding.status == "warning"
    assert finding.fact == "not checked: `scontrol` says: Unable to contact slurm controller"
    assert judge_failure("queue", "x", Answer("", exit_code=3)).fact.endswith("exit code 3")
    assert len(unasked("queue", "w " * 900).fact) < 400
    assert describe_longest(90) == ", for jobs of up to 0.025 h"
