"""Workers of real batch systems that have no environment: ours comes packed."""

from __future__ import annotations


def test_an_environment_is_packed_for_workers_that_see_no_python_of_ours(tell_on):
    for system, found in tell_on("packed_stories:packed", "slurm", "htcondor").items():
        assert found == {
            "unseen": True, "prefixes": 1, "unpacked": 2, "equal": True, "complete": True,
            "named": True, "left": [],
        }, system  # fmt: skip
