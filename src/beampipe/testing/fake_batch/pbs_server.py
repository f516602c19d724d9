"""Fake ``qsub``, ``qselect``, ``qstat``, ``qdel``, ``qrls`` of PBS and of Torque."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

from beampipe.testing.fake_batch.commands import fail, misbehave, say
from beampipe.testing.fake_batch.directives import (
    keep_script,
    read_clock,
    read_directives,
    read_resources,
    write_clock,
)
from beampipe.testing.fake_batch.queue import FakeJob, FakeQueue

_HOST = "server"
_UNKNOWN_JOB, _UNKNOWN_QUEUE, _HISTORY = 153, 170, 35
_WIDTH = 78


@dataclass(frozen=True)
class PbsServer:
    """What the two have in common, and where they differ.

    Attributes
    ----------
    cores : str
        The resource that a job asks cores as.
    ended : str
        The letter of a job that is over.
    history : bool
        Whether jobs that are over are asked for by ``-x``; else they are in the queue for a while.
    exit_status : str
        How that attribute is spelt.
    walltime_status : int
        The status of a job whose time was over.
    """

    cores: str
    ended: str
    history: bool
    exit_status: str
    walltime_status: int

    def commands(self) -> Mapping[str, Callable[[FakeQueue, list[str]], None]]:
        """Its commands, by their names."""
        return {
            "qsub": self.qsub,
            "qselect": self.qselect,
            "qstat": self.qstat,
            "qdel": qdel,
            "qrls": qrls,
        }

    def qsub(self, queue: FakeQueue, argv: list[str]) -> None:
        """Take a script."""
        text = Path(argv[-1]).read_text(encoding="utf-8")
        options = read_directives(text, "#PBS")
        if refuse := queue.rules().refuse:
            fail(f"qsub: {refuse}")
        if options.get("-q", [""])[0].startswith("no-such"):
            fail("qsub: Unknown queue", _UNKNOWN_QUEUE)
        with queue.open() as jobs:
            number = queue.take_number()
            kept = keep_script(queue, number, text)
            last = options.get("-t", [""])[0].partition("-")[2]
            for member in range(int(last) + 1) if last else [None]:
                job = self._make_job(number, member, kept, options)
                held = queue.rules().hold or ("-h" in options and "held by the user")
                if held:
                    job.state, job.reason = "held", held
                jobs[job.job_id] = job
        say(f"{number}{'[]' if last else ''}.{_HOST}")

    def _make_job(
        self, number: int, member: int | None, script: str, options: dict[str, list[str]]
    ) -> FakeJob:
        asked = read_resources(options)
        place = "" if member is None else f"[{member}]"
        job_id = f"{number}{place}.{_HOST}"
        array = {} if member is None else {"PBS_ARRAYID": str(member)}
        return FakeJob(
            job_id=job_id,
            tag=options["-N"][0],
            script=script,
            out="/dev/null",
            err="/dev/null",
            cores=int(asked[self.cores]),
            walltime_s=read_clock(asked["walltime"]) if "walltime" in asked else None,
            variables={"PBS_JOBID": job_id, **array},
        )

    def qselect(self, queue: FakeQueue, argv: list[str]) -> None:
        """Print the ids of jobs of a name."""
        misbehave(queue)
        name = argv[argv.index("-N") + 1] if "-N" in argv else None
        with queue.open() as jobs:
            for job in self._shown(queue, jobs):
                if name in {None, _name(job)}:
                    say(job.job_id)

    def _shown(self, queue: FakeQueue, jobs: dict[str, FakeJob]) -> list[FakeJob]:
        oldest = 0.0 if self.history else time.time() - queue.rules().remember_s
        return [
            job
            for job in jobs.values()
            if job.state != "ended" or (not self.history and (job.ended_at or 0) >= oldest)
        ]

    def qstat(self, queue: FakeQueue, argv: list[str]) -> None:
        """Print all that is known of jobs."""
        code = 0
        with queue.open() as jobs:
            for job_id in [word for word in argv if not word.startswith("-")]:
                job = jobs.get(job_id)
                if job is None:
                    code = _UNKNOWN_JOB
                elif self.history and job.state == "ended" and "-x" not in argv:
                    code = _HISTORY
                else:
                    say("\n".join([f"Job Id: {job_id}", *map(_wrap, self._describe(job))]))
                    say("")
        if code:
            fail("qstat: Unknown Job Id" if code == _UNKNOWN_JOB else "Job has finished", code)

    def _describe(self, job: FakeJob) -> Iterator[str]:
        letters = {"pending": "Q", "held": "H", "running": "R", "ended": self.ended}
        yield f"Job_Name = {_name(job)}"
        yield f"Job_Owner = {getuser()}@localhost"
        yield f"job_state = {'E' if job.cause and job.state == 'running' else letters[job.state]}"
        if job.started_at is not None:
            used = (job.ended_at or time.time()) - job.started_at
            began = time.asctime(time.localtime(job.started_at))
            yield f"resources_used.walltime = {write_clock(used)}"
            yield f"exec_host = localhost/0+localhost/{job.cores - 1}"
            yield f"{'stime' if self.history else 'start_time'} = {began}"
        if job.walltime_s:
            yield f"Resource_List.walltime = {write_clock(job.walltime_s)}"
        yield "Variable_List = " + ",".join(f"PBS_O_V{k}=/usr/bin" for k in range(8))
        if job.reason:
            yield f"comment = Not Running: {job.reason}"
        if job.state == "ended" and job.started_at is not None:
            yield f"{self.exit_status} = {self._status(job)}"

    def _status(self, job: FakeJob) -> int:
        by_server = {"walltime": self.walltime_status, "node": -3, "cancelled": 271}
        by_itself = 256 + job.signal if job.signal else job.exit_code or 0
        return by_server.get(job.cause, by_itself)


def qdel(queue: FakeQueue, argv: list[str]) -> None:
    """Delete jobs."""
    with queue.open() as jobs:
        for job_id in argv:
            if job_id in jobs:
                queue.cancel(jobs[job_id])


def qrls(queue: FakeQueue, argv: list[str]) -> None:
    """Release held jobs."""
    with queue.open() as jobs:
        for job_id in argv:
            if jobs[job_id].state == "held":
                jobs[job_id].state, jobs[job_id].reason = "pending", ""


def _name(job: FakeJob) -> str:
    member = job.variables.get("PBS_ARRAYID")
    return job.tag if member is None else f"{job.tag}-{member}"


def _wrap(line: str) -> str:
    """Break a long line; it goes on behind a tab."""
    pieces = [line[start : start + _WIDTH] for start in range(0, len(line), _WIDTH)]
    return "    " + "\n\t".join(pieces)
