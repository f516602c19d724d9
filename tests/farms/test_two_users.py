"""Two ordinary users on one farm."""

from __future__ import annotations

import json

import pytest
from tests.farms.telling import Telling


@pytest.mark.parametrize("farm", ["slurm", "htcondor"], indirect=True)
def test_two_users_keep_out_of_each_others_clusters(farm):
    with (
        Telling(farm, "user_stories:owner") as owner,
        Telling(farm.as_second_user(), "user_stories:stranger") as stranger,
    ):
        facts = owner.wait_for("open")
        # The other one is told all that it could not find out itself.
        (stranger.folder / "other.json").write_text(json.dumps(facts))
        stranger.go_on("begin")
        found = stranger.end()
        owner.go_on("open")
        assert owner.end() == {"total": -45, "untouched": True}
    assert found == {
        "read": [],
        "let_in": [],
        "let_in_at_home": True,
        "sees": [],
        "reaped": "nothing to end",
        "own": 1,
    }
