"""What is told of a job whose node is gone, each on a farm of its own, which it spoils."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest
from tests.farms import htcondor, slurm
from tests.farms.conftest import need
from tests.farms.daemons import Daemons
from tests.farms.test_dialects import on

from beampipe.batch.model import JobState


@pytest.fixture
def lone_farm(request):
    """A farm with one node."""
    module = request.param
    need(module.__name__.rpartition(".")[2])
    with tempfile.TemporaryDirectory(prefix="bpf-", ignore_cleanup_errors=True) as folder:
        farm = module.start(Path(folder), nodes=1)
        yield farm
        module.stop(farm)


@pytest.mark.parametrize("lone_farm", [slurm], indirect=True, ids=["slurm"])
def test_slurm_says_that_the_node_failed_and_starts_nothing_again(lone_farm):
    farm = on(lone_farm)
    job = farm.describe("sleep", "300")
    (job_id,) = farm.submit(job)
    farm.wait_for(job, (job_id,), JobState.RUNNING)
    lone_farm.nodes.cut(1)
    end = farm.wait_for_end(job, job_id, 110)
    assert end.cause == "node"
    assert end.words.startswith("NODE_FAIL")


@pytest.mark.parametrize("lone_farm", [htcondor], indirect=True, ids=["htcondor"])
def test_htcondor_removes_what_was_thrown_off_its_node(lone_farm):
    farm = on(lone_farm)
    job = farm.describe("sleep", "300")
    (job_id,) = farm.submit(job)
    farm.wait_for(job, (job_id,), JobState.RUNNING)
    masters = {name: pid for pid, name in Daemons(lone_farm.folder).running().items()}
    os.kill(masters["n1"], signal.SIGQUIT)  # the node goes down, and its jobs with it
    assert farm.wait_for_end(job, job_id, 110).cause == "node"
