"""IBM Spectrum LSF: ``bsub``, ``bjobs``, ``bkill``, ``bresume``.

From documentation (the command reference of IBM Spectrum LSF 10.1, and what others have recorded
of ``bjobs -json``), not tried. It needs 10.1 with fix pack 9 (2019), which can be told of memory in
which unit it is, and that it is for the host.
"""

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
    read_duration,
    whole_mib,
)

_SUBMITTED: Final = re.compile(r"Job <(\d+)> is submitted")
_FIELDS: Final = (
    "jobid jobindex stat job_name exec_host run_time runtimelimit exit_code exit_reason pend_reason"
)
# Fixed lines of shell. bsub takes options only from a script on its standard input. bjobs has other
# words, and at some sites an exit code, where there is no job; and it may say that it had to wait.
_SUBMIT: Final = 'exec bsub <"$0"'
_ASK: Final = (
    'said=$(bjobs "$@" 2>&1); code=$?; case $said in *"{"*) code=0;; '
    '*"job found"*|*"is not found"*) said="{\\"RECORDS\\": []}"; code=0;; esac; '
    'printf "%s\\n" "$said"; exit "$code"'
)
_OWN_ID: Final = '"$LSB_JOBID$member"'
_OWN_MEMBER: Final = 'member=${LSB_JOBINDEX:-0}; [ "$member" = 0 ] && member= || member="[$member]"'
_STATES: Final[Mapping[str, JobState]] = MappingProxyType(
    {
        "PEND": JobState.PENDING,
        "WAIT": JobState.PENDING,
        "PROV": JobState.PENDING,
        "PSUSP": JobState.HELD,
        "RUN": JobState.RUNNING,
        "USUSP": JobState.RUNNING,
        "SSUSP": JobState.RUNNING,
        "UNKWN": JobState.RUNNING,  # its host has not been heard of
        "ZOMBI": JobState.ENDING,  # was killed while nothing was heard of its host
        "DONE": JobState.DONE,
        "EXIT": JobState.FAILED,
    }
)
_CAUSES: Final[Mapping[str, Cause]] = MappingProxyType(
    {
        "RUNLIMIT": "walltime",
        "CPULIMIT": "walltime",
        "DEADLINE": "walltime",
        "WINDOW": "walltime",
        "MEMLIMIT": "memory",
        "SWAP": "memory",
        "OWNER": "cancelled",
        "ADMIN": "cancelled",
        "FORCE_OWNER": "cancelled",
        "FORCE_ADMIN": "cancelled",
        "BUCKET_KILL": "cancelled",
        "PREEMPT": "cancelled",
        "REQUEUE_OWNER": "cancelled",
        "REQUEUE_ADMIN": "cancelled",
        "RC_RECLAIM": "cancelled",
        "LOAD": "cancelled",
        "ZOMBI": "node",
        "CWD_NOTEXIST": "node",
    }
)


