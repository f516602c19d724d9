"""A batch system and a scheduler, played, for decisions about jobs."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from beampipe.batch.model import JobEnd, JobState, JobStatus
from beampipe.clusters.fleet import (
    Cancel,
    Explain,
    Fleet,
    Forget,
    GiveUp,
    Policy,
    Report,
    Retire,
    Seen,
    Submit,
    WorkerView,
)
from beampipe.clusters.reconciler import decide
from beampipe.clusters.worker_start import find_lifetime
from beampipe.worker_environment import find_margin

POLICY = Policy(submit_every_s=1, held_s=10, start_timeout_s=60, quick_s=20, array_size=100)


@functools.cache
def life_of(job_id, walltime_s, stagger_s):
    return find_lifetime(walltime_s, stagger_s, job_id)


@dataclass
class Farm:
    """A batch system and a scheduler that carry out what is decided, step by step."""

    wanted: int = 0
    policy: Policy = POLICY
    slots: int = 10**6
    processes: int = 1
    now: float = 1000.0
    fleet: Fleet = field(default_factory=Fleet)
    queue: dict[str, JobState] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    workers: dict[str, WorkerView] = field(default_factory=dict)
    news: dict = field(default_factory=dict)
    ends: dict[str, JobEnd] = field(default_factory=dict)
    refuses: str = ""
    starts_workers: bool = True
    start_s: float = 0.0
    most_at_work: int = 0
    least_at_work: int = 10**9
    gave_up: GiveUp | None = None
    looks: int = 0
    submissions: list[int] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    next_id: int = 0
    hosts: dict[str, str] = field(default_factory=dict)
    avoids: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)

    def phases(self):
        return {job_id: str(job.phase) for job_id, job in self.fleet.jobs.items()}

    def count(self, phase):
        return sum(job.phase is phase for job in self.fleet.jobs.values())

    def step(self, *, looks=True):
        """One second: the farm moves on, then it is looked at."""
        self.now += 1
        self.move()
        queue = self.look() if looks else None
        seen = Seen(now=self.now, queue=queue, workers=dict(self.workers), **self.news)
        self.news = {}
        self.fleet, actions = decide(self.fleet, self.wanted, seen, self.policy)
        for action in actions:
            self.act(action)
        at_work = len({view.job_id for view in self.workers.values()})
        self.most_at_work = max(self.most_at_work, at_work)
        self.least_at_work = min(self.least_at_work, at_work)
        return actions

    def steps(self, number):
        for _ in range(number):
            self.step()

    def move(self):
        self.let_go()
        free = self.slots - sum(state is JobState.RUNNING for state in self.queue.values())
        for job_id, state in self.queue.items():
            if state is JobState.PENDING and free > 0:
                self.queue[job_id] = JobState.RUNNING
                self.running[job_id] = self.now
                free -= 1
            elif state is JobState.RUNNING and self.is_started(job_id):
                for process in range(self.processes):
                    self.workers.setdefault(f"tls://{job_id}/{process}", WorkerView(job_id))

    def is_started(self, job_id):
        is_up = self.now >= self.running[job_id] + self.start_s
        return self.starts_workers and is_up and job_id not in self.left

    def let_go(self):
        """Workers go before the time of their jobs is over, each at its own moment."""
        walltime_s = self.policy.walltime_s
        for job_id, state in list(self.queue.items() if walltime_s else ()):
            if state is JobState.RUNNING:
                life_s = life_of(job_id, walltime_s, self.policy.stagger_s)
                if self.now >= self.running[job_id] + life_s - find_margin(life_s):
                    self.end(job_id, "finished", 0)

    def look(self):
        self.looks += 1
        return {
            job_id: JobStatus(
                job_id=job_id, state=state, reason="Resources", started_at=self.running.get(job_id)
            )
            for job_id, state in self.queue.items()
        }

    def end(self, job_id, cause="exit", code=1):
        self.queue.pop(job_id, None)
        for process in range(self.processes):
            self.workers.pop(f"tls://{job_id}/{process}", None)
        self.ends[job_id] = JobEnd(
            job_id=job_id,
            cause=cause,
            exit_code=code,
            words=f"it: {cause}",
            host=self.hosts.get(job_id, ""),
        )

    def submit(self, count, avoid=()):
        if self.refuses:
            refused = self.news.get("refused", ())
            self.news["refused"] = (*refused, (count, self.refuses))
            return
        self.submissions.append(count)
        ids = tuple(str(self.next_id + k) for k in range(count))
        self.next_id += count
        self.queue.update(dict.fromkeys(ids, JobState.PENDING))
        self.avoids.update(dict.fromkeys(ids, avoid))
        self.news["submitted"] = (*self.news.get("submitted", ()), *ids)

    def act(self, action):
        match action:
            case Submit(count, avoid):
                self.submit(count, avoid)
            case Cancel(job_ids):
                self.cancelled.extend(job_ids)
                for job_id in job_ids:
                    self.end(job_id, "cancelled")
            case Retire(job_ids, addresses):
                self.retired.extend(addresses)
                self.left.update(job_ids)
                for address in addresses:
                    self.workers.pop(address, None)
            case Explain(job_ids):
                found = {
                    each: Report(self.ends.get(each, JobEnd(job_id=each, cause="unknown")), "tail")
                    for each in job_ids
                }
                self.news["reports"] = {**self.news.get("reports", {}), **found}
            case Forget(addresses):
                self.forgotten.extend(addresses)
                for address in addresses:
                    del self.workers[address]
            case GiveUp():
                self.gave_up = action
