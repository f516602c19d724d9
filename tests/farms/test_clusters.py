"""Clusters on real batch systems, on all of them at a time: most of a story is waiting."""

from __future__ import annotations

import pytest


@pytest.fixture
def tell(tell_on):
    """Tells a story on three farms, and on more; what it tells at its end, by system."""
    return lambda story, *more: tell_on(story, "slurm", "htcondor", "sge", *more).items()


def test_the_dimuon_spectrum_is_the_same_as_here(tell):
    for system, found in tell("cluster_stories:analysis", "oar"):
        assert found["histograms"] > 0, system
        assert found["equal"], system
        assert found["complete"], system


def test_a_job_that_is_killed_is_replaced(tell):
    for system, found in tell("cluster_stories:killed", "oar"):
        # Grid Engine keeps no word of who ended a job: one that has handed over, and left with
        # exit code 0, is one that has done its work.
        victim = "done" if system == "sge" else "lost"
        assert found == {"total": -45, "victim": victim}, system


def test_a_scale_down_computes_nothing_again(tell):
    for system, found in tell("cluster_stories:scale_down"):
        assert found == {"total": 780, "computed": 40}, system


def test_a_queue_that_refuses_is_heard(tell):
    for system, found in tell("cluster_stories:refused", "oar"):
        assert found["why"], system


def test_jobs_that_fail_are_given_up_with_what_they_wrote(tell):
    for system, found in tell("cluster_stories:broken"):
        assert "no such module" in found["why"], system
        assert found["left"] == 0, system


def test_adaptive_from_nothing_and_back(tell):
    for system, found in tell("cluster_stories:adaptive"):
        assert found == {"total": -45}, system


def test_jobs_that_wait_say_why_and_go_first(tell):
    for system, found in tell("cluster_stories:crowded"):
        assert found["pending"] > 0, system


def test_plain_dask_computes_what_numpy_and_pandas_do(tell):
    for system, found in tell("dask_stories:plain"):
        assert set(found) == {"map", "delayed", "array", "bag", "dataframe", "scattered"}
        assert all(found.values()), (system, found)
