"""What ``qstat -f`` prints, in PBS and Torque alike."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate
from types import MappingProxyType
from typing import Final

from beampipe.batch.model import Cause, JobEnd, JobState, JobStatus
from beampipe.batch.spelling import misread, name_cause, read_duration, split_status

# Fixed lines of shell, to which jobs, or user and name, are arguments. That one of several jobs is
# over (exit code 35) or not known any more (153) says nothing against what is told of the others.
ASK_FOR_JOBS: Final = '"$0" "$@"; code=$?; case $code in 35|153) ;; *) exit "$code";; esac'
# First choose, then ask in full. A failure to choose is not an empty queue.
ASK_FOR_ALL: Final = (
    'jobs=$(qselect -u "$1" ${2:+-N "$2"}) || exit; '
    f"printf '%s\\n' \"$jobs\" | xargs -r sh -c '{ASK_FOR_JOBS}' qstat -f"
)
_HEAD: Final = re.compile(r"Job Id: (\S+)")
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
        "F": JobState.DONE,  # PBS
        "C": JobState.DONE,  # Torque
    }
)
_ENDED: Final = {"F", "C"}
_CANCELLED: Final = 271  # 256, and SIGTERM
# A job that was ended by a signal at the end of its time has used a bit less of it.
_CLOSE_S: Final = 5


def read_blocks(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Read blocks of ``name = value``; a long value goes on in lines that begin with a tab.

    Yields
    ------
    job_id : str
    fields : dict
    """
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


def has_ended(fields: Mapping[str, str]) -> bool:
    """Whether a job is over, and stays in the list only to tell how it ended."""
    return fields.get("job_state") in _ENDED


def read_job(
    job_id: str, fields: Mapping[str, str], *, now: float, causes: Mapping[int, Cause]
) -> JobStatus:
    """Read one job.

    Parameters
    ----------
    job_id : str
    fields : mapping of str to str
    now : float
        The time [s since 1970].
    causes : mapping of int to str
        Exit statuses by which the server says why a job did not end by itself.
    """
    state = _STATES.get(fields.get("job_state", ""))
    if state is None:
        raise misread("qstat", f"{job_id}: job_state = {fields.get('job_state')}")
    end = read_end(job_id, fields, causes) if state is JobState.DONE else None
    if end and end.cause != "finished":
        state = JobState.FAILED
    started = _read_start(fields, now) if state is JobState.RUNNING else None
    limit = read_duration(fields.get("Resource_List.walltime", ""))
    comment = fields.get("comment", "")
    reasons = {JobState.HELD: comment or "held", JobState.PENDING: comment}
    return JobStatus(
        job_id=job_id,
        state=state,
        reason=reasons.get(state, ""),
        tag=_read_name(job_id, fields),
        host=re.split(r"[/+]", fields.get("exec_host", ""))[0],
        started_at=started,
        ends_at=started + limit if started is not None and limit else None,
        end=end,
    )


def _read_name(job_id: str, fields: Mapping[str, str]) -> str:
    """The name without what Torque adds to it for members of arrays: job ``7[2]`` is ``tag-2``."""
    name = fields.get("Job_Name", "")
    member = re.search(r"\[(\d+)\]", job_id)
    return name.removesuffix(f"-{member[1]}") if member else name


def _read_start(fields: Mapping[str, str], now: float) -> float:
    """When a job began: the server says it, or how long it has run, which lags behind."""
    told = parsedate(fields.get("start_time", "") or fields.get("stime", ""))
    if told is not None:
        return time.mktime((*told[:8], -1))
    return now - (read_duration(fields.get("resources_used.walltime", "")) or 0)


def read_end(job_id: str, fields: Mapping[str, str], causes: Mapping[int, Cause]) -> JobEnd:
    """Read the exit status: of the job, above 256 a signal's number more, below zero the server's.

    Parameters
    ----------
    job_id : str
    fields : mapping of str to str
    causes : mapping of int to str
        As for `read_job`.
    """
    text = fields.get("Exit_status") or fields.get("exit_status")
    words = fields.get("comment", "")
    if text is None or not re.fullmatch(r"-?\d+", text):
        # It never ran: somebody deleted it.
        return JobEnd(job_id=job_id, cause="cancelled", words=words)
    status = int(text)
    exit_code, signal = split_status(status)
    return JobEnd(
        job_id=job_id,
        cause=causes.get(status) or _guess_cause(status, fields),
        exit_code=exit_code,
        signal=signal,
        words=f"exit status {status}; {words}" if words else f"exit status {status}",
    )


def _guess_cause(status: int, fields: Mapping[str, str]) -> Cause:
    if status == _CANCELLED:
        used = read_duration(fields.get("resources_used.walltime", ""))
        limit = read_duration(fields.get("Resource_List.walltime", ""))
        over = used is not None and limit is not None and used >= limit - _CLOSE_S
        return "walltime" if over else "cancelled"
    return name_cause(status)
