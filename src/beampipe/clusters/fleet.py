"""What is known of a cluster's jobs: values that the reconciler takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from beampipe.batch.model import JobEnd, JobStatus


class Phase(StrEnum):
    """Where a job is, in words for people."""

    SUBMITTED = "submitted"
    PENDING = "pending"
    STARTING = "starting"
    CONNECTED = "connected"
    RETIRING = "retiring"
    DONE = "done"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job of a cluster.

    Attributes
    ----------
    job_id : str
    phase : Phase
    since : float
        When that began [s since 1970].
    reason : str
        Why it is pending or lost, in the batch system's words.
    host : str
    started_at : float or None
        When it began to run, as far as was seen [s since 1970].
    was_connected : bool
        Whether a worker of it ever was.
    missing_looks : int
        How often the queue did not know it, one look after the other.
    cancelled_at : float or None
        When the queue was last told to end it.
    is_given_up : bool
        Whether it was ended for what stands in `reason`.
    """

    job_id: str
    phase: Phase
    since: float
    reason: str = ""
    host: str = ""
    started_at: float | None = None
    was_connected: bool = False
    missing_looks: int = 0
    cancelled_at: float | None = None
    is_given_up: bool = False


@dataclass(frozen=True, slots=True)
class WorkerView:
    """What the scheduler knows of one worker.

    Attributes
    ----------
    job_id : str
    tasks, stored_bytes : int
    is_silent : bool
        Whether it gave no sign for longer than it should.
    """

    job_id: str
    tasks: int = 0
    stored_bytes: int = 0
    is_silent: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """How a job ended, with the end of what it wrote."""

    end: JobEnd
    tail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that was found out since the last decision.

    Attributes
    ----------
    now : float
        [s since 1970].
    queue : mapping of str to JobStatus, or None
        What the queue says; None where it was not asked, or gave no answer.
    workers : mapping of str to WorkerView
        By address.
    submitted : tuple of str
        Ids of jobs that the queue has taken.
    refused : tuple of (int, str)
        How many it did not take, and why.
    reports : mapping of str to Report
        Of jobs after which was asked.
    kept : tuple of str
        Jobs that could not be retired, as nobody can take what their workers hold.
    """

    now: float
    queue: Mapping[str, JobStatus] | None = None
    workers: Mapping[str, WorkerView] = field(default_factory=dict)
    submitted: tuple[str, ...] = ()
    refused: tuple[tuple[int, str], ...] = ()
    reports: Mapping[str, Report] = field(default_factory=dict)
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that failed early, or that the queue did not take.

    Attributes
    ----------
    sign : str
        Failures with the same sign are of one kind.
    words : str
        What the batch system says.
    tail : str
        The end of what the job wrote.
    """

    sign: str
    words: str
    tail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All jobs of a cluster, and what is under way.

    Attributes
    ----------
    jobs : mapping of str to Job
        Those that are not over.
    ended : tuple of Job
        The last ones that are.
    unexplained : mapping of str to Job
        Those that are over and of which is not known yet why.
    submitting : int
        Jobs that are being submitted.
    submitted_at : float
        When the last submission began.
    failures : tuple of Failure
        Early ones, since the last success.
    """

    jobs: Mapping[str, Job] = field(default_factory=dict)
    ended: tuple[Job, ...] = ()
    unexplained: Mapping[str, Job] = field(default_factory=dict)
    submitting: int = 0
    submitted_at: float = float("-inf")
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How jobs are handled.

    Attributes
    ----------
    array_size : int
        Most jobs in one submission.
    max_jobs : int or None
        Most jobs at a time.
    submit_every_s : float
        Shortest time between two submissions.
    start_timeout_s : float
        How long a running job may take to connect a worker.
    quick_s : float
        A job that ends sooner after its start has failed early.
    failures : int
        So many early failures of one kind stop the submitting.
    missing_looks : int
        So often in a row must the queue not know a job that is to be taken for gone.
    held_s : float
        After which a held job is given up.
    cancel_again_s : float
        After which the queue is told again to end a job.
    """

    array_size: int = 100
    max_jobs: int | None = None
    submit_every_s: float = 2.0
    start_timeout_s: float = 600.0
    quick_s: float = 60.0
    failures: int = 3
    missing_looks: int = 3
    held_s: float = 30.0
    cancel_again_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Submit:
    """Submit so many jobs at once."""

    count: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Tell the queue to end jobs."""

    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retire:
    """Move what these workers hold to others, then close them."""

    job_ids: tuple[str, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explain:
    """Find out how jobs ended."""

    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Forget:
    """Take workers from the scheduler: their node went without a word."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Stop: jobs fail early, again and again."""

    failure: Failure
    count: int


Action = Submit | Cancel | Retire | Explain | Forget | GiveUp
