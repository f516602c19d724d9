"""Submits the jobs that are missing, and takes away those that are too many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from beampipe.clusters.bad_nodes import count_open_failures
from beampipe.clusters.fleet import (
    KEPT,
    Action,
    Cancel,
    Fleet,
    Job,
    Phase,
    Policy,
    Retire,
    Seen,
    Submit,
    WorkerView,
)
from beampipe.clusters.succession import name_successions

_LONGEST_PAUSE_S = 120.0
_KEEP_S = 30.0


def balance(fleet: Fleet, wanted: int, seen: Seen, policy: Policy) -> tuple[Fleet, list[Action]]:
    """Submit what is missing, or take away what is too much.

    A job that another one is to follow counts no longer as one of those that are wanted. It works
    until the other one does, so that never more work than were asked for.
    """
    fleet = name_successions(fleet, seen.now, policy)
    live = [job for job in fleet.jobs.values() if job.phase is not Phase.RETIRING]
    lasting = [job for job in live if not job.is_followed]
    coming = fleet.submitting + len(fleet.unexplained)
    missing = wanted - len(lasting) - coming
    if policy.max_jobs is not None:
        missing = min(missing, policy.max_jobs - len(live) - coming)
    if missing > 0 and not _is_too_soon(fleet, seen, policy):
        count = min(missing, policy.array_size)
        fleet = replace(fleet, submitting=fleet.submitting + count, submitted_at=seen.now)
        avoid = tuple(sorted(node.name for node in fleet.bad_nodes))
        submits: list[Action] = [Submit(count, avoid)]
    else:
        submits = []
    surplus = _choose(lasting, len(lasting) - wanted, seen)
    at_work = sum(job.phase is Phase.CONNECTED for job in lasting) - sum(
        job.phase is Phase.CONNECTED for job in surplus
    )
    # One that cannot go yet is no reason for others to go in its stead.
    followed = [job for job in live if job.is_followed and not _is_kept(job, seen)]
    surplus += _choose(followed, at_work + len(followed) - wanted, seen)
    if not surplus:
        return fleet, submits
    fleet, actions = _take_away(fleet, surplus, seen)
    return fleet, submits + actions


def _is_too_soon(fleet: Fleet, seen: Seen, policy: Policy) -> bool:
    pause_s = policy.submit_every_s * 2 ** min(count_open_failures(fleet), 16)
    longest_s = max(_LONGEST_PAUSE_S, policy.submit_every_s)
    return bool(seen.now - fleet.submitted_at < min(pause_s, longest_s))


def _choose(jobs: list[Job], surplus: int, seen: Seen) -> list[Job]:
    """Choose jobs that wait before those that start, and these before those that work."""
    if surplus <= 0:
        return []
    candidates = [job for job in jobs if not _is_kept(job, seen)]
    loads = _loads(seen.workers)
    return sorted(candidates, key=lambda job: _worth(job, loads))[:surplus]


def _is_kept(job: Job, seen: Seen) -> bool:
    return job.reason == KEPT and seen.now - job.since < _KEEP_S


def _take_away(fleet: Fleet, chosen: list[Job], seen: Seen) -> tuple[Fleet, list[Action]]:
    """Have workers hand over what they have; jobs that have none are ended at once."""
    workers: dict[str, list[str]] = {}
    for address, view in seen.workers.items():
        workers.setdefault(view.job_id, []).append(address)
    jobs = dict(fleet.jobs)
    cancelled: list[str] = []
    retired: list[str] = []
    for job in chosen:
        has_workers = job.job_id in workers
        gone = job.enter(Phase.RETIRING, seen.now)
        jobs[job.job_id] = gone if has_workers else replace(gone, cancelled_at=seen.now)
        (retired if has_workers else cancelled).append(job.job_id)
    actions: list[Action] = [Cancel(tuple(cancelled))] if cancelled else []
    if retired:
        addresses = tuple(address for job_id in retired for address in workers[job_id])
        actions.append(Retire(tuple(retired), addresses))
    return replace(fleet, jobs=jobs), actions


def _loads(workers: Mapping[str, WorkerView]) -> dict[str, tuple[int, int]]:
    """Tasks and stored bytes of each job's workers."""
    loads: dict[str, tuple[int, int]] = {}
    for view in workers.values():
        tasks, stored = loads.get(view.job_id, (0, 0))
        loads[view.job_id] = (tasks + view.tasks, stored + view.stored_bytes)
    return loads


_ORDER = {Phase.SUBMITTED: 0, Phase.PENDING: 0, Phase.STARTING: 1, Phase.CONNECTED: 2}


def _worth(
    job: Job, loads: Mapping[str, tuple[int, int]]
) -> tuple[int, float, tuple[int, int], float]:
    """What would be lost with a job.

    Of those that are followed the next to leave goes first; of those that wait, the last one in
    the queue.
    """
    leaves_at = job.leaves_at if job.is_followed and job.leaves_at is not None else 0.0
    return _ORDER[job.phase], leaves_at, loads.get(job.job_id, (0, 0)), -job.since
