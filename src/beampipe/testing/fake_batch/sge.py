"""Fake ``qsub``, ``qstat``, ``qdel``, ``qrls``, ``qacct`` of Grid Engine, as real ones print it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final
from xml.etree import ElementTree as ET

from beampipe.testing.fake_batch.commands import fail, misbehave, say
from beampipe.testing.fake_batch.directives import keep_script, read_directives, read_resources
from beampipe.testing.fake_batch.queue import NODE, FakeJob, FakeQueue

_STATES: Final = MappingProxyType({"pending": "qw", "held": "hqw", "running": "r"})
_AFTER_JOB: Final = "100 : assumedly after job"


def qsub(queue: FakeQueue, argv: list[str]) -> None:
    """Take a script."""
    text = Path(argv[-1]).read_text(encoding="utf-8")
    options = read_directives(text, "#$")
    if refuse := queue.rules().refuse:
        fail(f"Unable to run job: {refuse}.\nExiting.")
    if options.get("-q", [""])[0].startswith("no-such"):
        fail(f"Unable to run job: Job was rejected because job requests unknown queue.{argv[-1]}")
    with queue.open() as jobs:
        number = queue.take_number()
        kept = keep_script(queue, number, text)
        last = options.get("-t", [""])[0].partition("-")[2]
        for task in map(str, range(1, int(last) + 1)) if last else ["undefined"]:
            job = _make_job(number, task, kept, options)
            if queue.rules().hold or "-h" in options:
                job.state = "held"
            jobs[job.job_id] = job
    say(f"{number}.1-{last}:1" if last else str(number))


def qstat(queue: FakeQueue, _argv: list[str]) -> None:
    """Print the queue as XML."""
    misbehave(queue)
    root = ET.Element("job_info")
    info = ET.SubElement(root, "queue_info")
    with queue.open() as jobs:
        for job in jobs.values():
            if job.state != "ended":
                _write_job(info, job)
    say(ET.tostring(root, encoding="unicode", xml_declaration=True))


def qdel(queue: FakeQueue, argv: list[str]) -> None:
    """Delete jobs."""
    with queue.open() as jobs:
        for job_id in argv:
            if job_id in jobs:
                queue.cancel(jobs[job_id])


def qrls(queue: FakeQueue, argv: list[str]) -> None:
    """Release held jobs."""
    with queue.open() as jobs:
        for job_id in argv:
            if jobs[job_id].state == "held":
                jobs[job_id].state = "pending"


def qacct(queue: FakeQueue, argv: list[str]) -> None:
    """Print the accounts of one submission."""
    number = argv[argv.index("-j") + 1]
    with queue.open() as jobs:
        ended = [
            job
            for job in jobs.values()
            if job.variables["JOB_ID"] == number
            and job.state == "ended"
            and job.started_at is not None
        ]
    if not ended:
        fail(f"error: job id {number} not found")
    for job in ended:
        say("=" * 62)
        for line in _account(job):
            say(line)


def qhost(_queue: FakeQueue, _argv: list[str]) -> None:
    """Print the table of hosts."""
    say("HOSTNAME                ARCH         NCPU NSOC NCOR NTHR  LOAD  MEMTOT  MEMUSE")
    say("-" * 78)
    say("global                  -               -    -    -    -     -       -       -")
    say(f"{NODE:23} lx-amd64        8    1    8    8  0.10    7.8G    1.0G")


COMMANDS: Final[Mapping[str, Callable[[FakeQueue, list[str]], None]]] = MappingProxyType(
    {"qsub": qsub, "qstat": qstat, "qdel": qdel, "qrls": qrls, "qacct": qacct, "qhost": qhost}
)


def _make_job(number: int, task: str, script: str, options: dict[str, list[str]]) -> FakeJob:
    asked = read_resources(options)
    limit = int(asked["h_rt"]) if "h_rt" in asked else None

    def fill(path: str) -> str:
        return path.replace("$JOB_ID", str(number)).replace("$TASK_ID", task)

    return FakeJob(
        job_id=str(number) if task == "undefined" else f"{number}.{task}",
        tag=options["-N"][0],
        script=script,
        out=fill(options["-o"][0]),
        err=fill(options["-e"][0]),
        cores=int(options.get("-pe", ["smp", "1"])[1]),
        walltime_s=limit,
        signal_ahead_s=limit - int(asked["s_rt"]) if limit and "s_rt" in asked else None,
        ahead_signal=signal.SIGUSR1,
        avoid=asked.get("h", ""),
        first_signal=signal.SIGUSR2,
        variables={"SGE_ROOT": "/sge", "JOB_ID": str(number), "SGE_TASK_ID": task},
    )


def _write_job(info: ET.Element, job: FakeJob) -> None:
    element = ET.SubElement(info, "job_list", {"state": job.state})
    fields = {
        "JB_job_number": job.variables["JOB_ID"],
        "JB_name": job.tag[:10],
        "state": f"{'d' if job.cause else ''}{_STATES[job.state]}",
    }
    if job.started_at is not None:
        began = datetime.fromtimestamp(int(job.started_at))  # noqa: DTZ006 (it says no zone)
        fields |= {"JAT_start_time": began.isoformat(), "queue_name": f"all.q@{NODE}"}
    if job.variables["SGE_TASK_ID"] != "undefined":
        fields["tasks"] = job.variables["SGE_TASK_ID"]
    for name, value in {**fields, "full_job_name": job.tag}.items():
        ET.SubElement(element, name).text = value
    if job.walltime_s:
        ET.SubElement(element, "hard_request", {"name": "h_rt"}).text = str(job.walltime_s)


def _account(job: FakeJob) -> Iterator[str]:
    used = (job.ended_at or time.time()) - (job.started_at or 0)
    killed = job.cause in {"walltime", "signal", "cancelled", "node"}
    fields = {
        "hostname": NODE,
        "jobname": job.tag,
        "jobnumber": job.variables["JOB_ID"],
        "taskid": job.variables["SGE_TASK_ID"],
        "failed": _AFTER_JOB if killed else "0",
        "exit_status": str(128 + job.signal if job.signal else job.exit_code or 0),
        "ru_wallclock": f"{used:.3f}s",
        "category": f"-l h_rt={job.walltime_s}" if job.walltime_s else "",
    }
    for name, value in fields.items():
        yield f"{name:12} {value}"
