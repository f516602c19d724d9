"""What is known of a cluster's jobs: values that the reconciler takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from beampipe.batch.model import JobEnd, JobStatus

KEPT = "holds results that no other worker can take"
"""Why a job that was to go is still there."""


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
    submitted_at : float
        When it was taken by the queue [s since 1970].
    leaves_at : float or None
        When its workers begin to hand over, as its time is nearly over [s since 1970].
    is_followed : bool
        Whether another one is to take its place, as that is soon.
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
    submitted_at: float = 0.0
    leaves_at: float | None = None
    is_followed: bool = False

    def enter(self, phase: Phase, now: float, reason: str = "") -> Job:
        """The job in a phase, in which it may be already."""
        if phase is self.phase and reason == self.reason:
            return self
        since = self.since if phase is self.phase else now
        return replace(self, phase=phase, since=since, reason=reason)


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
    nodes : frozenset of str or None
        Names of the nodes there are; None where they were not asked for.
    """

    now: float
    queue: Mapping[str, JobStatus] | None = None
    workers: Mapping[str, WorkerView] = field(default_factory=dict)
    submitted: tuple[str, ...] = ()
    refused: tuple[tuple[int, str], ...] = ()
    reports: Mapping[str, Report] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    nodes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class BadNode:
    """A node on which jobs failed early, in the same way, and which others are kept off.

    Attributes
    ----------
    name : str
    since : float
        When that was decided [s since 1970].
    count : int
        How many jobs failed.
    words : str
        What the batch system says of the last one.
    """

    name: str
    since: float
    count: int
    words: str


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
    host : str
        Where it ran; empty where that is not known.
    """

    sign: str
    words: str
    tail: str = ""
    host: str = ""


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
    ways_s : tuple of float
        How long the last jobs took from their submission to their first worker [s].
    nodes : frozenset of str
        Names of the nodes there are, as far as they are known.
    bad_nodes : tuple of BadNode
        Those that jobs are kept off.
    """

    jobs: Mapping[str, Job] = field(default_factory=dict)
    ended: tuple[Job, ...] = ()
    unexplained: Mapping[str, Job] = field(default_factory=dict)
    submitting: int = 0
    submitted_at: float = float("-inf")
    failures: tuple[Failure, ...] = ()
    ways_s: tuple[float, ...] = ()
    nodes: frozenset[str] = frozenset()
    bad_nodes: tuple[BadNode, ...] = ()


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
    walltime_s : float or None
        How long a job may run, if the site says so [s].
    stagger_s : float
        By how much workers may end earlier, so that not all go at once [s].
    together_s : float
        Jobs that are to be followed within so much time are so by one submission [s].
    node_failures : int
        So many early failures of one kind on a node keep others off it.
    forgive_node_s : float
        For so long [s].
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
    walltime_s: float | None = None
    stagger_s: float = 0.0
    together_s: float = 10.0
    node_failures: int = 2
    forgive_node_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Submit:
    """Submit so many jobs at once, which are to run on no node of these."""

    count: int
    avoid: tuple[str, ...] = ()


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
