"""PBS Pro and OpenPBS: ``qsub``, ``qselect``, ``qstat``, ``qdel``, ``qrls``.

From documentation (PBS Professional's Reference Guide and manual pages), not tried. Torque asks for
resources in other words: ``torque.py``.
"""

from __future__ import annotations

import re
import shlex
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
    JobStatus,
    log_files,
    pick,
)
from beampipe.batch.qstat import (
    ASK_FOR_ALL,
    ASK_FOR_JOBS,
    has_ended,
    read_blocks,
    read_end,
    read_job,
)
from beampipe.batch.scripts import redirect_output, write_script
from beampipe.batch.spelling import (
    check_accepted,
    check_count,
    in_turns,
    misread,
    spell_duration,
    whole_mib,
)

_JOB_ID: Final = re.compile(r"\d+(\.[\w.-]+)?")
# "Exit_status" below zero is the server's own word for why a job did not end by itself.
_CAUSES: Final[Mapping[int, Cause]] = MappingProxyType(
    {-26: "memory", -27: "memory", -28: "walltime", -29: "walltime"}
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
            "-m n",
            f"-l select=1:ncpus={job.cores}:mem={whole_mib(job.memory_bytes)}mb",
            f"-l walltime={spell_duration(job.walltime_s)}" if job.walltime_s else "",
            f"-q {shlex.quote(job.queue)}" if job.queue else "",
            f"-A {shlex.quote(job.account)}" if job.account else "",
            *job.directives,
        ]
        header = [f"#PBS {option}" for option in options if option]
        return write_script(job, [*header, redirect_output(job, '"$PBS_JOBID"')])

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
        return log_files(job, job_id)

    def status(self, *, user: str, tag: str = "") -> Command:
        """Choose the user's jobs of this name, and ask for all that is known of them."""
        return Command(("sh", "-c", ASK_FOR_ALL, "ask", user, tag))

    def read_status(self, stdout: str, now: float, tag: str = "") -> dict[str, JobStatus]:
        """Read blocks of ``name = value``."""
        jobs = read_blocks(stdout)
        return pick((read_job(*job, now=now, causes=_CAUSES) for job in jobs), tag)

    def cancel(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Delete jobs: SIGTERM, then SIGKILL."""
        return tuple(Command(("qdel", *some)) for some in in_turns(job_ids))

    def release(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Release the user's holds."""
        return tuple(Command(("qrls", *some)) for some in in_turns(job_ids))

    def autopsy(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Ask the server's history, where it keeps one."""
        ask = ("sh", "-c", ASK_FOR_JOBS, "qstat", "-x", "-f")
        return tuple(Command((*ask, *some)) for some in in_turns(job_ids))

    def read_autopsy(self, stdout: str) -> dict[str, JobEnd]:
        """Read the jobs that have finished."""
        jobs = (job for job in read_blocks(stdout) if has_ended(job[1]))
        return {job_id: read_end(job_id, fields, _CAUSES) for job_id, fields in jobs}
