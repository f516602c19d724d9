"""Fake ``msub``, ``showq``, ``mjobctl``, made from Moab's documentation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from getpass import getuser
from pathlib import Path
from types import MappingProxyType
from typing import Final
from xml.etree import ElementTree as ET

from beampipe.testing.fake_batch.commands import fail, misbehave, say
from beampipe.testing.fake_batch.directives import (
    keep_script,
    read_clock,
    read_directives,
    read_resources,
)
from beampipe.testing.fake_batch.queue import FakeJob, FakeQueue

_QUEUES: Final = MappingProxyType(
    {"running": "active", "pending": "eligible", "held": "blocked", "ended": "completed"}
)
_STATES: Final = MappingProxyType(
    {"running": "Running", "pending": "Idle", "held": "UserHold", "ended": "Completed"}
)


def msub(queue: FakeQueue, argv: list[str]) -> None:
    """Take a script."""
    text = Path(argv[-1]).read_text(encoding="utf-8")
    options = read_directives(text, "#MSUB")
    if refuse := queue.rules().refuse:
        fail(f"ERROR:  {refuse}")
    if options.get("-q", [""])[0].startswith("no-such"):
        fail("ERROR:  cannot submit job - invalid class requested")
    with queue.open() as jobs:
        number = queue.take_number()
        job = _make_job(number, keep_script(queue, number, text), options)
        held = queue.rules().hold or ("-h" in options and "UserHold")
        if held:
            job.state, job.reason = "held", held
        jobs[job.job_id] = job
    say(f"\n{job.job_id}")


def showq(queue: FakeQueue, argv: list[str]) -> None:
    """Print the queues as XML: of jobs that are over with ``-c``, else of the others."""
    misbehave(queue)
    root = ET.Element("Data")
    ET.SubElement(root, "Object").text = "queue"
    ET.SubElement(root, "cluster", {"time": f"{time.time():.0f}"})
    oldest = time.time() - queue.rules().remember_s
    with queue.open() as jobs:
        for name in ["completed"] if "-c" in argv else ["active", "eligible", "blocked"]:
            shown = [
                job
                for job in jobs.values()
                if _QUEUES[job.state] == name and (job.ended_at or oldest) >= oldest
            ]
            count = {"count": str(len(shown)), "option": name}
            element = ET.SubElement(root, "queue", count)
            for job in shown:
                ET.SubElement(element, "job", _write_job(job))
    say(ET.tostring(root, encoding="unicode"))


def mjobctl(queue: FakeQueue, argv: list[str]) -> None:
    """Cancel a job, or take a hold from it."""
    job_id = argv[-1]
    with queue.open() as jobs:
        job = jobs.get(job_id)
        if job is None:
            fail(f"ERROR:  invalid job specified ({job_id})")
        if argv[0] == "-c":
            queue.cancel(job)
        elif job.state == "held":
            job.state, job.reason = "pending", ""


COMMANDS: Final[Mapping[str, Callable[[FakeQueue, list[str]], None]]] = MappingProxyType(
    {"msub": msub, "showq": showq, "mjobctl": mjobctl}
)


def _make_job(number: int, script: str, options: dict[str, list[str]]) -> FakeJob:
    asked = read_resources(options)
    ahead = asked.get("signal", "").partition("@")[2]
    # A resource manager below has an id of its own for the same job.
    told = {"MOAB_JOBID": str(number)} if "-E" in options else {}
    return FakeJob(
        job_id=str(number),
        tag=options["-N"][0],
        script=script,
        out="/dev/null",
        err="/dev/null",
        cores=int(asked["ppn"]),
        walltime_s=read_clock(asked["walltime"]) if "walltime" in asked else None,
        signal_ahead_s=int(ahead) if ahead else None,
        variables={"PBS_JOBID": f"{number + 1000}.server", **told},
    )


def _write_job(job: FakeJob) -> dict[str, str]:
    used = (job.ended_at or time.time()) - job.started_at if job.started_at is not None else 0
    values = {
        "JobID": job.job_id,
        "JobName": job.tag,
        "User": getuser(),
        "State": _STATES[job.state],
        "StartTime": f"{job.started_at or 0:.0f}",
        "AWDuration": f"{used:.0f}",
        "ReqProcs": str(job.cores),
    }
    if job.walltime_s:
        values["ReqAWDuration"] = str(job.walltime_s)
    if job.started_at is not None:
        values["MasterHost"] = "localhost"
    if job.reason:
        values["BlockReason"] = job.reason
    if job.state == "ended":
        values["CompletionCode"] = _write_code(job)
    return values


def _write_code(job: FakeJob) -> str:
    if job.cause in {"cancelled", "walltime"}:
        return "CNCLD(271)" if job.started_at is not None else "CNCLD"
    if job.cause == "node":
        return "-3"
    return str(256 + job.signal if job.signal else job.exit_code or 0)
