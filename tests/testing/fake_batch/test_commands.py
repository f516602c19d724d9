from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from beampipe.testing.fake_batch.commands import FOLDER, install_fakes
from beampipe.testing.fake_batch.queue import FakeQueue


@pytest.fixture
def fakes(tmp_path):
    return install_fakes(tmp_path / "fa ke", "slurm", ("squeue", "sbatch"))


def squeue(fakes):
    argv = ["squeue", "--format=%i"]
    env = os.environ | fakes
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=env, timeout=120)


def test_a_fake_is_found_first_and_answers(fakes):
    done = squeue(fakes)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("rules", "stdout", "stderr", "code"),
    [
        ({"print": "<html>"}, "<html>\n", "", 0),
        ({"fail": "socket timed out"}, "", "socket timed out\n", 1),
    ],
    ids=["print", "fail"],
)
def test_a_fake_misbehaves_as_it_is_told(fakes, rules, stdout, stderr, code):
    queue = FakeQueue(Path(fakes[FOLDER]))
    queue.change(**rules)
    done = squeue(fakes)
    assert (done.stdout, done.stderr, done.returncode) == (stdout, stderr, code)
    queue.change(print="", fail="")
    assert squeue(fakes).returncode == 0


def test_a_fake_hangs_as_long_as_it_is_told(fakes):
    FakeQueue(Path(fakes[FOLDER])).change(hang_s=1.5)
    began = time.monotonic()
    assert squeue(fakes).returncode == 0
    assert time.monotonic() - began >= 1.5


def test_a_queue_that_refuses_does_so_in_its_own_words(fakes, tmp_path):
    FakeQueue(Path(fakes[FOLDER])).change(refuse="QOSMaxSubmitJobPerUserLimit")
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\n")
    done = subprocess.run(
        ["sbatch", str(script)], capture_output=True, text=True, check=False, env=os.environ | fakes
    )
    assert done.returncode == 1
    assert "QOSMaxSubmitJobPerUserLimit" in done.stderr
