"""Jobs whose time is nearly over, and those that are to take their place.

A job that waited until its predecessor has ended would leave a gap: the workers of a farm began at
about the same time, and would all be gone together, with nobody to hand over to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from beampipe.batch.model import JobStatus
from beampipe.clusters.fleet import Fleet, Job, Phase, Policy
from beampipe.clusters.worker_start import find_lifetime
from beampipe.worker_environment import find_margin

_REMEMBERED = 20
# Of the ways from the submission to a worker, as long as most of them took.
_MOST_OF_WAYS = 0.8
# Where none has been seen, as with the jobs of a cluster that was taken over [s].
_UNKNOWN_WAY_S = 60.0
# It is decided every second, and seen in the next one [s].
_REACTION_S = 2.0
# Of a job's life: its place is not given away earlier; and so much earlier at most is it given away
# to save a submission.
_EARLIEST, _TOGETHER = 0.5, 0.1


def foresee_leave(job: Job, status: JobStatus | None, policy: Policy) -> Job:
    """Find out when a job's workers will go by themselves; they find it out in the same way.

    It is taken in once, as what the queue says of times changes from look to look.
    """
    if job.started_at is None:
        return replace(job, leaves_at=None, is_followed=False) if job.leaves_at else job
    if job.leaves_at is not None:
        return job
    ends = [job.started_at + policy.walltime_s] if policy.walltime_s else []
    if status is not None and status.ends_at is not None:
        ends.append(status.ends_at)
    if not ends:
        return job
    left_s = max(min(ends) - job.started_at, 1.0)
    lifetime_s = find_lifetime(left_s, policy.stagger_s, job.job_id)
    return replace(job, leaves_at=job.started_at + lifetime_s - find_margin(lifetime_s))


def learn_ways(fleet: Fleet, jobs: Mapping[str, Job], now: float) -> tuple[float, ...]:
    """How long it took from the submission of jobs to their first workers, with the newest."""
    new = [
        now - job.submitted_at
        for job_id, job in jobs.items()
        if job.was_connected and not fleet.jobs[job_id].was_connected
    ]
    return (*fleet.ways_s, *new)[-_REMEMBERED:] if new else fleet.ways_s


def name_successions(fleet: Fleet, now: float, policy: Policy) -> Fleet:
    """Mark the jobs that others are to follow, which are to be submitted now.

    As soon as there is one that cannot wait, those that would follow soon go with it, so that jobs
    that leave one after the other do not cost a submission each.
    """
    way_s = _expect_way(fleet, policy)
    due: list[str] = []
    is_urgent = False
    for job_id, job in fleet.jobs.items():
        if job.phase not in {Phase.CONNECTED, Phase.STARTING} or job.is_followed:
            continue
        if job.leaves_at is None or job.started_at is None:
            continue
        life_s = job.leaves_at - job.started_at
        left_s = job.leaves_at - now - min(way_s, _EARLIEST * life_s)
        is_urgent = is_urgent or left_s <= 0
        if left_s <= min(policy.together_s, _TOGETHER * life_s):
            due.append(job_id)
    if not is_urgent:
        return fleet
    marked = {job_id: replace(fleet.jobs[job_id], is_followed=True) for job_id in due}
    return replace(fleet, jobs={**fleet.jobs, **marked})


def _expect_way(fleet: Fleet, policy: Policy) -> float:
    """How long before its time a job must be followed [s]: the way of one, and a place in line."""
    ways_s = sorted(fleet.ways_s)
    way_s = ways_s[int(_MOST_OF_WAYS * (len(ways_s) - 1))] if ways_s else _UNKNOWN_WAY_S
    turns = math.ceil(len(fleet.jobs) / policy.array_size) - 1
    return way_s + turns * policy.submit_every_s + _REACTION_S
