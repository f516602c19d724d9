"""Grid Engine (Sun, Son of, Univa, Altair): ``qsub``, ``qstat``, ``qdel``, ``qacct``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
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
from beampipe.batch.scripts import write_script
from beampipe.batch.spelling import check_accepted, check_count, in_turns, misread, whole_mib

_SUBMITTED: Final = re.compile(r"(\d+)(?:\.(\d+)-(\d+):1)?")
_STATE: Final = re.compile(r"[a-zA-Z]+")
_RULE: Final = re.compile(r"^=+$", re.MULTILINE)
# Codes of `failed` in qacct's output, as listed in its manual (accounting(5), sge_diagnostics(1)).
_AFTER_JOB: Final = 100
_NOTHING: Final = {"", "no jobs running since startup"}


@dataclass(frozen=True, slots=True)
class GridEngine:
    """Grid Engine's language.

    It asks for memory as ``mem_free``, which no site enforces and each has. Where a limit is wanted
    (``h_vmem``, ``h_rss``) the site's directives say so. More than one core needs a parallel
    environment; it is taken to be called ``smp`` unless a directive has ``-pe``.
    """

    name: str = "sge"
    commands: tuple[str, ...] = ("qsub", "qstat", "qdel", "qrls")
    largest_array: int = 1000
    has_file_transfer: bool = False
    has_signal_ahead: bool = True

    def submit_text(self, job: JobDescription) -> str:
        """Write the job's script; it passes Grid Engine's warnings on as SIGTERM."""
        check_count(job, self.largest_array)
        member = "$JOB_ID.$TASK_ID" if job.count > 1 else "$JOB_ID"
        logs = job.log_folder / job.tag
        own_environment = any(text.split(maxsplit=1)[0] == "-pe" for text in job.directives)
        options = [
            f"-N {job.tag}",
            f"-o {_quote(f'{logs}-{member}.out')}",
            f"-e {_quote(f'{logs}-{member}.err')}",
            "-j n",
            "-cwd",
            "-S /bin/bash",
            # A worker that starts a second time is a stranger to its scheduler.
            "-r n",
            # SIGUSR2 before it is killed.
            "-notify",
            f"-l mem_free={whole_mib(job.memory_bytes)}M",
            f"-l h_rt={job.walltime_s}" if job.walltime_s else "",
            # SIGUSR1 ahead of the limit.
            f"-l s_rt={job.walltime_s - job.signal_ahead_s}"
            if job.walltime_s and job.signal_ahead_s and job.signal_ahead_s < job.walltime_s
            else "",
            f"-pe smp {job.cores}" if job.cores > 1 and not own_environment else "",
            f"-q {_quote(job.queue)}" if job.queue else "",
            f"-P {_quote(job.account)}" if job.account else "",
            f"-t 1-{job.count}" if job.count > 1 else "",
            # A single option, or the last one counts.
            f"-l h=!({'|'.join(job.avoid)})" if job.avoid else "",
            *job.directives,
        ]
        header = [f"#$ {option}" for option in options if option]
        return write_script(job, header, relayed=("USR1", "USR2"))

    def submit(self, job: JobDescription, script: Path) -> Command:
        """Submit the script."""
        return Command(("qsub", "-terse", str(script)))

    def read_submitted(
        self, stdout: str, count: int, *, stderr: str = "", exit_code: int = 0
    ) -> tuple[str, ...]:
        """Read ``12`` or ``12.1-4:1``."""
        check_accepted("Grid Engine", stdout=stdout, stderr=stderr, exit_code=exit_code)
        lines = map(str.strip, stdout.split("\n"))
        found = [match for line in lines if (match := _SUBMITTED.fullmatch(line))]
        if not found:
            raise misread("qsub", stdout)
        number, first, last = found[-1].groups()
        if count == 1 and first is None:
            return (number,)
        if first is None or int(last) - int(first) + 1 != count:
            raise misread("qsub", stdout)
        return tuple(f"{number}.{task}" for task in range(int(first), int(last) + 1))

    def logs(self, job: JobDescription, job_id: str) -> JobLogs:
        """Two files per job."""
        return log_files(job, job_id)

    def status(self, *, user: str, tag: str = "") -> Command:
        """Ask for the user's jobs: it does not choose by name."""
        return Command(("qstat", "-xml", "-r", "-g", "d", "-u", user))

    def read_status(self, stdout: str, now: float, tag: str = "") -> dict[str, JobStatus]:
        """Read the XML; times in it are those of this machine's clock, without a zone."""
        try:
            root = ET.fromstring(stdout)  # noqa: S314 - of the batch system we submit to
        except ET.ParseError as error:
            raise misread("qstat", stdout) from error
        if root.tag != "job_info":
            raise misread("qstat", stdout)
        return pick(map(_read_job, root.iter("job_list")), tag)

    def cancel(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Delete jobs, or tasks of arrays."""
        return tuple(Command(("qdel", *some)) for some in in_turns(job_ids))

    def release(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Release the user's holds."""
        return tuple(Command(("qrls", *some)) for some in in_turns(job_ids))

    def autopsy(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Ask the accounts, which are told of one submission at a time."""
        numbers = dict.fromkeys(job_id.partition(".")[0] for job_id in job_ids)
        return tuple(Command(("qacct", "-j", number)) for number in numbers)

    def read_autopsy(self, stdout: str) -> dict[str, JobEnd]:
        """Read blocks of ``name value``; the last one of a job counts."""
        if stdout.strip() in _NOTHING:
            return {}
        if not _RULE.match(stdout):
            raise misread("qacct", stdout)
        ends = (_read_end(block) for block in _read_blocks(stdout))
        return {end.job_id: end for end in ends}

    def nodes(self, queue: str = "") -> Command:
        """Ask for the execution hosts."""
        return Command(("qhost",))

    def read_nodes(self, stdout: str) -> frozenset[str]:
        """Read a table with a heading, a rule and the line of all hosts together."""
        names = {line.split()[0] for line in stdout.splitlines()[2:] if line.strip()}
        return frozenset(names - {"global"})


def _quote(text: str) -> str:
    """Quote for Grid Engine, in whose lines of options only quotes and blanks mean something."""
    return text if re.fullmatch(r"[^\s\"'\\]+", text) else f'"{text}"'


def _read_job(entry: ET.Element) -> JobStatus:
    def text(name: str) -> str:
        return (entry.findtext(name) or "").strip()

    number, task, letters = text("JB_job_number"), text("tasks"), text("state")
    if not number.isdecimal() or not _STATE.fullmatch(letters):
        raise misread("qstat", ET.tostring(entry, encoding="unicode"))
    state = _read_letters(letters)
    job_id = f"{number}.{task}" if task else number
    started = text("JAT_start_time")
    started_at = datetime.fromisoformat(started).timestamp() if started else None
    limits = [item.text for item in entry.iter("hard_request") if item.get("name") == "h_rt"]
    limit = int(limits[0]) if limits and limits[0] and limits[0].isdecimal() else None
    broken = "E" in letters
    words = f"it is in the error state {letters}; see `qstat -j {number}`"
    return JobStatus(
        job_id=job_id,
        state=state,
        reason=words if broken else f"state {letters}" if state is JobState.HELD else "",
        tag=text("full_job_name") or text("JB_name"),
        host=text("queue_name").rpartition("@")[2],
        started_at=started_at,
        ends_at=started_at + limit if started_at is not None and limit is not None else None,
        end=JobEnd(job_id=job_id, cause="held", words=words) if broken else None,
    )


def _read_letters(letters: str) -> JobState:
    """Read what qstat(1) lists under "state"."""
    if "d" in letters:
        return JobState.ENDING
    if "E" in letters or ("h" in letters and "w" in letters):
        return JobState.HELD
    return JobState.PENDING if "w" in letters else JobState.RUNNING


def _read_blocks(text: str) -> Iterator[dict[str, str]]:
    for block in _RULE.split(text):
        pairs = (line.partition(" ") for line in block.splitlines() if line.strip())
        fields = {name: value.strip() for name, _, value in pairs}
        if fields:
            yield fields


def _read_end(fields: dict[str, str]) -> JobEnd:
    try:
        number, task = fields["jobnumber"], fields["taskid"]
        failed, _, words = fields["failed"].partition(" ")
        code = int(fields["exit_status"].split()[0])
        failure = int(failed)
    except (KeyError, ValueError, IndexError) as error:
        raise misread("qacct", shlex.join(fields)) from error
    words = words.strip(" :")
    signal = code - 128 if code > 128 else None
    over = _took_too_long(fields)
    cause: Cause = "exit" if code else "finished"
    if over:
        cause = "walltime"
    elif "deleted_by" in fields and fields["deleted_by"] not in {"", "NONE"}:
        cause = "cancelled"
    elif signal:
        cause = "signal"
    elif failure and failure != _AFTER_JOB:
        cause = "node"
    said = f"failed {failure}: {words}, " if failure else ""
    return JobEnd(
        job_id=f"{number}.{task}" if task != "undefined" else number,
        cause=cause,
        exit_code=code if not signal else None,
        signal=signal,
        words=f"{said}exit status {code} on {fields.get('hostname', '')}",
        host=fields.get("hostname", ""),
    )


def _took_too_long(fields: dict[str, str]) -> bool:
    """Whether a killed job had used up its time: Grid Engine does not say why it killed one."""
    wanted = re.search(r"\bh_rt=(\d+)", fields.get("category", ""))
    used = re.match(r"[\d.]+", fields.get("ru_wallclock", ""))
    killed = fields["failed"].startswith((f"{_AFTER_JOB} ", "37 "))
    return bool(wanted and used and killed and float(used[0]) >= int(wanted[1]))
