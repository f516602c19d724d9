"""PBS Pro and OpenPBS: ``qsub``, ``qselect``, ``qstat``, ``qdel``, ``qrls``.

From documentation (PBS Professional's Reference Guide and manual pages), not tried. Torque asks for
resources in other words and is not spoken here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from beampipe.batch.model import (
    Cause,
    Command,
    JobDescription,
    JobEnd,
    JobLogs,
    JobState,
    JobStatus,
    pick,
)
from beampipe.batch.scripts import write_script
from beampipe.batch.spelling import (
    check_accepted,
    check_count,
    in_turns,
    misread,
    read_duration,
    spell_duration,
    whole_mib,
)

_JOB_ID: Final = re.compile(r"\d+(\.[\w.-]+)?")
_HEAD: Final = re.compile(r"Job Id: (\S+)")
# A fixed line of shell, to which user and name are arguments: first choose, then ask in full.
_ASK: Final = 'qselect -u "$1" ${2:+-N "$2"} | xargs -r qstat -f'
_STATES: Final[Mapping[str, JobState]] = MappingProxyType(
    {
        "Q": JobState.PENDING,
        "W": JobState.PENDING,
        "T": JobState.PENDING,
        "M": JobState.PENDING,
        "H": JobState.HELD,
        "R": JobState.RUNNING,
        "S": JobState.RUNNING,
        "U": JobState.RUNNING,
        "E": JobState.ENDING,
        "F": JobState.DONE,
    }
)
# "Exit_status" below zero is the server's own word for why a job did not end by itself.
_CAUSES: Final[Mapping[int, Cause]] = MappingProxyType(
    {-26: "memory", -27: "memory", -28: "walltime", -29: "walltime", 271: "cancelled"}
)


@dataclass(frozen=True, slots=True)
class PBS:
    """The language of PBS Pro and OpenPBS.

    Jobs are submitted one by one: an array's jobs may always be started again there, and a worker
    that starts a second time is a stranger to its scheduler.
    """

    name: str = "pbs"
    commands: tuple[str, ...] = ("qsub", "qselect", "qstat", "qdel", "qrls")
    largest_array: int = 1
    has_file_transfer: bool = False
    has_signal_ahead: bool = False

    def submit_text(self, job: JobDescription) -> str:
        """Write the job's script; it sends its output itself, as PBS delivers it at the end."""
        check_count(job, self.largest_array)
        options = [
            f"-N {job.tag}",
            "-j oe",
            "-o /dev/null",
            "-S /bin/bash",
            "-r n",
            f"-l select=1:ncpus={job.cores}:mem={whole_mib(job.memory_bytes)}mb",
            f"-l walltime={spell_duration(job.walltime_s)}" if job.walltime_s else "",
            f"-q {shlex.quote(job.queue)}" if job.queue else "",
            f"-A {shlex.quote(job.account)}" if job.account else "",
            *job.directives,
        ]
        stem = shlex.quote(f"{job.log_folder / job.tag}-")
        output = f'exec >{stem}"$PBS_JOBID".out 2>{stem}"$PBS_JOBID".err </dev/null'
        return write_script(job, [*(f"#PBS {option}" for option in options if option), output])

    def submit(self, job: JobDescription, script: Path) -> Command:
        """Submit the script."""
        return Command(("qsub", str(script)))

    def read_submitted(
        self, stdout: str, count: int, *, stderr: str = "", exit_code: int = 0
    ) -> tuple[str, ...]:
        """Read ``12.server``."""
        check_accepted("PBS", stdout=stdout, stderr=stderr, exit_code=exit_code)
        found = [line.strip() for line in stdout.split("\n") if _JOB_ID.fullmatch(line.strip())]
        if not found or count != 1:
            raise misread("qsub", stdout)
        return (found[-1],)

    def logs(self, job: JobDescription, job_id: str) -> JobLogs:
        """Two files per job, written while it runs."""
        stem = f"{job.tag}-{job_id}"
        return JobLogs(job.log_folder / f"{stem}.out", job.log_folder / f"{stem}.err")

    def status(self, *, user: str, tag: str = "") -> Command:
        """Choose the user's jobs of this name, and ask for all that is known of them."""
        return Command(("sh", "-c", _ASK, "ask", user, tag))

    def read_status(self, stdout: str, now: float, tag: str = "") -> dict[str, JobStatus]:
        """Read blocks of ``name = value``."""
        return pick((_read_job(*job, now=now) for job in _read_blocks(stdout)), tag)

    def cancel(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Delete jobs: SIGTERM, then SIGKILL."""
        return tuple(Command(("qdel", *some)) for some in in_turns(job_ids))

    def release(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Release the user's holds."""
        return tuple(Command(("qrls", *some)) for some in in_turns(job_ids))

    def autopsy(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Ask the server's history, where it keeps one."""
        return tuple(Command(("qstat", "-x", "-f", *some)) for some in in_turns(job_ids))

    def read_autopsy(self, stdout: str) -> dict[str, JobEnd]:
        """Read the jobs that have finished."""
        jobs = (job for job in _read_blocks(stdout) if job[1].get("job_state") == "F")
        return {job_id: _read_end(job_id, fields) for job_id, fields in jobs}


def _read_blocks(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Read what ``qstat -f`` prints; a long value goes on in lines that begin with a tab."""
    lines = text.replace("\n\t", "").splitlines()
    job_id, fields = "", dict[str, str]()
    for line in filter(str.strip, lines):
        head = _HEAD.fullmatch(line.strip())
        name, equals, value = line.strip().partition(" = ")
        if head:
            if job_id:
                yield job_id, fields
            job_id, fields = head[1], {}
        elif equals and job_id:
            fields[name] = value
        elif not job_id:
            raise misread("qstat", line)
    if job_id:
        yield job_id, fields


def _read_job(job_id: str, fields: Mapping[str, str], *, now: float) -> JobStatus:
    state = _STATES.get(fields.get("job_state", ""))
    if state is None:
        raise misread("qstat", f"{job_id}: job_state = {fields.get('job_state')}")
    end = _read_end(job_id, fields) if state is JobState.DONE else None
    if end and end.cause != "finished":
        state = JobState.FAILED
    used = read_duration(fields.get("resources_used.walltime", "")) or 0
    limit = read_duration(fields.get("Resource_List.walltime", ""))
    started = now - used if state is JobState.RUNNING else None
    waits = state in {JobState.PENDING, JobState.HELD}
    return JobStatus(
        job_id=job_id,
        state=state,
        reason=(fields.get("comment") or "held")
        if state is JobState.HELD
        else fields.get("comment", "")
        if waits
        else "",
        tag=fields.get("Job_Name", ""),
        host=re.split(r"[/+]", fields.get("exec_host", ""))[0],
        started_at=started,
        ends_at=started + limit if started is not None and limit else None,
        end=end,
    )


def _read_end(job_id: str, fields: Mapping[str, str]) -> JobEnd:
    """Read "Exit_status": of the job, above 256 a signal's number more, below zero the server's."""
    text = fields.get("Exit_status")
    words = fields.get("comment", "")
    if text is None or not re.fullmatch(r"-?\d+", text):
        # It never ran: somebody deleted it.
        return JobEnd(job_id=job_id, cause="cancelled", words=words)
    status = int(text)
    signal = status - 256 if status > 256 else status - 128 if status > 128 else None
    by_itself: Cause = "signal" if signal else "exit" if status else "finished"
    by_server: Cause = "node" if status < 0 else by_itself
    return JobEnd(
        job_id=job_id,
        cause=_CAUSES.get(status, by_server),
        exit_code=status if 0 <= status <= 128 else None,
        signal=signal,
        words=f"exit status {status}; {words}" if words else f"exit status {status}",
    )
