"""Torque: ``qsub``, ``qselect``, ``qstat``, ``qdel``, ``qrls``; its words differ from PBS Pro's.

From documentation (Adaptive Computing's Torque Administrator Guide, Torque's manual pages and
source), not tried.
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

_SUBMITTED: Final = re.compile(r"(\d+)(\[\])?(\.[\w.-]+)?")
# Below zero, the exit status is the node's own word for why a job did not end by itself.
_CAUSES: Final[Mapping[int, Cause]] = MappingProxyType(
    {-8: "exit", -9: "exit", -10: "memory", -11: "walltime", -12: "walltime"}
)


@dataclass(frozen=True, slots=True)
class Torque:
    """Torque's language.

    A member of an array is spelt ``12[0].server``, on the command line as in the job.
    """

    name: str = "torque"
    commands: tuple[str, ...] = ("qsub", "qselect", "qstat", "qdel", "qrls")
    largest_array: int = 1000
    has_file_transfer: bool = False
    has_signal_ahead: bool = False

    def submit_text(self, job: JobDescription) -> str:
        """Write the job's script; it sends its output itself, as Torque delivers it at the end."""
        check_count(job, self.largest_array)
        # What Torque delivers is empty. To the path of an array's member it adds a number, so that
        # /dev/null would be /dev/null-3.
        delivered = str(job.log_folder / f"{job.tag}.torque") if job.count > 1 else "/dev/null"
        options = [
            f"-N {job.tag}",
            "-j oe",
            f"-o {shlex.quote(delivered)}",
            "-S /bin/bash",
            # A worker that starts a second time is a stranger to its scheduler.
            "-r n",
            "-m n",
            f"-l nodes=1:ppn={job.cores}",
            f"-l mem={whole_mib(job.memory_bytes)}mb",
            f"-l walltime={spell_duration(job.walltime_s)}" if job.walltime_s else "",
            f"-q {shlex.quote(job.queue)}" if job.queue else "",
            f"-A {shlex.quote(job.account)}" if job.account else "",
            f"-t 0-{job.count - 1}" if job.count > 1 else "",
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
        """Read ``12.server``, or ``12[].server`` for an array."""
        check_accepted("Torque", stdout=stdout, stderr=stderr, exit_code=exit_code)
        lines = map(str.strip, stdout.split("\n"))
        found = [match for line in lines if (match := _SUBMITTED.fullmatch(line))]
        if not found or (found[-1][2] is None) != (count == 1):
            raise misread("qsub", stdout)
        number, _, server = found[-1].groups(default="")
        if count == 1:
            return (f"{number}{server}",)
        return tuple(f"{number}[{member}]{server}" for member in range(count))

    def logs(self, job: JobDescription, job_id: str) -> JobLogs:
        """Two files per job, written while it runs."""
        return log_files(job, job_id)

    def status(self, *, user: str, tag: str = "") -> Command:
        """Choose the user's jobs, and ask for all that is known of them.

        They are not chosen by name: to that of an array's members Torque adds their numbers.
        """
        return Command(("sh", "-c", ASK_FOR_ALL, "ask", user))

    def read_status(self, stdout: str, now: float, tag: str = "") -> dict[str, JobStatus]:
        """Read blocks of ``name = value``; an array as a whole is no job."""
        jobs = (job for job in read_blocks(stdout) if "[]" not in job[0])
        return pick((read_job(*job, now=now, causes=_CAUSES) for job in jobs), tag)

    def cancel(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Delete jobs or members of arrays: SIGTERM, then SIGKILL."""
        return tuple(Command(("qdel", *some)) for some in in_turns(job_ids))

    def release(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Release the user's holds."""
        return tuple(Command(("qrls", *some)) for some in in_turns(job_ids))

    def autopsy(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Ask for jobs that are over, which stay as long as the site says (`keep_completed`)."""
        ask = ("sh", "-c", ASK_FOR_JOBS, "qstat", "-f")
        return tuple(Command((*ask, *some)) for some in in_turns(job_ids))

    def read_autopsy(self, stdout: str) -> dict[str, JobEnd]:
        """Read the jobs that are over."""
        jobs = (job for job in read_blocks(stdout) if has_ended(job[1]))
        return {job_id: read_end(job_id, fields, _CAUSES) for job_id, fields in jobs}
