"""Holds what is asked for, what the queue says and which workers there are against each other.

Pure: what was seen goes in, what is to be done comes out. It reads no clock and runs nothing.
"""

from __future__ import annotations

from dataclasses import replace

from beampipe.batch.model import JobEnd, JobState, JobStatus
from beampipe.clusters.bad_nodes import find_reason_to_give_up, judge_nodes
from beampipe.clusters.balance import balance
from beampipe.clusters.fleet import (
    KEPT,
    Action,
    Cancel,
    Explain,
    Failure,
    Fleet,
    Forget,
    GiveUp,
    Job,
    Phase,
    Policy,
    Report,
    Seen,
)
from beampipe.clusters.succession import foresee_leave, learn_ways

_WAITING = (Phase.SUBMITTED, Phase.PENDING)
_OVER = {JobState.DONE, JobState.FAILED, JobState.GONE}
_KEEP_ENDED = 200
# Somebody's decision, or the end of its time, and no fault of a job that had worked.
_BLAMELESS = {"finished", "walltime", "cancelled", "node"}
_REFUSED = "refused"


def decide(fleet: Fleet, wanted: int, seen: Seen, policy: Policy) -> tuple[Fleet, list[Action]]:
    """Find what is to be done.

    Parameters
    ----------
    fleet : Fleet
        As the last decision left it.
    wanted : int
        Jobs that are asked for.
    seen : Seen
        What was found out since then.
    policy : Policy

    Returns
    -------
    fleet : Fleet
        For the next decision.
    actions : list
        To be carried out; what comes of it stands in a later `Seen`.
    """
    fleet = _take_news(fleet, seen)
    fleet, actions = _follow_jobs(fleet, seen, policy)
    fleet, trouble = _blame(fleet, seen, policy)
    if trouble is not None:
        return fleet, [*actions, trouble]
    limit = wanted if policy.max_jobs is None else min(wanted, policy.max_jobs)
    fleet, more = balance(fleet, limit, seen, policy)
    return fleet, actions + more


def _take_news(fleet: Fleet, seen: Seen) -> Fleet:
    """Take in what came of submissions and retirements."""
    if not (seen.submitted or seen.refused or seen.kept):
        return fleet
    jobs = dict(fleet.jobs)
    for job_id in seen.submitted:
        jobs[job_id] = Job(
            job_id=job_id, phase=Phase.SUBMITTED, since=seen.now, submitted_at=seen.now
        )
    for job_id in seen.kept:
        if job_id in jobs:
            jobs[job_id] = jobs[job_id].enter(Phase.CONNECTED, seen.now, KEPT)
    failures = fleet.failures
    if seen.submitted:
        failures = tuple(each for each in failures if not each.sign.startswith(_REFUSED))
    failures += tuple(Failure(f"{_REFUSED}: {words}", words) for _, words in seen.refused)
    answered = len(seen.submitted) + sum(count for count, _ in seen.refused)
    left = max(0, fleet.submitting - answered)
    return replace(fleet, jobs=jobs, submitting=left, failures=failures)


# -- following jobs -----------------------------------------------------------------------------


