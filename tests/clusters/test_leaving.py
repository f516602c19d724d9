from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from beampipe.clusters.opening import cluster

PROGRAM = """
import sys, time
from beampipe.clusters.opening import cluster
opened = cluster("slurm", n_workers=1, submit_every="1 s")
while not opened.jobs():
    time.sleep(0.05)
print("up", flush=True)
if sys.argv[1] == "wait":
    time.sleep(600)
"""


def left(fake):
    with fake.open() as jobs:
        return len(jobs), [job for job in jobs.values() if job.state != "ended"]


@pytest.mark.parametrize(
    ("how", "number", "code"),
    [("end", None, 0), ("wait", signal.SIGTERM, 143), ("wait", signal.SIGHUP, 129)],
    ids=["end", "SIGTERM", "SIGHUP"],
)
def test_a_process_that_goes_leaves_no_job(fake_slurm, how, number, code):
    argv = [sys.executable, "-c", PROGRAM, how]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout.readline() == "up\n"
        if number is not None:
            time.sleep(0.1)
            process.send_signal(number)
        assert process.wait(90) == code
    count, alive = left(fake_slurm)
    assert count == 1
    assert alive == []


def test_after_the_last_cluster_signals_mean_again_what_they_did(fake_slurm):
    """Seen: a run after a cluster in the same process died of SIGTERM without its farewell."""
    before = signal.getsignal(signal.SIGTERM)
    assert before == signal.SIG_DFL
    with cluster("slurm"):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
