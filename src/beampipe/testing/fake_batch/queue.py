"""The queue behind fake commands: a file, and jobs that are processes of this machine.

There is no daemon. Whoever runs a command moves the queue on: jobs begin, end, and run out of time
when somebody looks.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

_GRACE_S: Final = 5  # between a cancelled job's TERM and its KILL
_TERM: Final = int(signal.SIGTERM)
_EARLY_S: Final = 60  # by which Slurm, too, may be early with its warning
# The job has a process group of its own, so that its end is written down whatever is sent to it.
_RUNNER: Final = """
set -m
cd "$5"
"$1" >"$2" 2>"$3" </dev/null &
echo $! >"$4.pid"
wait $!
echo $? >"$4.new" && mv "$4.new" "$4.exit"
"""
_LATE_KILL: Final = 'sleep "$1"; kill -9 -- "-$2" 2>/dev/null'


NODE: Final = "localhost"
"""The only node there is."""


@dataclass(kw_only=True)
class FakeJob:
    """One job in the queue.

    What stands in `avoid` may have the name of the only node in it, and then it never runs.
    `ahead_signal` tells it that its time is nearly over, `first_signal` that it is cancelled, and
    `variables` are those by which its system tells a job which one it is.
    """

    job_id: str
    tag: str
    script: str
    out: str
    err: str
    cores: int = 1
    walltime_s: int | None = None
    signal_ahead_s: int | None = None
    files: list[str] = field(default_factory=list)
    state: Literal["pending", "held", "running", "ended"] = "pending"
    reason: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    cause: str = ""
    was_told: bool = False
    ahead_signal: int = _TERM
    first_signal: int = _TERM
    variables: dict[str, str] = field(default_factory=dict)
    avoid: str = ""


@dataclass
class FakeRules:
    """How the queue behaves; a test changes them while it runs.

    Attributes
    ----------
    cores : int
        How many the farm has.
    refuse : str
        What is said to who submits, instead of taking the job.
    print : str
        What is printed instead of the queue.
    fail : str
        What the status command says on standard error before it ends with exit code 1.
    hang_s : float
        How long the status command takes.
    hold : str
        Why new jobs are held.
    remember_s : float
        How long ended jobs stay in a queue that shows them.
    """

    cores: int = 8
    refuse: str = ""
    print: str = ""
    fail: str = ""
    hang_s: float = 0
    hold: str = ""
    remember_s: float = 300


class FakeQueue:
    """A queue in a folder.

    Parameters
    ----------
    folder : Path
        Where it is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def open(self) -> Iterator[dict[str, FakeJob]]:
        """Hold the queue for as long as it is looked at and changed."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = self.folder / "jobs.json"
            rows = json.loads(path.read_text()) if path.exists() else []
            jobs = {row["job_id"]: FakeJob(**row) for row in rows}
            self._move_on(jobs)
            yield jobs
            self._move_on(jobs)
            new = path.with_suffix(".new")
            new.write_text(json.dumps([asdict(job) for job in jobs.values()]))
            new.replace(path)

    def rules(self) -> FakeRules:
        """How it behaves now."""
        path = self.folder / "rules.json"
        return FakeRules(**json.loads(path.read_text())) if path.exists() else FakeRules()

    def change(self, **rules: Any) -> None:
        """Let it behave otherwise from now on; what is not named stays."""
        new = self.folder / "rules.new"
        new.write_text(json.dumps(asdict(self.rules()) | rules))
        new.replace(self.folder / "rules.json")

    def take_number(self) -> int:
        """The next number of a submission."""
        path = self.folder / "number"
        number = int(path.read_text()) + 1 if path.exists() else 1
        path.write_text(str(number))
        return number

    def cancel(self, job: FakeJob) -> None:
        """Ask a job to go, and see to it that it does."""
        if job.state == "ended":
            return
        if job.state != "running":
            job.state, job.cause, job.ended_at = "ended", "cancelled", time.time()
        elif not job.cause:
            self._end(job, "cancelled", job.first_signal)

    def lose_node(self, job: FakeJob) -> None:
        """Let the node of a running job die."""
        self._end(job, "node", signal.SIGKILL)

    def _stem(self, job: FakeJob) -> Path:
        return self.folder / f"job-{job.job_id}"

    def _group(self, job: FakeJob) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            return int(self._stem(job).with_name(f"job-{job.job_id}.pid").read_text())
        return None

    def _send(self, job: FakeJob, signum: int) -> int | None:
        give_up = time.monotonic() + 5
        while (group := self._group(job)) is None and time.monotonic() < give_up:
            time.sleep(0.01)
        if group is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signum)
        return group

    def _end(self, job: FakeJob, cause: str, signum: int = signal.SIGTERM) -> None:
        job.cause = cause
        group = self._send(job, signum)
        if group is not None and signum != signal.SIGKILL:
            _start("bash", "-c", _LATE_KILL, "late", str(_GRACE_S), str(group))

    def _move_on(self, jobs: dict[str, FakeJob]) -> None:
        for job in jobs.values():
            if job.state == "running":
                self._look_after(job)
        free = self.rules().cores
        free -= sum(job.cores for job in jobs.values() if job.state == "running")
        for job in jobs.values():
            if job.state == "pending" and job.cores <= free and NODE not in job.avoid:
                self._begin(job)
                free -= job.cores
            elif job.state == "pending":
                job.reason = "Resources"

    def _begin(self, job: FakeJob) -> None:
        scratch = self._stem(job).with_name(f"scratch-{job.job_id}")
        scratch.mkdir()
        for path in job.files:
            (scratch / Path(path).name).write_bytes(Path(path).read_bytes())
        job.state, job.reason, job.started_at = "running", "", time.time()
        runner = ("bash", "-c", _RUNNER, "runner", job.script, job.out, job.err)
        # Real systems tell a job its id, each in its own variables.
        variables = job.variables or {"BEAMPIPE_JOB_ID": job.job_id}
        told = [f"{name}={value}" for name, value in variables.items()]
        _start("env", *told, *runner, str(self._stem(job)), str(scratch))

    def _look_after(self, job: FakeJob) -> None:
        ended = self._stem(job).with_name(f"job-{job.job_id}.exit")
        if ended.exists():
            status = int(ended.read_text())
            job.state, job.ended_at = "ended", ended.stat().st_mtime
            job.signal = status - 128 if status > 128 else None
            job.exit_code = status if status <= 128 else None
            job.cause = job.cause or ("signal" if job.signal else "exit" if status else "finished")
        elif job.walltime_s and job.started_at is not None and not job.cause:
            left = job.started_at + job.walltime_s - time.time()
            if left <= 0:
                self._end(job, "walltime")
            elif job.signal_ahead_s and left <= job.signal_ahead_s + _EARLY_S and not job.was_told:
                job.was_told = True
                self._send(job, job.ahead_signal)


def _start(*argv: str) -> None:
    """Start what outlives the command that starts it, with no file of its open."""
    nothing = subprocess.DEVNULL
    command = ["setsid", "--fork", *argv]
    subprocess.run(command, stdin=nothing, stdout=nothing, stderr=nothing, check=True)  # noqa: S603
