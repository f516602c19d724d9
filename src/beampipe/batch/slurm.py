"""Slurm: ``sbatch``, ``squeue``, ``scancel``, ``scontrol``, and ``sacct`` where it has accounts."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    log_files,
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

_SEPARATOR: Final = "|"
# Job, state, time used, time left, node, name, reason: the last may have any sign in it.
_COLUMNS: Final = _SEPARATOR.join(("%i", "%T", "%M", "%L", "%N", "%j", "%r"))
_JOB_ID: Final = re.compile(r"\d+(_\d+)?")
_SUBMITTED: Final = re.compile(r"(\d+)(;\S+)?")
_NO_REASON: Final = {"", "None", "(null)"}

_STATES: Final[Mapping[str, JobState]] = MappingProxyType(
    {
        "PENDING": JobState.PENDING,
        "CONFIGURING": JobState.PENDING,
        "REQUEUED": JobState.PENDING,
        "REQUEUE_FED": JobState.PENDING,
        "REQUEUE_HOLD": JobState.HELD,
        "SPECIAL_EXIT": JobState.HELD,
        "RESV_DEL_HOLD": JobState.HELD,
        "RUNNING": JobState.RUNNING,
        "SUSPENDED": JobState.RUNNING,
        "STOPPED": JobState.RUNNING,
        "RESIZING": JobState.RUNNING,
        "COMPLETING": JobState.ENDING,
        "SIGNALING": JobState.ENDING,
        "STAGE_OUT": JobState.ENDING,
        "COMPLETED": JobState.DONE,
        "FAILED": JobState.FAILED,
        "TIMEOUT": JobState.FAILED,
        "DEADLINE": JobState.FAILED,
        "OUT_OF_MEMORY": JobState.FAILED,
        "NODE_FAIL": JobState.FAILED,
        "BOOT_FAIL": JobState.FAILED,
        "LAUNCH_FAILED": JobState.FAILED,
        "CANCELLED": JobState.FAILED,
        "PREEMPTED": JobState.FAILED,
        "REVOKED": JobState.FAILED,
    }
)
_CAUSES: Final[Mapping[str, Cause]] = MappingProxyType(
    {
        "COMPLETED": "finished",
        "TIMEOUT": "walltime",
        "DEADLINE": "walltime",
        "OUT_OF_MEMORY": "memory",
        "NODE_FAIL": "node",
        "BOOT_FAIL": "node",
        "LAUNCH_FAILED": "node",
        "CANCELLED": "cancelled",
        "PREEMPTED": "cancelled",
        "REVOKED": "cancelled",
    }
)
_EXCLUDE: Final = re.compile(r"(?:--exclude[= ]|-x *)(\S+)")
_HELD_FOR: Final = re.compile(r"JobHeld\w*|.*launch failed requeued held.*|Dependency never.*")
_OUT_OF_MEMORY: Final = 125  # the "signal" that Slurm writes for it


@dataclass(frozen=True, slots=True)
class Slurm:
    """Slurm's language. Its jobs are named by the tag, by which `squeue` can choose them."""

    name: str = "slurm"
    commands: tuple[str, ...] = ("sbatch", "squeue", "scancel", "scontrol")
    largest_array: int = 1000  # MaxArraySize is 1001 where nobody changed it
    has_file_transfer: bool = False
    has_signal_ahead: bool = True

    def submit_text(self, job: JobDescription) -> str:
        """Write the batch script."""
        check_count(job, self.largest_array)
        member = "%A_%a" if job.count > 1 else "%j"
        logs = str(job.log_folder / job.tag).replace("%", "%%")
        options = [
            f"--job-name={job.tag}",
            f"--comment={_quote(job.name)}" if job.name else "",
            f"--output={_quote(f'{logs}-{member}.out')}",
            f"--error={_quote(f'{logs}-{member}.err')}",
            "--ntasks=1",
            f"--cpus-per-task={job.cores}",
            f"--mem={whole_mib(job.memory_bytes)}M",
            f"--time={spell_duration(job.walltime_s)}" if job.walltime_s else "",
            f"--partition={_quote(job.queue)}" if job.queue else "",
            f"--account={_quote(job.account)}" if job.account else "",
            # A worker that starts a second time is a stranger to its scheduler.
            "--no-requeue",
            # To the script alone: the command has taken its place.
            f"--signal=B:TERM@{job.signal_ahead_s}" if job.signal_ahead_s else "",
            f"--array=0-{job.count - 1}" if job.count > 1 else "",
            *_directives(job),
        ]
        return write_script(job, [f"#SBATCH {option}" for option in options if option])

    def submit(self, job: JobDescription, script: Path) -> Command:
        """Submit the batch script."""
        return Command(("sbatch", "--parsable", str(script)))

    def read_submitted(
        self, stdout: str, count: int, *, stderr: str = "", exit_code: int = 0
    ) -> tuple[str, ...]:
        """Read ``ID`` or ``ID;CLUSTER``, which may stand below what a site's plugins say."""
        check_accepted("Slurm", stdout=stdout, stderr=stderr, exit_code=exit_code)
        lines = stdout.split("\n")
        found = [match for line in lines if (match := _SUBMITTED.fullmatch(line.strip()))]
        if not found:
            raise misread("sbatch", stdout)
        job_id = found[-1][1]
        return (job_id,) if count == 1 else tuple(f"{job_id}_{k}" for k in range(count))

    def logs(self, job: JobDescription, job_id: str) -> JobLogs:
        """Two files per job."""
        return log_files(job, job_id)

    def status(self, *, user: str, tag: str = "") -> Command:
        """Ask for jobs in all states: those that ended stay for some minutes."""
        ours = (f"--name={tag}",) if tag else ()
        options = ("--noheader", "--array", "--states=all", f"--format={_COLUMNS}")
        return Command(("squeue", f"--user={user}", *ours, *options))

    def read_status(self, stdout: str, now: float, tag: str = "") -> dict[str, JobStatus]:
        """Read one line per job."""
        return pick((_read_line(line, now) for line in stdout.splitlines() if line.strip()), tag)

    def cancel(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Cancel jobs or members of arrays."""
        return tuple(Command(("scancel", *some)) for some in in_turns(job_ids))

    def release(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Release jobs that wait for it."""
        return tuple(Command(("scontrol", "release", ",".join(some))) for some in in_turns(job_ids))

    def autopsy(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Ask the accounting, which not every site has; `squeue` has told most of it before."""
        fields = "--format=JobID,State,ExitCode,NodeList"
        options = ("--allocations", "--noheader", "--parsable2", fields)
        return tuple(
            Command(("sacct", f"--jobs={','.join(some)}", *options)) for some in in_turns(job_ids)
        )

    def read_autopsy(self, stdout: str) -> dict[str, JobEnd]:
        """Read one line per job; those that have not ended are left out."""
        ends = {}
        for line in filter(None, map(str.strip, stdout.splitlines())):
            fields = line.split(_SEPARATOR)
            if len(fields) != 4 or not fields[1]:
                raise misread("sacct", line)
            job_id, words, exit_code, nodes = fields
            state = words.partition(" ")[0].rstrip("+")
            if _STATES.get(state) not in {JobState.DONE, JobState.FAILED}:
                continue
            ends[job_id] = _read_end(job_id, words, exit_code, nodes)
        return ends

    def nodes(self, queue: str = "") -> Command:
        """Ask for nodes that answer, one a line."""
        chosen = (f"--partition={queue}",) if queue else ()
        return Command(("sinfo", "--noheader", "--Node", "--responding", "--format=%N", *chosen))

    def read_nodes(self, stdout: str) -> frozenset[str]:
        """Read names; one that is in several partitions has several lines."""
        return frozenset(stdout.split())


def _directives(job: JobDescription) -> list[str]:
    """The site's own, with the nodes to avoid in what it excludes: the last line counts."""
    if not job.avoid:
        return list(job.directives)
    found = {text: match for text in job.directives if (match := _EXCLUDE.match(text.strip()))}
    others = [text for text in job.directives if text not in found]
    nodes = [*(match[1] for match in found.values()), *job.avoid]
    return [*others, f"--exclude={','.join(nodes)}"]


def _quote(text: str) -> str:
    """Quote what stands in a line of options, which Slurm reads much as a shell does."""
    if re.fullmatch(r"[\w@%+=:,./-]+", text, re.ASCII):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _read_line(line: str, now: float) -> JobStatus:
    fields = line.strip().split(_SEPARATOR, 6)
    if len(fields) != 7 or not _JOB_ID.fullmatch(fields[0]):
        raise misread("squeue", line)
    job_id, word, used, left, host, tag, reason = fields
    state = _STATES.get(word)
    if state is None:
        raise misread("squeue", line)
    reason = "" if reason in _NO_REASON else reason
    if state is JobState.PENDING and _HELD_FOR.fullmatch(reason):
        state = JobState.HELD
    runs = state in {JobState.RUNNING, JobState.ENDING}
    used_s, left_s = read_duration(used), read_duration(left)
    return JobStatus(
        job_id=job_id,
        state=state,
        reason=reason,
        tag=tag,
        host=host,
        started_at=now - used_s if runs and used_s is not None else None,
        ends_at=now + left_s if runs and left_s is not None else None,
        end=_guess_end(job_id, word, reason, host),
    )


def _guess_end(job_id: str, word: str, reason: str, host: str) -> JobEnd | None:
    """What the queue alone tells of an end: no exit code."""
    state = _STATES[word]
    if state not in {JobState.DONE, JobState.FAILED}:
        return None
    causes: dict[str, Cause] = {"NonZeroExitCode": "exit", "JobLaunchFailure": "signal"}
    cause = _CAUSES.get(word) or causes.get(reason, "unknown")
    words = f"{word} ({reason})" if reason else word
    return JobEnd(job_id=job_id, cause=cause, words=words, host=host)


def _read_end(job_id: str, words: str, exit_code: str, nodes: str) -> JobEnd:
    code, _, signal = exit_code.partition(":")
    if not code.isdecimal() or not (signal or "0").isdecimal():
        raise misread("sacct", exit_code)
    killed_by = int(signal or 0)
    cause = _CAUSES.get(words.partition(" ")[0].rstrip("+"))
    if cause is None:
        by_signal: Cause = "memory" if killed_by == _OUT_OF_MEMORY else "signal"
        cause = by_signal if killed_by else "exit"
    host = "" if nodes == "None assigned" else nodes
    where = f" on {host}" if host else ""
    return JobEnd(
        job_id=job_id,
        cause=cause,
        exit_code=int(code) if not killed_by else None,
        signal=killed_by if 0 < killed_by < _OUT_OF_MEMORY else None,
        words=f"{words}, exit code {exit_code}{where}",
        host=host,
    )