def _follow_jobs(fleet: Fleet, seen: Seen, policy: Policy) -> tuple[Fleet, list[Action]]:
    """Bring every job's phase up to date; find those that are over, and those to be ended."""
    by_job = {view.job_id for view in seen.workers.values()}
    heard = {view.job_id for view in seen.workers.values() if not view.is_silent}
    jobs: dict[str, Job] = {}
    done: list[Job] = []
    unexplained: dict[str, Job] = {}
    cancelled = list(_find_strays(fleet, seen))
    for job_id, before in fleet.jobs.items():
        status = None if seen.queue is None else seen.queue.get(job_id)
        job = _follow(before, status, seen, has_workers=job_id in by_job)
        job = foresee_leave(job, status, policy)
        if job.missing_looks and job_id in heard:  # what the queue has left out
            job = replace(job, missing_looks=0)
        words = _reason_to_give_up(job, status, seen, policy)
        if _is_over(job, status, policy):
            if job.phase is Phase.RETIRING:
                done.append(job.enter(Phase.DONE, seen.now, job.reason))
            else:
                unexplained[job_id] = job
        elif words:
            cancelled.append(job_id)
            unexplained[job_id] = replace(job, reason=words, is_given_up=True)
        elif _is_to_be_ended(job, seen, policy, has_workers=job_id in by_job):
            cancelled.append(job_id)
            jobs[job_id] = replace(job, cancelled_at=seen.now)
        else:
            jobs[job_id] = job
    lasted = (
        each.phase is Phase.CONNECTED and _age(each, seen) >= policy.quick_s
        for each in jobs.values()
    )
    fleet = replace(
        fleet,
        jobs=jobs,
        ended=(*fleet.ended, *done)[-_KEEP_ENDED:],
        unexplained={**fleet.unexplained, **unexplained},
        failures=() if fleet.failures and any(lasted) else fleet.failures,
        ways_s=learn_ways(fleet, jobs, seen.now),
    )
    actions: list[Action] = [Cancel(tuple(cancelled))] if cancelled else []
    actions += [Explain(tuple(unexplained))] if unexplained else []
    ghosts = _find_ghosts(fleet, seen)
    return fleet, actions + ([Forget(ghosts)] if ghosts else [])


def _find_ghosts(fleet: Fleet, seen: Seen) -> tuple[str, ...]:
    """Workers that are silent, of jobs that are over: nobody is to wait for them any longer.

    One that ends in good order closes its connection, and may do so after its job counts as over.
    """
    silent = {address: view.job_id for address, view in seen.workers.items() if view.is_silent}
    if not silent:
        return ()
    over = {*fleet.unexplained, *(job.job_id for job in fleet.ended)} - fleet.jobs.keys()
    return tuple(address for address, job_id in silent.items() if job_id in over)


def _find_strays(fleet: Fleet, seen: Seen) -> list[str]:
    """Jobs of ours that the queue has and nobody knows of: their submission gave no answer."""
    if seen.queue is None or fleet.submitting:
        return []
    known = {*fleet.jobs, *(job.job_id for job in fleet.ended if job.phase is Phase.DONE)}
    alive = {JobState.PENDING, JobState.HELD, JobState.RUNNING}
    return [
        job_id
        for job_id, status in seen.queue.items()
        if job_id not in known and status.state in alive
    ]


def _follow(job: Job, status: JobStatus | None, seen: Seen, *, has_workers: bool) -> Job:
    """One job's phase, from what the queue and the scheduler say; the scheduler knows better."""
    job = _take_facts(job, status, seen)
    if has_workers and not job.started_at:
        job = replace(job, started_at=seen.now)
    if job.phase is Phase.RETIRING:
        return job
    if has_workers:
        is_kept = job.reason == KEPT and job.phase is Phase.CONNECTED
        job = job if job.was_connected else replace(job, was_connected=True)
        return job if is_kept else job.enter(Phase.CONNECTED, seen.now)
    if job.phase is Phase.CONNECTED:  # its nanny may start the worker again
        job = job.enter(Phase.STARTING, seen.now, "its worker went away")
    if status is None:
        return job
    if status.state in {JobState.PENDING, JobState.HELD}:
        # One that ran before has been put back into the queue.
        return replace(job, started_at=None).enter(Phase.PENDING, seen.now, status.reason)
    if status.state is JobState.RUNNING and job.phase in _WAITING:
        began = replace(job, started_at=status.started_at or seen.now)
        return began.enter(Phase.STARTING, seen.now)
    return job


