"""HTCondor: ``condor_submit``, ``condor_q``, ``condor_rm``, ``condor_history``.

By its Python bindings instead: `beampipe.batch.htcondor_bindings`.

The file that is submitted is the job's shell script; the submit description goes to
``condor_submit`` on its standard input. The script must stay where it is until the jobs have begun.
"""

from __future__ import annotations

import json
import re
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
from beampipe.batch.scripts import write_script
from beampipe.batch.spelling import check_accepted, check_count, in_turns, misread, whole_mib
from beampipe.errors import BatchJobError

_TAG: Final = "BeampipeTag"
QUEUE_ATTRIBUTES: Final = (
    "ClusterId", "ProcId", "JobStatus", _TAG, "RemoteHost", "JobCurrentStartDate",
    "AllowedJobDuration", "HoldReason", "HoldReasonCode", "HoldReasonSubCode",
    "LastRejMatchReason", "ExitBySignal", "ExitCode", "ExitSignal",
)  # fmt: skip
HISTORY_ATTRIBUTES: Final = (
    "ClusterId", "ProcId", "JobStatus", "LastRemoteHost", "ExitBySignal", "ExitCode", "ExitSignal",
    "RemoveReason", "HoldReason", "HoldReasonCode", "HoldReasonSubCode", "LastHoldReason",
    "LastHoldReasonCode", "LastHoldReasonSubCode",
)  # fmt: skip
_REQUIREMENTS: Final = re.compile(r"\s*requirements\s*=\s*(.+?)\s*", re.IGNORECASE)
_SUBMITTED: Final = re.compile(r"(\d+)\.(\d+) - (\d+)\.(\d+)")
_REMOVED, _COMPLETED, _HELD = 3, 4, 5
_STATES: Final[Mapping[int, JobState]] = MappingProxyType(
    {
        0: JobState.PENDING,  # unexpanded
        1: JobState.PENDING,
        2: JobState.RUNNING,
        _REMOVED: JobState.ENDING,
        _COMPLETED: JobState.DONE,
        _HELD: JobState.HELD,
        6: JobState.ENDING,  # its output is on the way
        7: JobState.RUNNING,  # suspended
    }
)
# Codes of held jobs that wait for somebody, or for their files; they have not failed.
_WAITING_CODES: Final = {1, 15, 16}
_MEMORY_CODES: Final = {(21, 102), (34, None)}
_WALLTIME_CODES: Final = {46, 47}
# A job that was thrown off its node would start again, as a stranger to its scheduler.
_NEVER_AGAIN: Final = "JobStatus == 1 && NumJobStarts > 0"


