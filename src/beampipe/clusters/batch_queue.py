"""Asks a batch system: runs the commands of its dialect, which may hang, fail or print anything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from getpass import getuser
from pathlib import Path

from beampipe.batch.model import (
    Answer,
    Command,
    Dialect,
    JobDescription,
    JobEnd,
    JobState,
    JobStatus,
    KnowsNodes,
)
from beampipe.clusters.condor_bindings import explain_missing
from beampipe.clusters.fleet import Report
from beampipe.clusters.worker_job import with_count
from beampipe.errors import BatchError, BatchOutputError, ClusterStartError
from beampipe.private_files import PRIVATE_PROGRAM, write_private

_TAIL_BYTES = 4000
_TAIL_LINES = 15
_WAIT_FOR_END_S, _LOOK_AGAIN_S = 10.0, 0.3
ALIVE = {JobState.PENDING, JobState.HELD, JobState.RUNNING, JobState.ENDING}
"""What jobs may be at that are still in the queue."""


async def run_command(command: Command) -> Answer:
    """Run one command, for so long as it may take.

    Raises
    ------
    BatchOutputError
        ``batch-output``: it hangs, or cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,  # Ctrl-C is for us
        )
    except OSError as error:
        raise BatchOutputError(
            f"'{command.argv[0]}' cannot be started.", why=str(error), fix="is it on PATH?"
        ) from error
    try:
        out, err = await asyncio.wait_for(
            process.communicate(command.stdin.encode()), command.timeout_s
        )
    except TimeoutError as error:
        raise BatchOutputError(
            f"{command.title or repr(command.argv[0])} gave no answer.",
            why=f"it had {command.timeout_s:g} s",
            fix="the batch system may be busy; it is asked again",
        ) from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return Answer(
        out.decode(errors="replace"), err.decode(errors="replace"), process.returncode or 0
    )


def find_missing_commands(dialect: Dialect) -> list[str]:
    """The batch system's commands that this host has not."""
    return [name for name in dialect.commands if shutil.which(name) is None]


async def look_into(dialect: Dialect, tag: str = "") -> dict[str, JobStatus]:
    """What a queue says of all jobs of a cluster, or (without `tag`) of all of the user's.

    Raises
    ------
    BatchError
        It gives no answer, or none that can be understood.
    """
    answer = await run_command(dialect.status(user=getuser(), tag=tag))
    if answer.exit_code:
        raise BatchOutputError(
            f"{dialect.name} does not say what is in its queue.",
            why=(answer.stderr or answer.stdout).strip()[-500:],
            fix="it is asked again",
        )
    # Not every queue can be asked for our jobs alone; those of others are none of ours.
    return dialect.read_status(answer.stdout, time.time(), tag)


async def cancel_jobs(dialect: Dialect, job_ids: tuple[str, ...]) -> None:
    """End jobs; those that are over are no error."""
    for command in dialect.cancel(job_ids):
        with contextlib.suppress(BatchError):
            await run_command(command)


async def end_jobs(dialect: Dialect, tag: str, known: Collection[str] = ()) -> bool:
    """End all jobs of a cluster: those that are known, and what the queue has besides.

    Returns
    -------
    bool
        Whether the queue has none left, as far as it answers.
    """
    told = set(known)
    if told:
        await cancel_jobs(dialect, tuple(told))
    give_up = time.monotonic() + _WAIT_FOR_END_S
    while time.monotonic() < give_up:
        with contextlib.suppress(BatchError):
            found = await look_into(dialect, tag)
            left = {job_id for job_id, status in found.items() if status.state in ALIVE}
            if not left:
                return True
            if strays := left - told:
                await cancel_jobs(dialect, tuple(strays))
            told |= strays
        await asyncio.sleep(_LOOK_AGAIN_S)
    return False


@dataclass(slots=True)
class BatchQueue:
    """The jobs of one cluster in the queue of a batch system."""

    dialect: Dialect
    job: JobDescription
    script: Path

    def check_commands(self) -> None:
        """See whether the batch system's commands are there.

        Raises
        ------
        ClusterStartError
            ``cluster-start``
        """
        missing = find_missing_commands(self.dialect)
        if missing:
            raise ClusterStartError(
                f"This host has not the commands of {self.dialect.name}.",
                why=explain_missing(self.dialect, missing),
                fix="go to a host from which jobs can be submitted, or name another site",
            )

    async def submit(self, count: int, avoid: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Submit equal jobs, as one array, which are to run on no node of these; their ids.

        Raises
        ------
        BatchError
            The system does not take them, or gives no answer.
        """
        job = replace(with_count(self.job, count), avoid=avoid)
        write_private(self.script, self.dialect.submit_text(job), PRIVATE_PROGRAM)
        answer = await run_command(self.dialect.submit(job, self.script))
        return self.dialect.read_submitted(
            answer.stdout, count, stderr=answer.stderr, exit_code=answer.exit_code
        )

    @property
    def knows_nodes(self) -> bool:
        """Whether jobs can be kept off nodes."""
        return isinstance(self.dialect, KnowsNodes)

    async def find_nodes(self) -> frozenset[str]:
        """Names of the nodes that jobs may run on; none where that is not told."""
        if not isinstance(self.dialect, KnowsNodes):
            return frozenset()
        try:
            answer = await run_command(self.dialect.nodes(self.job.queue))
        except BatchError:
            return frozenset()
        return frozenset() if answer.exit_code else self.dialect.read_nodes(answer.stdout)

    async def look(self) -> dict[str, JobStatus]:
        """What the queue says of all jobs of the cluster.

        Raises
        ------
        BatchError
            It gives no answer, or none that can be understood.
        """
        return await look_into(self.dialect, self.job.tag)

    async def cancel(self, job_ids: tuple[str, ...]) -> None:
        """End jobs; those that are over are no error."""
        await cancel_jobs(self.dialect, job_ids)

    async def explain(self, ends: dict[str, JobEnd | None]) -> dict[str, Report]:
        """Find out how jobs ended: from the accounting, else what the queue said last."""
        found: dict[str, JobEnd] = {}
        for command in self.dialect.autopsy(tuple(ends)):
            with contextlib.suppress(BatchError):
                answer = await run_command(command)
                found |= self.dialect.read_autopsy(answer.stdout) if not answer.exit_code else {}
        return {
            job_id: Report(
                found.get(job_id) or told or JobEnd(job_id=job_id, cause="unknown"),
                self.tail(job_id),
            )
            for job_id, told in ends.items()
        }

    def tail(self, job_id: str) -> str:
        """The end of what a job wrote."""
        logs = self.dialect.logs(self.job, job_id)
        return next(filter(None, map(read_tail, dict.fromkeys((logs.err, logs.out)))), "")


def read_tail(path: Path) -> str:
    """The last lines of a log; empty where there are none, or no log."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        text = file.read().decode(errors="replace").strip()
        return "\n".join(text.splitlines()[-_TAIL_LINES:])
    return ""