@dataclass(frozen=True, slots=True)
class LSF:
    """LSF's language.

    It counts time in minutes. Sizes are given their unit, as each site may have its own. A member
    of an array is spelt ``12[1]``, the first being 1.
    """

    name: str = "lsf"
    commands: tuple[str, ...] = ("bsub", "bjobs", "bkill", "bresume")
    largest_array: int = 1000  # MAX_JOB_ARRAY_SIZE where nobody changed it
    has_file_transfer: bool = False
    has_signal_ahead: bool = True

    def submit_text(self, job: JobDescription) -> str:
        """Write the job's script; it sends its output itself, as LSF delivers it at the end."""
        check_count(job, self.largest_array)
        memory = f"{whole_mib(job.memory_bytes)}MB"
        ahead = job.signal_ahead_s if job.walltime_s else None
        options = [
            f'-J "{job.tag}[1-{job.count}]"' if job.count > 1 else f"-J {job.tag}",
            # With an output file there is no mail.
            "-o /dev/null",
            "-L /bin/bash",
            # A worker that starts a second time is a stranger to its scheduler.
            "-rn",
            f"-n {job.cores}",
            '-R "span[hosts=1]"',
            f'-R "rusage[mem={memory}/host]"',
            f"-M {memory}",
            f"-W {_minutes(job.walltime_s)}" if job.walltime_s else "",
            f"-wt {_minutes(ahead)}" if ahead else "",
            "-wa TERM" if ahead else "",
            f"-q {shlex.quote(job.queue)}" if job.queue else "",
            f"-P {shlex.quote(job.account)}" if job.account else "",
            *job.directives,
        ]
        header = [f"#BSUB {option}" for option in options if option]
        return write_script(job, [*header, _OWN_MEMBER, redirect_output(job, _OWN_ID)])

    def submit(self, job: JobDescription, script: Path) -> Command:
        """Submit the script."""
        return Command(("sh", "-c", _SUBMIT, str(script)))

    def read_submitted(
        self, stdout: str, count: int, *, stderr: str = "", exit_code: int = 0
    ) -> tuple[str, ...]:
        """Read ``Job <12> is submitted to queue <short>.``."""
        check_accepted("LSF", stdout=stdout, stderr=stderr, exit_code=exit_code)
        found = _SUBMITTED.findall(stdout)
        if not found:
            raise misread("bsub", stdout)
        if count == 1:
            return (found[-1],)
        return tuple(f"{found[-1]}[{member}]" for member in range(1, count + 1))

    def logs(self, job: JobDescription, job_id: str) -> JobLogs:
        """Two files per job, written while it runs."""
        return log_files(job, job_id)

    def status(self, *, user: str, tag: str = "") -> Command:
        """Ask for the user's jobs, with those that have ended within the last hour."""
        return Command(("sh", "-c", _ASK, "ask", "-u", user, "-a", "-o", _FIELDS, "-json"))

    def read_status(self, stdout: str, now: float, tag: str = "") -> dict[str, JobStatus]:
        """Read a list of records, all of whose values are texts."""
        return pick((_read_job(record, now) for record in _read_records(stdout)), tag)

    def cancel(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Kill jobs or members of arrays: SIGINT, SIGTERM, SIGKILL."""
        return tuple(Command(("bkill", *some)) for some in in_turns(job_ids))

    def release(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Let jobs go on that were suspended while they waited."""
        return tuple(Command(("bresume", *some)) for some in in_turns(job_ids))

    def autopsy(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Ask for jobs that are over, which LSF keeps in mind for an hour (CLEAN_PERIOD)."""
        ask = ("sh", "-c", _ASK, "ask", "-a", "-o", _FIELDS, "-json")
        return tuple(Command((*ask, *some)) for some in in_turns(job_ids))

    def read_autopsy(self, stdout: str) -> dict[str, JobEnd]:
        """Read the records of jobs that are over."""
        jobs = (_read_job(record, 0) for record in _read_records(stdout))
        return {job.job_id: job.end for job in jobs if job.end}


def _minutes(seconds: int) -> int:
    return -(-seconds // 60)


def _read_records(text: str) -> list[dict[str, str]]:
    start, end = text.find("{"), text.rfind("}")
    try:
        answer: Any = json.loads(text[start : end + 1])
        records = answer["RECORDS"]
        # Of a job that is not known there is a record with an error alone.
        return [
            {str(name): str(value) for name, value in record.items()}
            for record in records
            if "ERROR" not in record
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise misread("bjobs", text) from error


def _read_job(record: Mapping[str, str], now: float) -> JobStatus:
    number, state = record.get("JOBID", ""), _STATES.get(record.get("STAT", ""))
    if state is None or not re.fullmatch(r"\d+(\[\d+\])?", number):
        raise misread("bjobs", json.dumps(dict(record)))
    # Some sites have the member's number in both places.
    member = record.get("JOBINDEX", "")
    job_id = f"{number}[{member}]" if member.strip("0") and "[" not in number else number
    runs = state in {JobState.RUNNING, JobState.ENDING}
    started = now - (_read_seconds(record.get("RUN_TIME", "")) or 0) if runs else None
    limit = _read_seconds(record.get("RUNTIMELIMIT", ""), unit_s=60)
    ended = state in {JobState.DONE, JobState.FAILED}
    reason = _plain(record.get("PEND_REASON", "")).strip(" ;")
    return JobStatus(
        job_id=job_id,
        state=state,
        reason="" if runs or ended else reason or ("held" if state is JobState.HELD else ""),
        tag=re.sub(r"\[[^\]]*\]$", "", record.get("JOB_NAME", "")),
        host=re.split(r"[:\s]", _plain(record.get("EXEC_HOST", "")))[0].rpartition("*")[2],
        started_at=started,
        ends_at=started + limit if started is not None and limit else None,
        end=_read_end(job_id, record) if ended else None,
    )


def _plain(text: str) -> str:
    """A value, where ``-`` stands for none."""
    return "" if text.strip() == "-" else text.strip()


def _read_seconds(text: str, unit_s: float = 1) -> float | None:
    """Read ``57208 second(s)``, ``1440.0`` in some unit, or ``15:53:28``: sites differ [s]."""
    number = re.match(r"\d+(\.\d+)?(?![\d:])", text.strip())
    if number:
        return float(number[0]) * unit_s
    return read_duration(text)


def _read_end(job_id: str, record: Mapping[str, str]) -> JobEnd:
    """Read the reason (``TERM_OWNER: job killed by owner``), else the exit code."""
    reason, text = _plain(record.get("EXIT_REASON", "")), _plain(record.get("EXIT_CODE", ""))
    code = int(text) if text.isdecimal() else 0 if record["STAT"] == "DONE" else None
    signal = code - 128 if code is not None and code > 128 else None
    named = re.match(r"TERM_(\w+)", reason)
    cause = _CAUSES.get(named[1]) if named else None
    if cause is None:
        by_code: Cause = "exit" if code else "unknown" if code is None else "finished"
        cause = "signal" if signal else by_code
    said = f"exit code {code}" if code is not None else "no exit code"
    return JobEnd(
        job_id=job_id,
        cause=cause,
        exit_code=code if not signal else None,
        signal=signal,
        words=f"{reason}; {said}" if reason else said,
    )
