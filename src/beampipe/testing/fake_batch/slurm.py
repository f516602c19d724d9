"""Fake ``sbatch``, ``squeue``, ``scancel``, ``scontrol``, ``sacct``, ``sinfo``, for our dialect."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from beampipe.testing.fake_batch.commands import fail, misbehave, say
from beampipe.testing.fake_batch.queue import NODE, FakeJob, FakeQueue

_WORDS: Final = MappingProxyType(
    {
        "finished": "COMPLETED",
        "exit": "FAILED",
        "signal": "FAILED",
        "walltime": "TIMEOUT",
        "node": "NODE_FAIL",
        "cancelled": "CANCELLED",
    }
)
_REASONS: Final = MappingProxyType({"exit": "NonZeroExitCode", "signal": "JobLaunchFailure"})


def sbatch(queue: FakeQueue, argv: list[str]) -> None:
    """Take a batch script."""
    script = Path(argv[-1])
    options = _read_options(script.read_text(encoding="utf-8"))
    if refuse := queue.rules().refuse:
        fail(f"sbatch: error: {refuse}")
    if options.get("partition", "").startswith("no-such"):
        fail("sbatch: error: Batch job submission failed: Invalid partition name specified")
    with queue.open() as jobs:
        number = queue.take_number()
        kept = queue.folder / f"script-{number}"  # Slurm keeps a copy of the script
        kept.write_bytes(script.read_bytes())
        kept.chmod(0o755)
        last = options.get("array", "").partition("-")[2]
        for member in [f"_{k}" for k in range(int(last) + 1)] if last else [""]:
            job = _make_job(f"{number}{member}", str(kept), options)
            held = queue.rules().hold or ("JobHeldUser" if "hold" in options else "")
            if held:
                job.state, job.reason = "held", held
            jobs[job.job_id] = job
    say(str(number) if "--parsable" in argv else f"Submitted batch job {number}")


def squeue(queue: FakeQueue, argv: list[str]) -> None:
    """Print the queue."""
    misbehave(queue)
    options = dict(option.removeprefix("--").partition("=")[::2] for option in argv)
    oldest = time.time() - queue.rules().remember_s
    with queue.open() as jobs:
        for job in jobs.values():
            named = options.get("name") in {None, job.tag}
            if named and not (job.ended_at is not None and job.ended_at < oldest):
                say(_format_job(job, options["format"]))


def scancel(queue: FakeQueue, argv: list[str]) -> None:
    """Cancel jobs."""
    with queue.open() as jobs:
        for job_id in argv:
            for job in jobs.values():
                if job_id in {job.job_id, job.job_id.partition("_")[0]}:
                    queue.cancel(job)


def scontrol(queue: FakeQueue, argv: list[str]) -> None:
    """Release held jobs."""
    with queue.open() as jobs:
        for job_id in argv[1].split(","):
            if jobs[job_id].state == "held":
                jobs[job_id].state, jobs[job_id].reason = "pending", ""


def sacct(queue: FakeQueue, argv: list[str]) -> None:
    """Print the accounts of jobs: ``JobID,State,ExitCode,NodeList``."""
    options = dict(option.removeprefix("--").partition("=")[::2] for option in argv)
    with queue.open() as jobs:
        for job_id in options["jobs"].split(","):
            if job := jobs.get(job_id):
                code = f"{job.exit_code or 0}:{job.signal or 0}"
                by = f" by {os.getuid()}" if job.cause == "cancelled" else ""
                say(f"{job_id}|{_word(job)}{by}|{code}|{_host(job)}")


def sinfo(_queue: FakeQueue, _argv: list[str]) -> None:
    """Print the names of nodes."""
    say(NODE)


COMMANDS: Final[Mapping[str, Callable[[FakeQueue, list[str]], None]]] = MappingProxyType(
    {
        "sbatch": sbatch,
        "squeue": squeue,
        "scancel": scancel,
        "scontrol": scontrol,
        "sacct": sacct,
        "sinfo": sinfo,
    }
)


def _read_options(text: str) -> dict[str, str]:
    options = {}
    for line in text.splitlines():
        if line.startswith("#SBATCH "):
            for word in shlex.split(line.removeprefix("#SBATCH ")):
                name, _, value = word.removeprefix("--").partition("=")
                options[name] = value
    return options


def _make_job(job_id: str, script: str, options: dict[str, str]) -> FakeJob:
    number, _, member = job_id.partition("_")
    values = {"%j": number, "%A": number, "%a": member, "%%": "%"}

    def fill(pattern: str) -> str:
        return re.sub("%[jAa%]", lambda found: values[found[0]], pattern)

    time_s = None
    if "time" in options:
        hours, minutes, seconds = map(int, options["time"].split(":"))
        time_s = (hours * 60 + minutes) * 60 + seconds
    ahead = options.get("signal", "").partition("@")[2]
    return FakeJob(
        job_id=job_id,
        tag=options["job-name"],
        script=script,
        out=fill(options["output"]),
        err=fill(options["error"]),
        cores=int(options["cpus-per-task"]),
        walltime_s=time_s,
        signal_ahead_s=int(ahead) if ahead else None,
        avoid=options.get("exclude", ""),
    )


def _word(job: FakeJob) -> str:
    if job.state == "ended":
        return _WORDS[job.cause]
    if job.state == "running":
        return "COMPLETING" if job.cause else "RUNNING"
    return "PENDING"


def _host(job: FakeJob) -> str:
    return NODE if job.started_at is not None else ""


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _format_job(job: FakeJob, pattern: str) -> str:
    used = (job.ended_at or time.time()) - job.started_at if job.started_at is not None else 0
    values = {
        "%i": job.job_id,
        "%T": _word(job),
        "%M": _clock(used),
        "%L": _clock(job.walltime_s - used) if job.walltime_s else "UNLIMITED",
        "%N": _host(job),
        "%j": job.tag,
        "%r": job.reason or _REASONS.get(job.cause, "None"),
    }
    return re.sub("%[a-zA-Z]", lambda found: values[found[0]], pattern)
