"""Fake ``condor_submit``, ``condor_q``, ``condor_rm``, ...: as far as our dialect goes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from beampipe.testing.fake_batch.commands import fail, misbehave, say
from beampipe.testing.fake_batch.queue import NODE, FakeJob, FakeQueue

_STATUSES: Final = MappingProxyType({"pending": 1, "running": 2, "ended": 4, "held": 5})
_DURATION_CODE: Final = 46
_USER_CODE: Final = 15


def condor_submit(queue: FakeQueue, _argv: list[str]) -> None:
    """Take a submit description from standard input."""
    settings, count = _read_description(sys.stdin.read())
    if refuse := queue.rules().refuse:
        fail(f"\nERROR: {refuse}")
    with queue.open() as jobs:
        number = queue.take_number()
        for process in range(count):
            job = _make_job(number, process, settings)
            held = queue.rules().hold
            if not held and settings.get("hold", "").lower() == "true":
                held = "submitted on hold at user's request"
            if held:
                job.state, job.reason = "held", held
            jobs[job.job_id] = job
    say(f"{number}.0 - {number}.{count - 1}")


def condor_q(queue: FakeQueue, argv: list[str]) -> None:
    """Print the queue's ads as JSON."""
    misbehave(queue)
    tag = re.search(r'BeampipeTag =\?= "([^"]*)"', " ".join(argv))
    with queue.open() as jobs:
        ads = [
            _write_ad(job)
            for job in jobs.values()
            if (tag is None or job.tag == tag[1])
            and (job.state != "ended" or job.cause == "walltime")
        ]
    if ads:
        say(json.dumps(ads, indent=2))


def condor_history(queue: FakeQueue, argv: list[str]) -> None:
    """Print the ads of jobs that have left the queue."""
    with queue.open() as jobs:
        ads = [
            _write_ad(job)
            for job_id in argv
            if (job := jobs.get(job_id)) and job.state == "ended" and job.cause != "walltime"
        ]
    say(json.dumps(ads, indent=2))


def condor_rm(queue: FakeQueue, argv: list[str]) -> None:
    """Remove jobs."""
    _for_each(queue, argv, queue.cancel)


def condor_release(queue: FakeQueue, argv: list[str]) -> None:
    """Release held jobs."""

    def release(job: FakeJob) -> None:
        if job.state == "held":
            job.state, job.reason = "pending", ""

    _for_each(queue, argv, release)


def condor_status(_queue: FakeQueue, _argv: list[str]) -> None:
    """Print the name of the node of each slot."""
    say(f"{NODE}\n{NODE}")


COMMANDS: Final[Mapping[str, Callable[[FakeQueue, list[str]], None]]] = MappingProxyType(
    {
        "condor_submit": condor_submit,
        "condor_q": condor_q,
        "condor_rm": condor_rm,
        "condor_release": condor_release,
        "condor_history": condor_history,
        "condor_status": condor_status,
    }
)


def _for_each(queue: FakeQueue, argv: list[str], act: Callable[[FakeJob], None]) -> None:
    with queue.open() as jobs:
        found = [jobs[job_id] for job_id in argv if job_id in jobs]
        for job in found:
            act(job)
    if not found:
        fail(f"Job {argv[-1]} not found")


def _read_description(text: str) -> tuple[dict[str, str], int]:
    settings = {}
    count = 1
    for number, line in enumerate(text.splitlines(), start=1):
        name, equals, value = line.partition("=")
        if equals:
            settings[name.strip().lower()] = value.strip()
        elif found := re.fullmatch(r"queue (\d+)", line.strip()):
            count = int(found[1])
        else:
            fail(
                f"\nERROR: on Line {number} of submit file: \n\nERROR: Failed to parse command file"
            )
    return settings, count


def _make_job(number: int, process: int, settings: dict[str, str]) -> FakeJob:
    values = {"ClusterId": str(number), "ProcId": str(process), "DOLLAR": "$"}

    def fill(text: str) -> str:
        return re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], text)

    files = settings.get("transfer_input_files", "")
    limit = settings.get("allowed_job_duration")
    return FakeJob(
        job_id=f"{number}.{process}",
        tag=settings["+beampipetag"].strip('"'),
        script=fill(settings["executable"]),
        out=fill(settings["output"]),
        err=fill(settings["error"]),
        cores=int(settings["request_cpus"]),
        walltime_s=int(limit) if limit else None,
        avoid=settings.get("requirements", ""),
        files=[fill(path) for path in files.split(",") if path],
    )


def _write_ad(job: FakeJob) -> dict[str, Any]:
    number, process = job.job_id.split(".")
    ad: dict[str, Any] = {
        "ClusterId": int(number),
        "ProcId": int(process),
        "JobStatus": _STATUSES[job.state],
        "BeampipeTag": job.tag,
    }
    if job.walltime_s:
        ad["AllowedJobDuration"] = job.walltime_s
    if job.started_at is not None:
        ad |= {"JobCurrentStartDate": int(job.started_at), "RemoteHost": f"slot1_1@{NODE}"}
    if job.state == "held":
        ad |= {"HoldReason": job.reason, "HoldReasonCode": _USER_CODE}
    if job.state == "pending" and job.reason:
        ad["LastRejMatchReason"] = "no match found "
    if job.state == "ended":
        ad |= _write_end(job)
    return ad


def _write_end(job: FakeJob) -> dict[str, Any]:
    if job.cause == "walltime":
        words = f"The job exceeded allowed job duration of {job.walltime_s} seconds"
        return {"JobStatus": 5, "HoldReason": words, "HoldReasonCode": _DURATION_CODE}
    if job.cause == "cancelled":
        return {"JobStatus": 3, "RemoveReason": "via condor_rm (by user me)"}
    if job.cause == "node":
        words = "The job attribute PeriodicRemove expression"
        words += " 'JobStatus == 1 && NumJobStarts > 0' evaluated to TRUE"
        return {"JobStatus": 3, "RemoveReason": words}
    if job.signal:
        return {"ExitBySignal": True, "ExitSignal": job.signal}
    return {"ExitBySignal": False, "ExitCode": job.exit_code}
