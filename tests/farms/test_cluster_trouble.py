"""Clusters on real batch systems on which something goes wrong."""

from __future__ import annotations


def test_a_scale_down_in_the_middle_of_a_run_loses_nothing_that_was_to_be_merged(tell_on):
    for system, found in tell_on("trouble_stories:holders_lost", "slurm", "htcondor").items():
        assert found == {"complete": True, "missing": 0, "equal": True}, system


def test_a_queue_that_talks_nonsense_fails_or_hangs_costs_nothing(tell_on):
    everywhere = tell_on("trouble_stories:queue_trouble", "slurm", "htcondor", "sge")
    for system, found in everywhere.items():
        assert found == {"kept": True, "ended": [], "total": -15}, system


def test_a_job_that_is_held_is_given_up_and_replaced(tell_on):
    for system, found in tell_on("trouble_stories:held", "slurm", "htcondor", "sge", "oar").items():
        assert found["victim"] == "lost", system
        assert found["reason"].startswith("held: "), system


def test_a_node_on_which_no_worker_starts_is_avoided(tell_on):
    for system, found in tell_on("bad_node_stories:bad_node", "slurm", "htcondor").items():
        assert found["total"] == -45, system
        assert found["elsewhere"], system
        assert found["lost"] >= 2, system
        assert found["told"], system
        assert found["jobs"], system
        assert found["log"], system
