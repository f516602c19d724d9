"""What stories have in common: they are programs of a farm's ordinary user.

``SCRIPT STORY SYSTEM CONTACT`` prints one JSON object at the end. `CONTACT` is this machine's
address as the nodes see it. A story goes on in a folder of its own.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from getpass import getuser
from pathlib import Path
from typing import Any

import beampipe as bp
from beampipe.clusters.fleet import Job, Phase

SYSTEM, CONTACT = sys.argv[2:4]
PATIENCE_S = 200
SIZE = {"memory": "400 MiB", "look_every": "2 s", "submit_every": "1 s"}
# Before the names of HTCondor's commands, where those are not to be used by a cluster.
OTHER = os.environ.get("STORIES_COMMANDS", "")
CANCEL = {
    "slurm": "scancel",
    "htcondor": f"{OTHER}condor_rm",
    "sge": "qdel",
    "oar": "oardel",
}[SYSTEM]

# A job that waits, and would wait long.
WAITS = {
    "slurm": "--begin=now+1hour",
    "htcondor": "requirements = False",
    "sge": "-a 203001010000",
    "oar": "-r '2030-01-01 00:00:00'",
}[SYSTEM]


@contextlib.contextmanager
def open_cluster(**more: Any) -> Iterator[Any]:
    """A cluster on this farm; when something goes wrong, it tells its jobs."""
    with bp.cluster(SYSTEM, **{**SIZE, "contact_address": CONTACT, **more}) as cluster:
        try:
            yield cluster
        except BaseException:
            sys.stderr.write("".join(f"{job!r}\n" for job in cluster.jobs()))
            raise


def wait_for(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition; say which it was if it never comes."""
    give_up = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(what)
        time.sleep(0.2)


def connected(cluster: Any) -> list[Job]:
    """Jobs whose workers work."""
    return [job for job in cluster.jobs() if job.phase is Phase.CONNECTED]


def ids(jobs: list[Job]) -> list[str]:
    """Their names."""
    return sorted(job.job_id for job in jobs)


def count_queue(tag: str) -> int:
    """Jobs of a cluster that the queue still has alive, asked of the batch system itself."""
    return sum(each.startswith(tag) for each in list_queue())


def list_queue() -> list[str]:
    """Tags of the user's jobs that the queue still has alive."""
    if SYSTEM == "slurm":
        return _ask("squeue", "-h", "-r", "-u", getuser(), "-t", "PD,R,CF", "-o", "%j").split()
    if SYSTEM == "htcondor":
        ours = f'BeampipeTag =!= undefined && Owner == "{getuser()}"'
        return _ask(f"{OTHER}condor_q", "-af", "BeampipeTag", "-constraint", ours).split()
    if SYSTEM == "oar":
        jobs = json.loads(_ask("oarstat", "-J", "-u", getuser()) or "{}").values()
        return [job["name"] for job in jobs if job["state"] not in {"Terminated", "Error"}]
    lines = _ask("qstat", "-r", "-g", "d", "-u", getuser()).splitlines()
    return [line.split()[-1] for line in lines if "Full jobname:" in line]


def _ask(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def reach(point: str, **facts: Any) -> None:
    """Tell the test that the story has come so far, and wait until it has done its part."""
    new = Path(f"{point}.new")
    new.write_text(json.dumps(facts))
    new.rename(f"{point}.json")
    wait_for(Path(f"{point}.done").exists, f"the test to go on at {point}", 2 * PATIENCE_S)


def tell(*stories: Callable[[], object]) -> None:
    """Tell the one that is asked for; one that takes too long tells what it is doing."""
    if after_s := os.environ.get("STORIES_TRACE_AFTER_S"):
        faulthandler.dump_traceback_later(float(after_s))
    told = {each.__name__: each for each in stories}[sys.argv[1]]()
    sys.stdout.write(f"{json.dumps(told)}\n")