@dataclass(frozen=True, slots=True)
class HTCondor:
    """HTCondor's language.

    Attributes
    ----------
    schedd : tuple of str
        Options that choose the queue, for all commands: ``("-name", "lpcschedd3.fnal.gov")``.
    """

    schedd: tuple[str, ...] = ()
    name: str = "htcondor"
    commands: tuple[str, ...] = ("condor_submit", "condor_q", "condor_rm", "condor_release")
    largest_array: int = 1000
    has_file_transfer: bool = True
    has_signal_ahead: bool = False

    def submit_text(self, job: JobDescription) -> str:
        """Write the script that HTCondor sends to the node and runs."""
        check_count(job, self.largest_array)
        return write_script(job)

    def submit(self, job: JobDescription, script: Path) -> Command:
        """Submit the script; a directive that begins with ``-`` becomes an option."""
        options = [text for text in job.directives if text.startswith("-")]
        argv = ("condor_submit", "-terse", *self.schedd, *options, "-")
        return Command(argv, stdin=describe_submission(job, script))

    def read_submitted(
        self, stdout: str, count: int, *, stderr: str = "", exit_code: int = 0
    ) -> tuple[str, ...]:
        """Read ``12.0 - 12.4``."""
        check_accepted("HTCondor", stdout=stdout, stderr=stderr, exit_code=exit_code)
        found = [match for match in map(_SUBMITTED.search, stdout.splitlines()) if match]
        if not found:
            raise misread("condor_submit", stdout)
        cluster, first, last = found[-1][1], int(found[-1][2]), int(found[-1][4])
        if last - first + 1 != count:
            raise misread("condor_submit", stdout)
        return tuple(f"{cluster}.{process}" for process in range(first, last + 1))

    def logs(self, job: JobDescription, job_id: str) -> JobLogs:
        """Two files per job, written while it runs."""
        return log_files(job, job_id)

    def status(self, *, user: str, tag: str = "") -> Command:
        """Ask the queue for all jobs that carry the tag."""
        chosen = ("-constraint", constrain(user, tag))
        options = ("-json", "-attributes", ",".join(QUEUE_ATTRIBUTES))
        return Command(("condor_q", *self.schedd, *chosen, *options))

    def read_status(self, stdout: str, now: float, tag: str = "") -> dict[str, JobStatus]:
        """Read a list of job ads; nothing at all where there is none."""
        return pick(map(_read_job, _read_ads("condor_q", stdout)), tag)

    def cancel(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Remove jobs from the queue, wherever they are."""
        return tuple(Command(("condor_rm", *self.schedd, *some)) for some in in_turns(job_ids))

    def release(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Release held jobs."""
        return tuple(Command(("condor_release", *self.schedd, *some)) for some in in_turns(job_ids))

    def autopsy(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Ask the history, no further back than needed."""
        ask = ("condor_history", *self.schedd, "-json", "-attributes", ",".join(HISTORY_ATTRIBUTES))
        return tuple(Command((*ask, "-match", str(len(some)), *some)) for some in in_turns(job_ids))

    def read_autopsy(self, stdout: str) -> dict[str, JobEnd]:
        """Read the ads of jobs that have left the queue."""
        ads = [ad for ad in _read_ads("condor_history", stdout) if _is_over(ad)]
        return {_job_id(ad): _read_end(ad) for ad in ads}

    def nodes(self, queue: str = "") -> Command:
        """Ask the pool's collector; there are no queues."""
        return Command(("condor_status", "-autoformat", "Machine"))

    def read_nodes(self, stdout: str) -> frozenset[str]:
        """Read names; each slot of a node has a line."""
        return frozenset(stdout.split())


def constrain(user: str, tag: str) -> str:
    """Which jobs are meant: a user's of one cluster, or (without `tag`) all of the user's."""
    ours = f'{_TAG} =?= "{tag}"' if tag else f"{_TAG} =!= undefined"
    return f'{ours} && Owner == "{user}"'


def describe_submission(job: JobDescription, script: Path) -> str:
    """Write the submit description."""
    if job.queue:
        fix = (
            "say in `directives` what the site wants instead, such as '+JobFlavour = \"longlunch\"'"
        )
        raise BatchJobError(f"HTCondor has no queue {job.queue!r}: it has none.", fix=fix)
    if any("," in str(path) for path in job.files):
        raise BatchJobError("HTCondor cannot send a file with a comma in its path.")
    logs = _literal(f"{job.log_folder / job.tag}")
    member = "$(ClusterId).$(ProcId)"
    lines = [
        "universe = vanilla",
        f"executable = {_literal(str(script))}",
        f"output = {logs}-{member}.out",
        f"error = {logs}-{member}.err",
        # So that one can look while it runs, and nothing is lost when it is removed.
        "stream_output = True",
        "stream_error = True",
        "should_transfer_files = YES",
        "when_to_transfer_output = ON_EXIT",
        'transfer_output_files = ""',
        f"request_cpus = {job.cores}",
        f"request_memory = {whole_mib(job.memory_bytes)}",
        f"periodic_remove = {_NEVER_AGAIN}",
        "notification = Never",
        f"batch_name = {_literal(job.name or job.tag)}",
        f'+{_TAG} = "{job.tag}"',
    ]
    if job.files:
        sent = ",".join(_literal(str(path)) for path in job.files)
        lines.append(f"transfer_input_files = {sent}")
    if job.walltime_s:
        lines.append(f"allowed_job_duration = {job.walltime_s}")
    if job.account:
        lines.append(f"accounting_group = {_literal(job.account)}")
    lines += _requirements(job)
    return "\n".join([*lines, f"queue {job.count}"]) + "\n"


def _requirements(job: JobDescription) -> list[str]:
    """The site's own lines; what they require is required with the rest, as the last one counts."""
    lines = [text for text in job.directives if not text.startswith("-")]
    if not job.avoid:
        return lines
    found = {text: match for text in lines if (match := _REQUIREMENTS.fullmatch(text))}
    wanted = [f"({match[1]})" for match in found.values()][-1:]
    wanted += [f'(TARGET.Machine =!= "{node}")' for node in job.avoid]
    others = [text for text in lines if text not in found]
    return [*others, f"requirements = {' && '.join(wanted)}"]


def _literal(text: str) -> str:
    """Keep a dollar from being read as the begin of a macro."""
    return text.replace("$", "$(DOLLAR)")


def _read_ads(program: str, text: str) -> list[dict[str, Any]]:
    if not text.strip():
        return []
    try:
        ads = json.loads(text)
    except ValueError as error:
        raise misread(program, text) from error
    if not isinstance(ads, list) or not all(
        isinstance(ad, dict) and {"ClusterId", "ProcId", "JobStatus"} <= set(ad) for ad in ads
    ):
        raise misread(program, text)
    return ads


def _job_id(ad: Mapping[str, Any]) -> str:
    return f"{ad['ClusterId']}.{ad['ProcId']}"


def _read_job(ad: Mapping[str, Any]) -> JobStatus:
    state = _STATES.get(ad["JobStatus"])
    if state is None:
        raise misread("condor_q", json.dumps(ad))
    runs = state in {JobState.RUNNING, JobState.ENDING}
    started = ad.get("JobCurrentStartDate") if runs else None
    limit = ad.get("AllowedJobDuration")
    reason = ad.get("HoldReason") if state is JobState.HELD else ad.get("LastRejMatchReason")
    return JobStatus(
        job_id=_job_id(ad),
        state=state,
        reason="" if runs else (reason or "").strip(),
        tag=ad.get(_TAG) or "",
        host=(ad.get("RemoteHost") or "").rpartition("@")[2],
        started_at=started,
        ends_at=started + limit if started is not None and isinstance(limit, int) else None,
        end=_read_end(ad) if _is_over(ad) else None,
    )


def _is_over(ad: Mapping[str, Any]) -> bool:
    """Whether a job will not go on by itself."""
    if ad["JobStatus"] == _HELD:
        return ad.get("HoldReasonCode") not in _WAITING_CODES
    return ad["JobStatus"] == _COMPLETED or (
        ad["JobStatus"] == _REMOVED and "RemoveReason" in ad  # asked of the history
    )


def _read_end(ad: Mapping[str, Any]) -> JobEnd:
    """Tell how a job ended from its ad.

    Codes of holds are listed in HTCondor's manual under the attribute ``HoldReasonCode``.
    """
    where = (ad.get("LastRemoteHost") or ad.get("RemoteHost") or "").rpartition("@")[2]
    on = f" on {where}" if where else ""
    if ad["JobStatus"] == _COMPLETED and ad.get("ExitBySignal"):
        signal = ad.get("ExitSignal")
        words = f"ended by signal {signal}{on}"
        return JobEnd(job_id=_job_id(ad), cause="signal", signal=signal, words=words, host=where)
    if ad["JobStatus"] == _COMPLETED:
        code = ad.get("ExitCode")
        words = f"exit code {code}{on}"
        cause: Cause = "exit" if code else "finished"
        return JobEnd(job_id=_job_id(ad), cause=cause, exit_code=code, words=words, host=where)
    held = ad.get("HoldReason") or ad.get("LastHoldReason") or ""
    removed = ad.get("RemoveReason") or ""
    words = "; ".join(filter(None, (held, removed))) + on
    cause = _why_stopped(ad, removed)
    return JobEnd(job_id=_job_id(ad), cause=cause, words=words, host=where)


def _why_stopped(ad: Mapping[str, Any], removed: str) -> Cause:
    """Tell a removed or held job's cause: a job that broke a limit is held first, then removed."""
    code = ad.get("HoldReasonCode") or ad.get("LastHoldReasonCode")
    subcode = ad.get("HoldReasonSubCode") or ad.get("LastHoldReasonSubCode")
    if (code, subcode) in _MEMORY_CODES or (code, None) in _MEMORY_CODES:
        return "memory"
    if code in _WALLTIME_CODES:
        return "walltime"
    if "NumJobStarts > 0" in removed:
        return "node"
    return "held" if ad["JobStatus"] == _HELD else "cancelled"
