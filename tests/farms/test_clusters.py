"""Clusters on real batch systems."""

from __future__ import annotations

import pytest

# HTCondor negotiates every some seconds, and the machine of CI is small.
pytestmark = [
    pytest.mark.timeout(500),
    pytest.mark.parametrize("farm", ["slurm", "htcondor", "sge"], indirect=True),
]


def test_the_dimuon_spectrum_is_the_same_as_here(tell):
    found = tell("cluster_stories:analysis")
    assert found["histograms"] > 0
    assert found["equal"]
    assert found["complete"]
    assert found["left"] == 0


def test_a_job_that_is_killed_is_replaced(tell, farm):
    # Grid Engine keeps no word of who ended a job: one that has handed over, and left with exit
    # code 0, is one that has done its work.
    victim = "done" if farm.system == "sge" else "lost"
    assert tell("cluster_stories:killed") == {"total": -45, "victim": victim}


def test_a_scale_down_computes_nothing_again(tell):
    assert tell("cluster_stories:scale_down") == {"total": 780, "computed": 40, "left": 0}


def test_a_queue_that_refuses_is_heard(tell):
    assert tell("cluster_stories:refused")["why"]


def test_jobs_that_fail_are_given_up_with_what_they_wrote(tell):
    found = tell("cluster_stories:broken")
    assert "no such module" in found["why"]
    assert found["left"] == 0


def test_adaptive_from_nothing_and_back(tell):
    assert tell("cluster_stories:adaptive") == {"total": -45}


def test_jobs_that_wait_say_why_and_go_first(tell):
    found = tell("cluster_stories:crowded")
    assert found["pending"] > 0


def test_plain_dask_computes_what_numpy_and_pandas_do(tell):
    found = tell("dask_stories:plain")
    assert set(found) == {"map", "delayed", "array", "bag", "dataframe", "scattered"}
    assert all(found.values()), found
