"""What the conformance suite does not look at: the form of what is printed."""

from __future__ import annotations

import os
import subprocess

import pytest

from beampipe.testing.fake_batch.commands import install_fakes


@pytest.fixture(params=["pbs", "torque"])
def ask(request, tmp_path):
    env = os.environ | install_fakes(
        tmp_path / "fa ke", request.param, ("qsub", "qselect", "qstat", "qdel")
    )

    def ask(*argv):
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=env)

    ask.system = request.param
    return ask


@pytest.fixture
def job_id(ask, tmp_path):
    cores = {"pbs": "select=1:ncpus=1", "torque": "nodes=1:ppn=1"}[ask.system]
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\n#PBS -N bp-a\n#PBS -l {cores}\n#PBS -h\nexec sleep 100\n")
    return ask("qsub", str(script)).stdout.strip()


def test_a_long_line_is_broken_behind_a_tab(ask, job_id):
    lines = ask("qstat", "-f", job_id).stdout.splitlines()
    assert lines[:2] == [f"Job Id: {job_id}", "    Job_Name = bp-a"]
    assert any(line.startswith("\t") for line in lines)


def test_an_unknown_job_is_said_on_the_side(ask, job_id):
    done = ask("qstat", "-f", job_id, "999.server")
    assert (done.returncode, done.stderr) == (153, "qstat: Unknown Job Id\n")
    assert f"Job Id: {job_id}\n" in done.stdout


def test_a_job_that_is_over_stays_in_the_queue_of_torque_alone(ask, job_id):
    ask("qdel", job_id)
    assert ask("qselect").stdout == ("" if ask.system == "pbs" else f"{job_id}\n")
    assert ask("qstat", "-f", job_id).returncode == (35 if ask.system == "pbs" else 0)
