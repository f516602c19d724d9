"""Workers of real batch systems that see nothing of the user's but the data."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(300)


def test_keys_code_and_inputs_reach_workers_that_see_no_folder_of_ours(tell_on):
    for system, found in tell_on("blind_stories:blind", "slurm", "htcondor", "sge").items():
        assert found == {
            "blind": True, "equal": True, "complete": True, "encrypted": True, "secret": False,
        }, system  # fmt: skip
