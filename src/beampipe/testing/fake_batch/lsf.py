"""Fake ``bsub``, ``bjobs``, ``bkill``, ``bresume``, made from LSF's documentation."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from beampipe.testing.fake_batch.commands import fail, misbehave, say
from beampipe.testing.fake_batch.directives import keep_script, read_directives
from beampipe.testing.fake_batch.queue import FakeJob, FakeQueue

_ERROR: Final = 255
_STATES: Final = MappingProxyType(
    {"pending": "PEND", "held": "PSUSP", "running": "RUN", "ended": "EXIT"}
)
_REASONS: Final = MappingProxyType(
    {
        "walltime": "TERM_RUNLIMIT: job killed after reaching LSF run time limit",
        "cancelled": "TERM_OWNER: job killed by owner",
        "node": "TERM_ZOMBI: zombie jobs killed after MBD restart",
    }
)


def bsub(queue: FakeQueue, _argv: list[str]) -> None:
    """Take a script from standard input."""
    text = sys.stdin.read()
    options = read_directives(text, "#BSUB")
    if refuse := queue.rules().refuse:
        fail(f"{refuse}. Job not submitted.", _ERROR)
    target = options.get("-q", ["normal"])[0]
    if target.startswith("no-such"):
        fail(f"{target}: No such queue. Job not submitted.", _ERROR)
    with queue.open() as jobs:
        number = queue.take_number()
        kept = keep_script(queue, number, text)
        name, _, members = options["-J"][0].partition("[")
        last = members.rstrip("]").partition("-")[2]
        for member in range(1, int(last) + 1) if last else [0]:
            job = _make_job(number, member, kept, options | {"-J": [name]})
            if queue.rules().hold or "-H" in options:
                job.state = "held"
                job.reason = queue.rules().hold or "Job was suspended by the user while pending"
            jobs[job.job_id] = job
    say(f"Job <{number}> is submitted to queue <{target}>.")


def bjobs(queue: FakeQueue, argv: list[str]) -> None:
    """Print jobs as JSON, with the fields that are asked for."""
    misbehave(queue)
    fields = argv[argv.index("-o") + 1].split()
    asked = argv[argv.index("-json") + 1 :]
    oldest = time.time() - queue.rules().remember_s
    with queue.open() as jobs:
        kept = {name: job for name, job in jobs.items() if (job.ended_at or oldest) >= oldest}
        records = [
            _write_job(kept[name], fields)
            if name in kept
            else {"JOBID": name, "ERROR": f"Job <{name}> is not found"}
            for name in asked or kept
        ]
    if not records:
        fail("No job found", _ERROR)
    say(json.dumps({"COMMAND": "bjobs", "JOBS": len(records), "RECORDS": records}, indent=2))


def bkill(queue: FakeQueue, argv: list[str]) -> None:
    """Kill jobs."""
    with queue.open() as jobs:
        for job_id in argv:
            if job_id in jobs and jobs[job_id].state != "ended":
                queue.cancel(jobs[job_id])
                say(f"Job <{job_id}> is being terminated")


def bresume(queue: FakeQueue, argv: list[str]) -> None:
    """Let suspended jobs go on."""
    with queue.open() as jobs:
        for job_id in argv:
            if jobs[job_id].state == "held":
                jobs[job_id].state, jobs[job_id].reason = "pending", ""


COMMANDS: Final[Mapping[str, Callable[[FakeQueue, list[str]], None]]] = MappingProxyType(
    {"bsub": bsub, "bjobs": bjobs, "bkill": bkill, "bresume": bresume}
)


def _make_job(number: int, member: int, script: str, options: dict[str, list[str]]) -> FakeJob:
    return FakeJob(
        job_id=f"{number}[{member}]" if member else str(number),
        tag=options["-J"][0],
        script=script,
        out="/dev/null",
        err="/dev/null",
        cores=int(options["-n"][0]),
        walltime_s=60 * int(options["-W"][0]) if "-W" in options else None,
        signal_ahead_s=60 * int(options["-wt"][0]) if "-wt" in options else None,
        first_signal=signal.SIGINT,
        variables={"LSB_JOBID": str(number), "LSB_JOBINDEX": str(member)},
    )


def _write_job(job: FakeJob, fields: list[str]) -> dict[str, str]:
    member = job.variables["LSB_JOBINDEX"]
    used = (job.ended_at or time.time()) - job.started_at if job.started_at is not None else 0
    code = 128 + job.signal if job.signal else job.exit_code or 0
    ended = job.state == "ended"
    values = {
        "jobid": job.variables["LSB_JOBID"],
        "jobindex": member,
        "stat": "DONE" if job.cause == "finished" else _STATES[job.state],
        "job_name": job.tag if member == "0" else f"{job.tag}[{member}]",
        "exec_host": ":".join(["localhost"] * job.cores) if job.started_at is not None else "",
        "run_time": f"{round(used)} second(s)",
        "runtimelimit": f"{job.walltime_s / 60:.1f}" if job.walltime_s else "",
        "exit_code": str(code) if ended and code else "",
        "exit_reason": _REASONS.get(job.cause, "") if ended else "",
        "pend_reason": f"{job.reason};" if job.reason else "",
    }
    return {re.sub(r":.*", "", name).upper(): values[name] for name in fields}
