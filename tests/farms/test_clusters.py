"""Clusters on real batch systems."""

from __future__ import annotations

import json
import os
import pwd
import sys
import uuid
from pathlib import Path

import pytest
from tests.farms.farm import Farm

STORIES = Path(__file__).with_name("cluster_stories.py")
# HTCondor negotiates every some seconds, and the machine of CI is small.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["slurm", "htcondor"])
def tell(request):
    """Run a story as the farm's user; what it prints."""
    farm: Farm = request.getfixturevalue(f"{request.param}_farm")
    folder = farm.shared / f"story {uuid.uuid4().hex[:8]}"
    folder.mkdir()
    user = pwd.getpwnam(farm.user)
    os.chown(folder, user.pw_uid, user.pw_gid)

    def tell_story(name):
        script = f"cd {str(folder)!r} && exec {sys.executable} {STORIES} {name} {farm.system} "
        done = farm.run("timeout", "250", "bash", "-c", script + farm.nodes.host, timeout=270)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return json.loads(done.stdout.splitlines()[-1])

    return tell_story


def test_the_dimuon_spectrum_is_the_same_as_here(tell):
    found = tell("analysis")
    assert found["histograms"] > 0
    assert found["equal"]
    assert found["complete"]
    assert found["left"] == 0


def test_a_job_that_is_killed_is_replaced(tell):
    assert tell("killed") == {"total": -45, "victim": "lost"}


def test_a_scale_down_computes_nothing_again(tell):
    assert tell("scale_down") == {"total": 780, "computed": 40, "left": 0}


def test_a_queue_that_refuses_is_heard(tell):
    assert tell("refused")["why"]


def test_jobs_that_fail_are_given_up_with_what_they_wrote(tell):
    found = tell("broken")
    assert "no such module" in found["why"]
    assert found["left"] == 0


def test_adaptive_from_nothing_and_back(tell):
    assert tell("adaptive") == {"total": -45}


def test_jobs_that_wait_say_why_and_go_first(tell):
    found = tell("crowded")
    assert found["pending"] > 0
