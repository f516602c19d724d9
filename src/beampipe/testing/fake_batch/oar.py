"""Fake ``oarsub``, ``oarstat``, ``oardel``, ``oarresume``: as far as our dialect goes."""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Callable, Mapping
from getpass import getuser
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from beampipe.testing.fake_batch.commands import fail, misbehave, say
from beampipe.testing.fake_batch.directives import read_clock
from beampipe.testing.fake_batch.queue import FakeJob, FakeQueue

_STATES: Final = MappingProxyType(
    {"pending": "Waiting", "held": "Hold", "running": "Running", "ended": "Terminated"}
)
_FLAGS: Final = {"--hold"}
_IN_FULL: Final = ("walltime", "stopTime", "events", "exit_code")
_DEFAULT_S: Final = 7200


def oarsub(queue: FakeQueue, argv: list[str]) -> None:
    """Take a command."""
    options, command = _read_options(argv)
    if refuse := queue.rules().refuse:
        fail(f"[ERROR] {refuse}", 255)
    if options.get("-q", "").startswith("no-such"):
        fail(f"ERROR : The queue {options['-q']} does not exist", 248)
    say("[ADMISSION RULE] Modify resource description with type constraints")
    with queue.open() as jobs:
        array = 0
        count = int(options.get("--array", "1"))
        for index in range(1, count + 1):
            number = queue.take_number()
            array = array or number
            job = _make_job(number, (array, index), options, shlex.split(command)[-1])
            if queue.rules().hold or "--hold" in options:
                job.state, job.reason = "held", queue.rules().hold
            jobs[job.job_id] = job
            say(f"OAR_JOB_ID={number}")
        if count > 1:
            say(f"OAR_ARRAY_ID={array}")


def oarstat(queue: FakeQueue, argv: list[str]) -> None:
    """Print jobs as JSON: those of a user that are not over, or those of some ids."""
    misbehave(queue)
    asked = [word for option, word in pairwise(argv) if option == "-j"]
    with queue.open() as jobs:
        shown = [
            job for job in jobs.values() if (job.job_id in asked if asked else job.state != "ended")
        ]
    found = {job.job_id: _write_job(job) for job in shown}
    for job in found.values() if "-f" not in argv else ():
        for name in _IN_FULL:
            del job[name]
    if found:
        say(json.dumps(found, indent=3))


def oardel(queue: FakeQueue, argv: list[str]) -> None:
    """Delete jobs."""
    with queue.open() as jobs:
        for job_id in argv:
            say(f"Deleting the job = {job_id} ...REGISTERED.")
            if job_id in jobs:
                queue.cancel(jobs[job_id])


def oarresume(queue: FakeQueue, argv: list[str]) -> None:
    """Let jobs on hold wait for resources."""
    with queue.open() as jobs:
        for job_id in argv:
            if jobs[job_id].state == "held":
                jobs[job_id].state, jobs[job_id].reason = "pending", ""


COMMANDS: Final[Mapping[str, Callable[[FakeQueue, list[str]], None]]] = MappingProxyType(
    {"oarsub": oarsub, "oarstat": oarstat, "oardel": oardel, "oarresume": oarresume}
)


def _read_options(argv: list[str]) -> tuple[dict[str, str], str]:
    options: dict[str, str] = {}
    words = iter(argv[:-1])
    for word in words:
        options[word] = "" if word in _FLAGS else next(words)
    return options, argv[-1]


def _make_job(number: int, place: tuple[int, int], options: dict[str, str], script: str) -> FakeJob:
    asked = options["-l"]
    cores = re.search(r"core=(\d+)", asked)
    time = re.search(r"walltime=([\d:]+)", asked)
    walltime_s = read_clock(time[1]) if time else _DEFAULT_S
    return FakeJob(
        job_id=str(number),
        tag=options["-n"],
        script=script,
        out=options["-O"],
        err=options["-E"],
        cores=int(cores[1]) if cores else 1,
        walltime_s=walltime_s,
        signal_ahead_s=int(options["--checkpoint"]) if "--checkpoint" in options else None,
        ahead_signal=int(options.get("--signal", signal.SIGUSR2)),
        first_signal=signal.SIGKILL,
        variables={
            "OAR_JOB_ID": str(number),
            "OAR_ARRAY_ID": str(place[0]),
            "OAR_ARRAY_INDEX": str(place[1]),
            "OAR_JOB_WALLTIME_SECONDS": str(walltime_s),
        },
    )


def _write_job(job: FakeJob) -> dict[str, Any]:
    killed = {"cancelled": "FRAG_JOB_REQUEST", "walltime": "WALLTIME"}
    event = {"type": killed.get(job.cause), "description": f"[fake] {job.cause} {job.job_id}"}
    ended_by_force = job.state == "ended" and job.cause in {"cancelled", "node", "walltime"}
    status = job.signal or (job.exit_code or 0) << 8
    return {
        "Job_Id": int(job.job_id),
        "array_id": int(job.variables["OAR_ARRAY_ID"]),
        "array_index": int(job.variables["OAR_ARRAY_INDEX"]),
        "name": job.tag,
        "owner": getuser(),
        "state": "Error" if ended_by_force else _STATES[job.state],
        "walltime": job.walltime_s,
        "startTime": round(job.started_at or 0),
        "stopTime": round(job.ended_at or 0),
        "message": f"R={job.cores},J=B,N={job.tag}",
        "assigned_network_address": ["localhost"] if job.started_at is not None else [],
        "events": [event] if event["type"] else [],
        "exit_code": status if job.state == "ended" and not ended_by_force else None,
    }
