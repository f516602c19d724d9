"""What is told of a job whose node is gone, each on a farm of its own, which it spoils."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import time
from dataclasses import replace

import pytest
from tests.farms.conftest import new_farm
from tests.farms.daemons import Daemons, wait_until
from tests.farms.telling import Telling
from tests.farms.test_dialects import on

from beampipe.batch.model import JobState

CUT_S = 8  # Slurm waits for a node for 20 s
NODES = (1, 2, 3)


def test_slurm_says_that_the_node_failed_and_starts_nothing_again():
    with new_farm("slurm", nodes=1) as lone_farm:
        farm = on(lone_farm)
        job = farm.describe("sleep", "300")
        (job_id,) = farm.submit(job)
        farm.wait_for(job, (job_id,), JobState.RUNNING)
        lone_farm.nodes.cut(1)
        end = farm.wait_for_end(job, job_id, 110)
        assert end.cause == "node"
        assert end.words.startswith("NODE_FAIL")


def test_htcondor_removes_what_was_thrown_off_its_node():
    with new_farm("htcondor", nodes=1) as lone_farm:
        farm = on(lone_farm)
        job = farm.describe("sleep", "300")
        began = job.log_folder / "began"
        job = replace(job, command=("sh", "-c", f"touch {shlex.quote(str(began))}; exec sleep 300"))
        (job_id,) = farm.submit(job)
        farm.wait_for(job, (job_id,), JobState.RUNNING)
        # What is called running may have yet to begin; thrown off before that, it may wait again.
        wait_until(began.exists, "the job to begin")
        masters = {name: pid for pid, name in Daemons(lone_farm.folder).running().items()}
        os.kill(masters["n1"], signal.SIGQUIT)  # the node goes down, and its jobs with it
        assert farm.wait_for_end(job, job_id, 110).cause == "node"


@pytest.fixture
def two_farms():
    """One job on a node, and one node more than the stories have jobs."""
    with contextlib.ExitStack() as stack:
        systems = ("slurm", "htcondor")
        yield [stack.enter_context(new_farm(each, nodes=len(NODES), cpus=1)) for each in systems]


def test_the_job_of_a_dead_node_is_replaced_and_what_it_had_is_done_again(two_farms):
    with contextlib.ExitStack() as stack:
        stories = [
            stack.enter_context(Telling(farm, "trouble_stories:node_dead")) for farm in two_farms
        ]
        for farm, story in zip(two_farms, stories, strict=True):
            farm.nodes.cut(find_node(farm, story.wait_for("under way")["host"]))
            story.go_on("under way")
        for farm, story in zip(two_farms, stories, strict=True):
            found = story.end()
            assert found["total"] == -sum(range(120)), farm.system
            assert found["victim"] == "lost", farm.system
            assert found["elsewhere"], farm.system


def test_a_run_goes_on_when_cables_are_out_for_a_while(two_farms):
    with contextlib.ExitStack() as stack:
        stories = [
            stack.enter_context(Telling(farm, "trouble_stories:link_cut")) for farm in two_farms
        ]
        for farm, story in zip(two_farms, stories, strict=True):
            traces = story.folder / "traces"
            story.wait_until(lambda traces=traces: len(list(traces.glob("*"))) > 4, "some chunks")
            for node in NODES:  # whichever has the workers
                farm.nodes.cut(node)
            time.sleep(CUT_S)
            for node in NODES:
                farm.nodes.mend(node)
        for farm, story in zip(two_farms, stories, strict=True):
            assert story.end() == {"complete": True, "missing": 0, "equal": True}, farm.system


def find_node(farm, host):
    """The number of a node: Slurm calls it ``n1``, HTCondor ``10-77-3-11.farm``."""
    names = {node: {f"n{node}", farm.nodes.address(node).replace(".", "-")} for node in NODES}
    return next(node for node in NODES if host.partition(".")[0] in names[node])
