"""OAR: ``oarsub``, ``oarstat``, ``oardel``, ``oarresume``."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

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
    spell_duration,
)
from beampipe.errors import BatchJobError

_SUBMITTED: Final = re.compile(r"^OAR_JOB_ID=(\d+)$", re.MULTILINE)
_STATES: Final[Mapping[str, JobState]] = MappingProxyType(
    {
        "Waiting": JobState.PENDING,
        "toAckReservation": JobState.PENDING,
        "toLaunch": JobState.PENDING,
        "Launching": JobState.PENDING,
        "Hold": JobState.HELD,
        "Running": JobState.RUNNING,
        "Suspended": JobState.RUNNING,
        "Resuming": JobState.RUNNING,
        "Finishing": JobState.ENDING,
        "toError": JobState.ENDING,
        "Terminated": JobState.DONE,
        "Error": JobState.FAILED,
    }
)
# Events of a job by which OAR tells why it ended it, the more telling ones first.
_CAUSES: Final[tuple[tuple[str, Cause], ...]] = (
    ("WALLTIME", "walltime"),
    ("BESTEFFORT_KILL", "cancelled"),
    ("FRAG_JOB_REQUEST", "cancelled"),
)
# Events that belong to every end.
_STEPS: Final = {"SWITCH_INTO_TERMINATE_STATE", "SWITCH_INTO_ERROR_STATE", "SEND_KILL_JOB"}
_ASK: Final = ("oarstat", "-f", "-J")  # without the first, 2.5.9 leaves out how a job ended
_AT_ONCE: Final = 100  # it asks its database for one job after the other


@dataclass(frozen=True, slots=True)
class OAR:
    """OAR's language.

    The script must stay where it is until the jobs have begun: OAR keeps the command, not the
    script. Memory is asked for by a property that each site names otherwise, in a directive.
    """

    name: str = "oar"
    commands: tuple[str, ...] = ("oarsub", "oarstat", "oardel", "oarresume")
    largest_array: int = 1000
    has_file_transfer: bool = False
    has_signal_ahead: bool = True

    def submit_text(self, job: JobDescription) -> str:
        """Write the script; it sends its output itself, as OAR takes few letters in a path."""
        check_count(job, self.largest_array)
        output = redirect_output(job, '"$OAR_JOB_ID"')
        # OAR says it again every few seconds, which a worker must not hear.
        return write_script(job, [output], relayed=("USR2",) if _is_told(job) else ())

    def submit(self, job: JobDescription, script: Path) -> Command:
        """Submit the script; a directive's words become options."""
        if "'" in str(job.log_folder):
            raise BatchJobError("OAR cannot start a job in a folder with a quote in its path.")
        words = [word for text in job.directives for word in _split(text)]
        options = [
            *("-n", job.tag),
            *_ask_for_resources(job, words),
            *("-O", "/dev/null", "-E", "/dev/null"),
            # Else it is $PWD, which is not set everywhere.
            *("-d", str(job.log_folder)),
            *(("--checkpoint", str(job.signal_ahead_s), "--signal", "12") if _is_told(job) else ()),
            *(("-q", job.queue) if job.queue else ()),
            *(("--project", job.account) if job.account else ()),
            *(("--array", str(job.count)) if job.count > 1 else ()),
            *words,
        ]
        # It goes to the user's own shell; the script takes its place, so that signals reach it.
        return Command(("oarsub", *options, f"exec {shlex.quote(str(script))}"))

    def read_submitted(
        self, stdout: str, count: int, *, stderr: str = "", exit_code: int = 0
    ) -> tuple[str, ...]:
        """Read one line per job, between what the site's rules say."""
        check_accepted("OAR", stdout=stdout, stderr=stderr or stdout, exit_code=exit_code)
        found = _SUBMITTED.findall(stdout)
        if len(found) != count:
            raise misread("oarsub", stdout)
        return tuple(found)

    def logs(self, job: JobDescription, job_id: str) -> JobLogs:
        """Two files per job, written while it runs."""
        return log_files(job, job_id)

    def status(self, *, user: str, tag: str = "") -> Command:
        """Ask for the user's jobs that are not over."""
        return Command((*_ASK, "-u", user))

    def read_status(self, stdout: str, now: float, tag: str = "") -> dict[str, JobStatus]:
        """Read an object of jobs by their ids; nothing at all where there is none."""
        return pick(map(_read_job, _read_jobs(stdout)), tag)

    def cancel(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Delete jobs; OAR kills them without asking them to go."""
        return tuple(Command(("oardel", *some)) for some in in_turns(job_ids))

    def release(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Let jobs on hold wait for resources."""
        return tuple(Command(("oarresume", *some)) for some in in_turns(job_ids))

    def autopsy(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Ask for jobs by their ids: OAR forgets none."""
        return tuple(
            Command((*_ASK, *(word for job_id in some for word in ("-j", job_id))))
            for some in in_turns(job_ids, _AT_ONCE)
        )

    def read_autopsy(self, stdout: str) -> dict[str, JobEnd]:
        """Read the jobs that are over."""
        jobs = map(_read_job, _read_jobs(stdout))
        return {job.job_id: job.end for job in jobs if job.end}


def _is_told(job: JobDescription) -> bool:
    """Whether a job is to be told that its time is nearly over."""
    return bool(job.signal_ahead_s and job.walltime_s)


def _split(directive: str) -> list[str]:
    try:
        return shlex.split(directive)
    except ValueError as error:
        why = f"{error}; OAR takes it as options of `oarsub`"
        raise BatchJobError(f"The directive {directive!r} is not complete.", why=why) from error


def _ask_for_resources(job: JobDescription, words: list[str]) -> tuple[str, ...]:
    """Ask for cores of one host; with a second ``-l`` OAR would choose between the two."""
    if any(word.startswith(("-l", "--resource")) for word in words):
        return ()
    walltime = f",walltime={spell_duration(job.walltime_s)}" if job.walltime_s else ""
    return ("-l", f"/nodes=1/core={job.cores}{walltime}")


def _read_jobs(text: str) -> list[dict[str, Any]]:
    if not text.strip():
        return []
    try:
        jobs = json.loads(text)
    except ValueError as error:
        raise misread("oarstat", text) from error
    found = list(jobs.values()) if isinstance(jobs, dict) else []
    if not found or not all(isinstance(job, dict) and "state" in job for job in found):
        raise misread("oarstat", text)
    return found


def _read_job(job: Mapping[str, Any]) -> JobStatus:
    state, job_id = _STATES.get(job["state"]), str(job.get("Job_Id", job.get("id", "")))
    if state is None or not job_id.isdecimal():
        raise misread("oarstat", json.dumps(dict(job)))
    runs = state in {JobState.RUNNING, JobState.ENDING}
    started = float(job.get("startTime") or job.get("start_time") or 0) if runs else 0.0
    limit = job.get("walltime")
    hosts = job.get("assigned_network_address") or [""]
    ended = state in {JobState.DONE, JobState.FAILED}
    reason = _clean(job.get("message")) or ("held" if state is JobState.HELD else "")
    end = _read_end(job_id, job) if ended else None
    return JobStatus(
        job_id=job_id,
        state=JobState.FAILED if end and end.cause != "finished" else state,
        reason="" if runs or ended else reason,
        tag=job.get("name") or "",
        host=str(hosts[0]),
        started_at=started or None,
        ends_at=started + float(limit) if started and limit else None,
        end=end,
    )


def _clean(text: Any) -> str:
    return " ".join(str(text or "").split())


def _read_end(job_id: str, job: Mapping[str, Any]) -> JobEnd:
    """Read what a program waits for as `wait` gives it, and the events of a job."""
    events = {str(event.get("type")): event for event in job.get("events") or ()}
    status = str(job.get("exit_code"))
    wait = int(status) if status.isdecimal() else None
    signal = wait & 127 if wait is not None else 0
    code = wait >> 8 if wait is not None and not signal else None
    if code is not None and code > 128:  # of a shell in between
        signal, code = code - 128, None
    named = [cause for name, cause in _CAUSES if name in events]
    by_code: Cause = "exit" if code else "unknown" if wait is None else "finished"
    by_itself: Cause = "signal" if signal else by_code
    told = "; ".join(
        _clean(event.get("description")) for name, event in events.items() if name not in _STEPS
    )
    said = f"exit code {code}" if code is not None else f"signal {signal}" if signal else ""
    words = "; ".join(filter(None, (str(job["state"]), said, told)))
    return JobEnd(
        job_id=job_id,
        cause=named[0] if named else by_itself,
        exit_code=code,
        signal=signal or None,
        words=words,
    )
