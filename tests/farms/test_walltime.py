"""Runs that take longer than their jobs may, on real batch systems."""

from __future__ import annotations

import contextlib

import pytest
from tests.farms.telling import Telling

# Where the machine is busy a worker takes longer to start, and does less in its minute.
PATIENCE_S = 800


@pytest.mark.timeout(2 * PATIENCE_S)
def test_a_run_goes_on_over_generations_of_jobs(slurm_farm, htcondor_farm):
    with contextlib.ExitStack() as stack:
        stories = [
            stack.enter_context(
                Telling(farm, "walltime_stories:generations", patience_s=PATIENCE_S)
            )
            for farm in (slurm_farm, htcondor_farm)
        ]
        for story in stories:
            found = story.end()
            assert found["complete"], found
            assert found["missing"] == 0, found
            assert found["equal"], found
            assert found["jobs"] >= 5, found  # of two workers, three after the other
            assert found["lost"] == [], found
            assert found["left"] == 0, found
