"""What every batch system is told and what it answers, whatever its language."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, runtime_checkable

from beampipe.errors import BatchJobError

# What each of these systems takes as a job's name, and what needs no quoting anywhere.
_TAG: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_NODE: Final = re.compile(r"[A-Za-z0-9_.-]+")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Cause = Literal[
    "finished", "walltime", "memory", "signal", "exit", "node", "cancelled", "held", "unknown"
]


@dataclass(frozen=True, slots=True)
class Command:
    """One command to run: never a shell's line, and it never asks anything.

    Run it with ``LC_ALL=C``, so that the answer is in the language that is understood here.

    Attributes
    ----------
    argv : tuple of str
        Program and arguments.
    stdin : str
        What it is given on standard input.
    timeout_s : float
        After which it hangs [s].
    title : str
        What errors call it; empty for the program's name.
    """

    argv: tuple[str, ...]
    stdin: str = ""
    timeout_s: float = 60
    title: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and how it ended."""

    stdout: str
    stderr: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDescription:
    """A job, or an array of equal ones, before it is put into a system's language.

    Nothing in it may be secret: it stands in files, in the queue and in process lists.

    Attributes
    ----------
    name : str
        For people.
    tag : str
        Which cluster it belongs to; every job carries it, so that leaked ones are found.
        A letter, then up to 63 letters, digits, ``.``, ``_`` or ``-``.
    command : tuple of str
        Program and arguments; it replaces the job's shell, so that signals reach it.
    log_folder : Path
        Where the output goes; the place must be there, and be seen by the jobs (with HTCondor, by
        the machine that has the queue).
    cores : int
        Of one job, on one node.
    memory_bytes : int
        Of one job [bytes].
    walltime_s : int or None
        How long a job may run [s]; None for what the queue gives.
    queue, account : str
        Empty for the system's default.
    directives : tuple of str
        The site's own lines or options, after ours, without the system's prefix.
    environment : mapping of str to str
        Set in the job.
    files : tuple of Path
        Sent along, where the system can.
    prologue : tuple of str
        Lines of shell to run first, from a site's profile.
    count : int
        How many equal jobs.
    signal_ahead_s : int or None
        How long before the end of its time the job gets a SIGTERM, where the system can [s].
    avoid : tuple of str
        Nodes that it is not to run on, where the dialect `KnowsNodes`.

    Raises
    ------
    BatchJobError
        ``batch-job``: something in it cannot be put into any batch system's language.
    """

    name: str
    tag: str
    command: tuple[str, ...]
    log_folder: Path
    cores: int = 1
    memory_bytes: int = 2**30
    walltime_s: int | None = None
    queue: str = ""
    account: str = ""
    directives: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    prologue: tuple[str, ...] = ()
    count: int = 1
    signal_ahead_s: int | None = None
    avoid: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _TAG.fullmatch(self.tag):
            why = "it must be a letter and then up to 63 letters, digits, '.', '_' or '-'"
            raise BatchJobError(f"The tag {self.tag!r} cannot name a job.", why=why)
        if not self.command:
            raise BatchJobError("The job has no command.")
        if strange := [node for node in self.avoid if not _NODE.fullmatch(node)]:
            raise BatchJobError(f"{strange[0]!r} names no node.")
        for name in ("cores", "memory_bytes", "count", "walltime_s", "signal_ahead_s"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BatchJobError(f"A job cannot have {name} = {value}.")
        _check_texts(self)


def _check_texts(job: JobDescription) -> None:
    """Keep out what would end a line, or a string, of a job's text early."""
    for variable in job.environment:
        if not _VARIABLE.fullmatch(variable):
            raise BatchJobError(f"{variable!r} is no name of an environment variable.")
    single_lines = (job.name, job.queue, job.account, str(job.log_folder))
    for text in (*single_lines, *job.directives, *map(str, job.files)):
        if re.search(r"[\r\n\0]", text):
            raise BatchJobError(f"{text!r} must be one line.", why="it stands in a job's text")
    for text in (*job.command, *job.environment.values(), *job.prologue):
        if "\0" in text:
            raise BatchJobError(f"{text!r} has a zero byte in it, which no program can be given.")


class JobState(StrEnum):
    """What a job is at, in words that hold for every batch system."""

    PENDING = "pending"
    HELD = "held"
    RUNNING = "running"
    ENDING = "ending"
    DONE = "done"
    FAILED = "failed"
    GONE = "gone"  # the queue does not know it any more


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How a job came to its end.

    Attributes
    ----------
    job_id : str
    cause : str
        ``"finished"``, ``"walltime"``, ``"memory"``, ``"signal"``, ``"exit"``, ``"node"``,
        ``"cancelled"``, ``"held"`` or ``"unknown"``.
    exit_code, signal : int or None
        Of the job's process, where known.
    words : str
        What the batch system says of it.
    host : str
        Where it ran, where that is told.
    """

    job_id: str
    cause: Cause
    exit_code: int | None = None
    signal: int | None = None
    words: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What the queue says of one job.

    Attributes
    ----------
    job_id : str
        As the batch system spells it; members of an array have ids of their own.
    state : JobState
    reason : str
        The batch system's own words for why it is pending, held or failed; empty if it has none.
    tag : str
        Of the cluster that it belongs to.
    host : str
        Where it runs; empty before.
    started_at, ends_at : float or None
        When it began, and when its time is over [s since 1970]; None where that is not known.
    end : JobEnd or None
        How it ended, where the queue already says so.
    """

    job_id: str
    state: JobState
    reason: str = ""
    tag: str = ""
    host: str = ""
    started_at: float | None = None
    ends_at: float | None = None
    end: JobEnd | None = None


class JobLogs(NamedTuple):
    """Where a job's output is; both may be the same file."""

    out: Path
    err: Path


def log_files(job: JobDescription, job_id: str) -> JobLogs:
    """Two files in the job's log folder, named by tag and job."""
    stem = f"{job.tag}-{job_id}"
    return JobLogs(job.log_folder / f"{stem}.out", job.log_folder / f"{stem}.err")


class Dialect(Protocol):
    """One batch system's language.

    A dialect runs nothing and remembers nothing. To submit: write `submit_text` into a file of mode
    0700, run `submit`, and give its answer to `read_submitted`.
    """

    @property
    def name(self) -> str:
        """As in a site's profile: ``"slurm"``."""

    @property
    def commands(self) -> tuple[str, ...]:
        """Programs that must be on PATH."""

    @property
    def largest_array(self) -> int:
        """How many jobs one submission may have."""

    @property
    def has_file_transfer(self) -> bool:
        """Whether `files` are sent along with a job."""

    @property
    def has_signal_ahead(self) -> bool:
        """Whether a job is told (SIGTERM) before its time is over."""

    def submit_text(self, job: JobDescription) -> str:
        """The text of the file that is submitted."""

    def submit(self, job: JobDescription, script: Path) -> Command:
        """How to submit it; what the system reads besides the file stands in ``stdin``."""

    def read_submitted(
        self, stdout: str, count: int, *, stderr: str = "", exit_code: int = 0
    ) -> tuple[str, ...]:
        """The ids of the jobs that are now in the queue.

        Raises
        ------
        BatchRefusedError
            ``batch-refused``: the system did not take them; `why` is its own words.
        BatchOutputError
            ``batch-output``: the answer holds no ids.
        """

    def logs(self, job: JobDescription, job_id: str) -> JobLogs:
        """Where the output of one of its jobs is."""

    def status(self, *, user: str, tag: str = "") -> Command:
        """How to ask for all jobs of a cluster at once, or (without `tag`) all of the user's."""

    def read_status(self, stdout: str, now: float, tag: str = "") -> dict[str, JobStatus]:
        """What the queue says, by job id; a job that is not in it is gone.

        Give `tag` as for `status`: not every queue can be asked for a cluster's jobs alone.

        Raises
        ------
        BatchOutputError
            ``batch-output``: the answer is not what the command prints. It says nothing of jobs.
        """

    def cancel(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """How to cancel jobs: as many commands as their arguments need."""

    def release(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """How to let held jobs go on."""

    def autopsy(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """How to ask what became of jobs that are gone; empty where it cannot be asked."""

    def read_autopsy(self, stdout: str) -> dict[str, JobEnd]:
        """How jobs ended, by id; those that the system has forgotten are missing."""


@runtime_checkable
class KnowsNodes(Protocol):
    """A dialect whose jobs can be kept off nodes."""

    def nodes(self, queue: str = "") -> Command:
        """How to ask for the names of the nodes there are, as `JobStatus.host` spells them."""

    def read_nodes(self, stdout: str) -> frozenset[str]:
        """The names."""


def pick(statuses: Iterable[JobStatus], tag: str) -> dict[str, JobStatus]:
    """Put the jobs of one cluster, or with no tag those of all, under their ids."""
    return {status.job_id: status for status in statuses if tag in {"", status.tag}}


def render_command(command: Command) -> str:
    r"""Show a command as one would type it.

    >>> render_command(Command(("sbatch", "--parsable", "my job.sh")))
    "sbatch --parsable 'my job.sh'"
    """
    typed = shlex.join(command.argv)
    return f"{typed} <<'END'\n{command.stdin.rstrip()}\nEND" if command.stdin else typed


def preview(dialect: Dialect, job: JobDescription, script: Path) -> str:
    """Show exactly what would be submitted: the file's text, and the command."""
    text = dialect.submit_text(job).rstrip()
    command = render_command(dialect.submit(job, script))
    return f"# {script}\n{text}\n\n# then\n{command}\n"