def _take_facts(job: Job, status: JobStatus | None, seen: Seen) -> Job:
    """Where it runs since when; most steps change nothing, and there may be ten thousand jobs."""
    if status is None:
        is_missing = seen.queue is not None
        return replace(job, missing_looks=job.missing_looks + 1) if is_missing else job
    host, started_at = status.host or job.host, status.started_at or job.started_at
    if (host, started_at, 0) == (job.host, job.started_at, job.missing_looks):
        return job
    return replace(job, host=host, started_at=started_at, missing_looks=0)


def _is_over(job: Job, status: JobStatus | None, policy: Policy) -> bool:
    if status is not None:
        return status.state in _OVER
    return job.missing_looks >= policy.missing_looks


def _reason_to_give_up(job: Job, status: JobStatus | None, seen: Seen, policy: Policy) -> str:
    """Why a job that is not over will never be of use; empty if it may."""
    is_held = status is not None and status.state is JobState.HELD
    if is_held and status and (status.end is not None or _age(job, seen) >= policy.held_s):
        return f"held: {status.reason or 'no reason is given'}" * (job.phase is not Phase.RETIRING)
    if job.phase is Phase.STARTING and _age(job, seen) >= policy.start_timeout_s:
        return f"no worker connected within {policy.start_timeout_s:.0f} s of the job's start"
    return ""


def _is_to_be_ended(job: Job, seen: Seen, policy: Policy, *, has_workers: bool) -> bool:
    """Whether a retiring job is to be taken from the queue: its workers are gone."""
    if job.phase is not Phase.RETIRING or has_workers:
        return False
    return job.cancelled_at is None or seen.now - job.cancelled_at >= policy.cancel_again_s


def _age(job: Job, seen: Seen) -> float:
    return seen.now - job.since


# -- failures -----------------------------------------------------------------------------------


def _blame(fleet: Fleet, seen: Seen, policy: Policy) -> tuple[Fleet, GiveUp | None]:
    """Take in why jobs ended; stop where they fail early, in the same way, again and again."""
    if seen.reports:
        lost: list[Job] = []
        failures: list[Failure] = []
        for job_id, report in seen.reports.items():
            job = fleet.unexplained.get(job_id)
            if job is None:
                continue
            words = job.reason if job.is_given_up else report.end.words or report.end.cause
            job = replace(job, host=report.end.host or job.host)
            is_done = report.end.cause == "finished" and job.was_connected
            lost.append(job.enter(Phase.DONE if is_done else Phase.LOST, seen.now, words))
            if _is_early(job, report, seen, policy):
                sign = words if job.is_given_up else _sign(report.end)
                failures.append(Failure(sign, words, report.tail, job.host))
        fleet = replace(
            fleet,
            ended=(*fleet.ended, *lost)[-_KEEP_ENDED:],
            unexplained={k: v for k, v in fleet.unexplained.items() if k not in seen.reports},
            failures=(*fleet.failures, *failures),
        )
    fleet = _explain_losses(judge_nodes(fleet, seen, policy), before=fleet)
    reason = find_reason_to_give_up(fleet, policy)
    return fleet, None if reason is None else GiveUp(*reason)


def _explain_losses(fleet: Fleet, *, before: Fleet) -> Fleet:
    """Write to the jobs that failed on a node that others are kept off it from now on."""
    known = {each.name for each in before.bad_nodes}
    new = {each.name for each in fleet.bad_nodes} - known
    if not new:
        return fleet
    ended = (
        replace(job, reason=f"{job.reason}; {job.host} is avoided from now on")
        if job.host in new and job.phase is Phase.LOST
        else job
        for job in fleet.ended
    )
    return replace(fleet, ended=tuple(ended))


def _is_early(job: Job, report: Report, seen: Seen, policy: Policy) -> bool:
    if not job.was_connected:
        return True
    lived = seen.now - (job.started_at or job.since)
    return lived < policy.quick_s and report.end.cause not in _BLAMELESS


def _sign(end: JobEnd) -> str:
    return f"{end.cause} {end.exit_code} {end.signal}"
