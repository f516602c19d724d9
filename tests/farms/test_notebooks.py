"""Notebooks as jobs of real batch systems."""

from __future__ import annotations


def test_a_kernel_on_a_node_runs_a_cell(tell_on):
    for system, found in tell_on("notebook_stories:notebook", "slurm", "htcondor").items():
        assert found == {"printed": 42, "here": True, "was": "running", "told": True}, system
