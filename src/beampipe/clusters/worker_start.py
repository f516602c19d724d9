"""What a job runs: finds out which job it is and when it ends, and becomes a Dask worker.

``python -m beampipe.clusters.worker_start [OPTIONS] -- ARGUMENTS OF dask worker``
"""

from __future__ import annotations

import argparse
import os
import random
import re
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from beampipe.clusters.ways import CHECK, check_way
from beampipe.worker_environment import DEADLINE, ENVIRONMENT

JOB_ID = "BEAMPIPE_JOB_ID"
_SEPARATOR = ":"
DASK_ENVIRONMENT = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL": "250ms",
    # A worker that is short of memory must merge what it holds, which a paused one does not.
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",
}
# How long the job may run, as OAR and Torque tell it [s]; it has only just begun.
_TOLD_WALLTIMES = ("OAR_JOB_WALLTIME_SECONDS", "PBS_WALLTIME")
# Results must be elsewhere before the batch system ends the job.
_MARGIN, _MOST_MARGIN_S = 0.1, 60.0


class ThisJob(NamedTuple):
    """Which job this is, and how often it was started before."""

    job_id: str
    restarts: int


def find_job(environment: Mapping[str, str]) -> ThisJob:
    """Find the job's id, as its batch system spells it, in what that gives to jobs."""
    if given := environment.get(JOB_ID):
        return ThisJob(given, 0)
    if job := environment.get("SLURM_ARRAY_JOB_ID"):
        restarts = int(environment.get("SLURM_RESTART_COUNT") or 0)
        return ThisJob(f"{job}_{environment['SLURM_ARRAY_TASK_ID']}", restarts)
    if job := environment.get("SLURM_JOB_ID"):
        return ThisJob(job, int(environment.get("SLURM_RESTART_COUNT") or 0))
    if job := _find_plain_job(environment):
        return ThisJob(job, 0)
    if ad := environment.get("_CONDOR_JOB_AD"):
        facts = _read_ad(ad)
        return ThisJob(f"{facts['ClusterId']}.{facts['ProcId']}", int(facts.get("NumJobStarts", 0)))
    return ThisJob(f"unknown-{os.getpid()}", 0)


def _read_ad(path: str) -> dict[str, str]:
    """The whole numbers in HTCondor's description of the job."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    return dict(re.findall(r"^(\w+) = (\d+)$", text, re.MULTILINE))


def _find_plain_job(environment: Mapping[str, str]) -> str:
    """The id of a job whose system does not say how often it was started; empty if it has none."""
    if job := environment.get("LSB_JOBID"):
        member = environment.get("LSB_JOBINDEX", "").strip("0")  # 0 where there is no array
        return f"{job}[{environment['LSB_JOBINDEX']}]" if member else job
    if environment.get("SGE_ROOT") and (job := environment.get("JOB_ID")):
        member = environment.get("SGE_TASK_ID", "")
        return f"{job}.{member}" if member.isdecimal() else job
    # Moab's jobs are Torque's too; its own id is the one that its commands know.
    named = (environment.get(name) for name in ("OAR_JOB_ID", "MOAB_JOBID", "PBS_JOBID"))
    return next(filter(None, named), "")


def name_worker(job: ThisJob) -> str:
    """Name a job's worker; of several each gets a number behind it by Dask."""
    return f"{job.job_id}{_SEPARATOR}{f'r{job.restarts}' if job.restarts else 'w'}"


def job_of_worker(name: object) -> str:
    """The id of the job that a worker belongs to."""
    return str(name).partition(_SEPARATOR)[0]


def find_end(environment: Mapping[str, str], walltime_s: float, now: float) -> float | None:
    """When the job ends [s since 1970]; None where there is no limit that is known."""
    ends = [now + walltime_s] if walltime_s else []
    if (told := environment.get("SLURM_JOB_END_TIME", "")).isdecimal():
        ends.append(float(told))
    if ad := environment.get("_CONDOR_JOB_AD"):
        facts = _read_ad(ad)
        if {"JobCurrentStartDate", "AllowedJobDuration"} <= facts.keys():
            ends.append(float(facts["JobCurrentStartDate"]) + float(facts["AllowedJobDuration"]))
    told_walltimes = (environment.get(name, "") for name in _TOLD_WALLTIMES)
    ends += [now + float(text) for text in told_walltimes if text.isdecimal()]
    return min(ends, default=None)


def find_lifetime(left_s: float, stagger_s: float, seed: str) -> float:
    """How long a worker is to live, so that not all of a farm go at once [s]."""
    margin_s = min(_MARGIN * left_s, _MOST_MARGIN_S)
    earlier_s = random.Random(seed).uniform(0, min(stagger_s, left_s / 2))  # noqa: S311 (no secret)
    return max(left_s - margin_s - earlier_s, 1.0)


def build_command(
    options: argparse.Namespace, environment: Mapping[str, str], now: float
) -> tuple[list[str], dict[str, str]]:
    """The worker's command and its environment."""
    job = find_job(environment)
    added = {**ENVIRONMENT, **DASK_ENVIRONMENT}
    added = {name: text for name, text in added.items() if name not in environment}
    argv = [sys.executable, "-m", "distributed.cli.dask_worker", *options.worker]
    argv += ["--name", name_worker(job)]
    end = find_end(environment, options.walltime, now)
    if end is not None:
        added[DEADLINE] = str(round(end))
        lifetime_s = find_lifetime(end - now, options.stagger, job.job_id)
        argv += ["--lifetime", f"{lifetime_s:.0f}s"]
    return argv, {**environment, **added}


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(prog="beampipe.clusters.worker_start")
    parser.add_argument("--walltime", type=float, default=0.0, help="of the job [s]")
    parser.add_argument("--stagger", type=float, default=0.0, help="workers end earlier by [s]")
    parser.add_argument("worker", nargs="*", help="arguments of dask worker")
    return parser.parse_args(argv)


def main() -> None:
    """Become a Dask worker."""
    options = parse_arguments(sys.argv[1:])
    if os.environ.get(CHECK) and (no_way := check_way(options.worker[0], socket.gethostname())):
        sys.exit(no_way)
    argv, environment = build_command(options, os.environ, time.time())
    os.execve(argv[0], argv, environment)  # noqa: S606 (no shell, and signals must reach it)


if __name__ == "__main__":
    main()
