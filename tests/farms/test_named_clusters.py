"""Clusters with a name, and what is left of a killed process, on real batch systems."""

from __future__ import annotations


def test_a_cluster_whose_controller_was_killed_is_taken_over_with_its_place_in_the_queue(tell_on):
    for system, found in tell_on("named_stories:killed_controller", "slurm", "htcondor").items():
        assert found == {
            "totals": [-45, -45],
            "gone": "gone",
            "kept": 2,
            "listed": [],
        }, system


def test_scheduler_and_controller_can_be_a_job(tell_on):
    found = tell_on("named_stories:as_job", "slurm")
    assert found == {"slurm": {"total": -45, "queue": 2, "elsewhere": True}}


def test_jobs_of_a_killed_process_are_found_and_ended(tell_on):
    for system, found in tell_on("named_stories:reaped", "slurm", "htcondor").items():
        assert found == {"living": False, "left": 2, "said": True}, system
