"""Moab Workload Manager: ``msub``, ``showq``, ``mjobctl``.

From documentation (Adaptive Computing's Moab Workload Manager Administrator Guide, and what others
have recorded of ``showq --xml``), not tried.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from xml.etree import ElementTree as ET

from beampipe.batch.model import (
    Cause,
    Command,
    JobDescription,
    JobEnd,
    JobLogs,
    JobState,
    JobStatus,
    log_files,
    pick,
)
from beampipe.batch.scripts import redirect_output, write_script
from beampipe.batch.spelling import (
    check_accepted,
    check_count,
    in_turns,
    misread,
    name_cause,
    spell_duration,
    split_status,
    whole_mib,
)

_JOB_ID: Final = re.compile(r"(?:[A-Za-z][\w-]*\.)?\d+")
_STATES: Final[Mapping[str, JobState]] = MappingProxyType(
    {
        "Idle": JobState.PENDING,
        "Deferred": JobState.PENDING,
        "Migrated": JobState.PENDING,
        "NotQueued": JobState.PENDING,
        "Staged": JobState.PENDING,
        "Staging": JobState.PENDING,
        "Starting": JobState.PENDING,
        "Hold": JobState.HELD,
        "BatchHold": JobState.HELD,
        "SystemHold": JobState.HELD,
        "UserHold": JobState.HELD,
        "Running": JobState.RUNNING,
        "Suspended": JobState.RUNNING,
        "Canceling": JobState.ENDING,
        "Completed": JobState.DONE,
        "Removed": JobState.FAILED,
        "Vacated": JobState.FAILED,
    }
)
# Moab's own id, which its commands know. A resource manager below it has another.
_OWN_ID: Final = '"$MOAB_JOBID"'
_SET_OWN_ID: Final = 'export MOAB_JOBID="${MOAB_JOBID:-${PBS_JOBID%%.*}}"'
_CAUSES: Final[Mapping[int, Cause]] = MappingProxyType(
    {-10: "memory", -11: "walltime", -12: "walltime"}
)
_STOPPED: Final = 271  # 256, and SIGTERM
# Jobs that are cancelled by one line of shell: `mjobctl` takes one at a time.
_AT_ONCE: Final = 50
_PATIENCE_S: Final = 300


@dataclass(frozen=True, slots=True)
class Moab:
    """Moab's language.

    Jobs are submitted one by one: Moab has arrays only where a site has switched them on.
    """

    name: str = "moab"
    commands: tuple[str, ...] = ("msub", "showq", "mjobctl")
    largest_array: int = 1
    has_file_transfer: bool = False
    has_signal_ahead: bool = True

    def submit_text(self, job: JobDescription) -> str:
        """Write the job's script; it sends its output itself, as it is delivered at the end."""
        check_count(job, self.largest_array)
        ahead = job.signal_ahead_s if job.walltime_s else None
        options = [
            f"-N {job.tag}",
            "-j oe",
            "-o /dev/null",
            "-S /bin/bash",
            # The job is told Moab's own id.
            "-E",
            # A worker that starts a second time is a stranger to its scheduler.
            "-r n",
            "-m n",
            f"-l nodes=1:ppn={job.cores}",
            f"-l mem={whole_mib(job.memory_bytes)}mb",
            f"-l walltime={spell_duration(job.walltime_s)}" if job.walltime_s else "",
            f"-l signal=15@{ahead}" if ahead else "",
            f"-q {shlex.quote(job.queue)}" if job.queue else "",
            f"-A {shlex.quote(job.account)}" if job.account else "",
            *job.directives,
        ]
        header = [f"#MSUB {option}" for option in options if option]
        return write_script(job, [*header, _SET_OWN_ID, redirect_output(job, _OWN_ID)])

    def submit(self, job: JobDescription, script: Path) -> Command:
        """Submit the script."""
        return Command(("msub", str(script)))

    def read_submitted(
        self, stdout: str, count: int, *, stderr: str = "", exit_code: int = 0
    ) -> tuple[str, ...]:
        """Read ``12`` or ``Moab.12``, around which there are empty lines."""
        check_accepted("Moab", stdout=stdout, stderr=stderr, exit_code=exit_code)
        found = [line.strip() for line in stdout.split("\n") if _JOB_ID.fullmatch(line.strip())]
        if not found or count != 1:
            raise misread("msub", stdout)
        return (found[-1],)

    def logs(self, job: JobDescription, job_id: str) -> JobLogs:
        """Two files per job, written while it runs."""
        return log_files(job, job_id)

    def status(self, *, user: str, tag: str = "") -> Command:
        """Ask for the user's jobs: it does not choose by name."""
        return Command(("showq", "--xml", "-w", f"user={user}"))

    def read_status(self, stdout: str, now: float, tag: str = "") -> dict[str, JobStatus]:
        """Read the queues of active, eligible and blocked jobs."""
        return pick(map(_read_job, _read_jobs(stdout)), tag)

    def cancel(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Cancel jobs: SIGTERM, then SIGKILL."""
        return _control("-c", job_ids)

    def release(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Release the user's holds."""
        return _control("-u user", job_ids)

    def autopsy(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Ask for the jobs that are over, which Moab keeps in mind for a while (JOBCPURGETIME)."""
        return (Command(("sh", "-c", 'exec showq -c --xml -w "user=$(id -un)"')),)

    def read_autopsy(self, stdout: str) -> dict[str, JobEnd]:
        """Read the queue of completed jobs."""
        jobs = map(_read_job, _read_jobs(stdout))
        return {job.job_id: job.end for job in jobs if job.end}


def _control(options: str, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
    """Do something to jobs, to one after the other."""
    line = f'for job; do mjobctl {options} "$job"; done'
    return tuple(
        Command(("sh", "-c", line, "mjobctl", *some), timeout_s=_PATIENCE_S)
        for some in in_turns(job_ids, _AT_ONCE)
    )


def _read_jobs(text: str) -> list[ET.Element]:
    try:
        root = ET.fromstring(text.strip())  # noqa: S314 - of the batch system we submit to
    except ET.ParseError as error:
        raise misread("showq", text) from error
    queues = root.findall("queue")
    if root.tag != "Data" or not queues:
        raise misread("showq", text)
    return [job for queue in queues for job in queue.findall("job")]


def _number(job: ET.Element, name: str) -> float:
    text = job.get(name, "0")
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else 0.0


def _read_job(job: ET.Element) -> JobStatus:
    job_id, word = job.get("JobID", ""), job.get("State", "")
    state = _STATES.get(word)
    if not job_id or state is None:
        raise misread("showq", ET.tostring(job, encoding="unicode"))
    end = _read_end(job_id, job) if state in {JobState.DONE, JobState.FAILED} else None
    if end:
        state = JobState.DONE if end.cause == "finished" else JobState.FAILED
    runs = state in {JobState.RUNNING, JobState.ENDING}
    started, limit = (_number(job, name) for name in ("StartTime", "ReqAWDuration"))
    reasons = (job.get("BlockReason", ""), job.get("Description", ""))
    reason = ": ".join(filter(None, reasons)) or (word if state is JobState.HELD else "")
    return JobStatus(
        job_id=job_id,
        state=state,
        reason="" if runs or end else reason,
        tag=job.get("JobName", ""),
        host=job.get("MasterHost", ""),
        started_at=started if runs and started else None,
        ends_at=started + limit if runs and started and limit else None,
        end=end,
    )


def _read_end(job_id: str, job: ET.Element) -> JobEnd:
    """Read the completion code: an exit status as Torque has it, or ``CNCLD``."""
    text = job.get("CompletionCode", "")
    found = re.search(r"-?\d+", text)
    status = int(found[0]) if found else None
    limit = _number(job, "ReqAWDuration")
    on = f" on {job.get('MasterHost')}" if job.get("MasterHost") else ""
    cause: Cause = "unknown" if status is None else _CAUSES.get(status) or name_cause(status)
    if "CNCLD" in text or status == _STOPPED:
        over = limit and _number(job, "AWDuration") >= limit
        cause = "walltime" if over else "cancelled"
    exit_code, signal = (None, None) if status is None else split_status(status)
    return JobEnd(
        job_id=job_id,
        cause=cause,
        exit_code=exit_code,
        signal=signal,
        words=f"{job.get('State')}, completion code {text or 'unknown'}{on}",
    )
