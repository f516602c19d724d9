"""Runs that take longer than their jobs may, on real batch systems."""

from __future__ import annotations

import contextlib

import pytest
from tests.farms.telling import Telling

# Where the machine is busy a worker takes longer to start, and the story chooses longer jobs.
PATIENCE_S = 1200


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
            assert found["jobs"] >= 4, found  # each of the two that began was followed
            assert found["lost"] == [], found
