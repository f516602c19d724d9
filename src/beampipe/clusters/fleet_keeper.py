"""Keeps a cluster's jobs as the reconciler decides: looks, submits, retires, cancels, explains."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from distributed import Scheduler
from distributed.core import Status
from distributed.scheduler import heartbeat_interval

from beampipe.batch.model import JobEnd
from beampipe.clusters.bad_nodes import describe_bad_nodes
from beampipe.clusters.batch_queue import ALIVE, BatchQueue, end_jobs
from beampipe.clusters.demand import Demand
from beampipe.clusters.fleet import (
    Action,
    BadNode,
    Cancel,
    Explain,
    Fleet,
    Forget,
    GiveUp,
    Job,
    Phase,
    Policy,
    Retire,
    Seen,
    Submit,
    WorkerView,
)
from beampipe.clusters.reconciler import decide
from beampipe.clusters.retiring import retire_workers
from beampipe.clusters.site import Site
from beampipe.clusters.strategies import explain_unseen
from beampipe.clusters.worker_start import job_of_worker
from beampipe.errors import BatchError, JobsFailError

logger = logging.getLogger(__name__)

_STEP_S = 1.0
_FIRST_LOOK_S = 2.0
_WAIT_FOR_END_S = 10.0
_SILENT_S, _MISSED_BEATS = 10.0, 10
_ASK_FOR_NODES_S = 600.0


class FleetKeeper:
    """The jobs of one cluster, from the first to the last.

    Every second, what is asked for, what the queue says and which workers there are is held against
    each other (`beampipe.clusters.reconciler`); all methods but `nudge` belong to the event loop.

    Attributes
    ----------
    failure : JobsFailError or None
        Why it has stopped: jobs fail early, again and again.
    """

    def __init__(
        self,
        site: Site,
        queue: BatchQueue,
        scheduler: Scheduler,
        *,
        name: str,
        note: Callable[[str], None],
    ) -> None:
        self.failure: JobsFailError | None = None
        self._site, self._queue, self._scheduler, self._name = site, queue, scheduler, name
        self._note = note
        self._policy = Policy(
            array_size=min(site.array_size, queue.dialect.largest_array),
            max_jobs=site.max_jobs,
            submit_every_s=site.submit_every,
            start_timeout_s=site.start_timeout,
            walltime_s=site.walltime,
            stagger_s=site.lifetime_stagger,
            together_s=site.look_every,
        )
        self._fleet = Fleet()
        self._wanted = 0
        self._demand: Demand | None = None
        self._news: dict[str, Any] = _no_news()
        self._last_status: dict[str, JobEnd | None] = {}
        self._looked_at = self._asked_for_nodes_at = -math.inf
        self._under_way: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._is_leaving = False
        self._keeping: asyncio.Task[None] | None = None

    # -- begin and end --------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to keep."""
        self._keeping = asyncio.ensure_future(self._keep())

    async def adopt(self) -> int:
        """Take over the jobs that the queue has of this cluster; how many.

        Raises
        ------
        BatchError
            The queue gives no answer.
        """
        found = await self._queue.look()
        alive = [job_id for job_id, status in found.items() if status.state in ALIVE]
        self._news["submitted"].extend(alive)
        self._news["queue"] = found
        if alive:
            self._fleet = Fleet(submitted_at=time.time())
        return len(alive)

    async def stop(self) -> bool:
        """Keep no longer, and end all jobs: those that are known, and what the queue has besides.

        Returns
        -------
        bool
            Whether the queue has none left, as far as it answers.
        """
        self._is_leaving = True
        if self._keeping is not None:
            # Not by `cancel`, which asyncio may lose when the clock has just been woken.
            self._wake.set()
            await self._keeping
        submitting = [task for task in self._under_way if task.get_name() == "submit"]
        if submitting:  # else their jobs would come after us
            await asyncio.wait(submitting, timeout=_WAIT_FOR_END_S)
        for task in self._under_way:
            task.cancel()
        if self._fleet.submitted_at == -math.inf:
            return True
        known = {*self._fleet.jobs, *self._fleet.unexplained, *self._news["submitted"]}
        return await end_jobs(self._queue.dialect, self._queue.job.tag, known)

    # -- what is asked for ----------------------------------------------------------------------

    @property
    def wanted(self) -> int:
        """Jobs that are asked for."""
        return self._wanted

    def ask(self, jobs: int) -> None:
        """Ask for so many jobs."""
        self._demand, self._wanted = None, jobs
        self.nudge()

    def follow(self, demand: Demand) -> None:
        """Ask for as many jobs as there is work for."""
        self._demand = replace(demand, wanted=self._wanted)
        self.nudge()

    def stay(self) -> None:
        """Keep the jobs that are asked for now."""
        self._demand = None

    def nudge(self) -> None:
        """Decide now; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._wake.set)

    # -- what there is --------------------------------------------------------------------------

    @property
    def is_adaptive(self) -> bool:
        """Whether it follows the work."""
        return self._demand is not None

    def jobs(self) -> list[Job]:
        """All jobs, also those that are over."""
        fleet = self._fleet
        return [*fleet.ended, *fleet.unexplained.values(), *fleet.jobs.values()]

    def describe(self) -> str:
        """In one line: how many are asked for, and where those that there are stand."""
        fleet = self._fleet
        counts = Counter(str(job.phase) for job in fleet.jobs.values())
        words = [f"{count} {phase}" for phase, count in sorted(counts.items())]
        reasons = {job.reason for job in fleet.jobs.values() if job.phase is Phase.PENDING}
        reasons.discard("")
        waiting = f" (waiting for: {'; '.join(sorted(reasons)[:3])})" if reasons else ""
        avoided = describe_bad_nodes(fleet)
        told = f"jobs asked for: {self._wanted}; {', '.join(words) or 'none'}{waiting}"
        return f"{told}; {avoided}" if avoided else told

    # -- keeping --------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while self.failure is None and not self._is_leaving:
            try:
                self._step()
            except Exception:  # one step that fails must not leave the jobs to themselves
                logger.exception("a step of cluster %s failed", self._name)
            if not self._is_leaving:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _STEP_S)

    def _step(self) -> None:
        now = time.time()
        if self._demand is not None:
            needed = math.ceil(
                int(self._scheduler.adaptive_target()) / self._site.processes_per_job
            )
            self._demand = self._demand.follow(needed, now)
            self._wanted = self._demand.wanted
        news, self._news = self._news, _no_news()
        seen = Seen(
            now=now, workers=self._view_workers(), **{k: _frozen(v) for k, v in news.items()}
        )
        before = self._fleet.bad_nodes
        self._fleet, actions = decide(self._fleet, self._wanted, seen, self._policy)
        self._tell_of_nodes(before, self._fleet.bad_nodes)
        for action in actions:
            self._act(action)
        self._look_if_due(now)
        self._ask_for_nodes_if_due(now)

    def _tell_of_nodes(self, before: tuple[BadNode, ...], now: tuple[BadNode, ...]) -> None:
        for node in set(now) - set(before):
            self._note(f"node {node.name} is avoided: {node.count} jobs failed there: {node.words}")
        for node in set(before) - set(now):
            self._note(f"node {node.name} is no longer avoided")

    def _view_workers(self) -> dict[str, WorkerView]:
        workers = self._scheduler.workers
        beat_s = heartbeat_interval(len(workers))
        heard_since = time.time() - max(_SILENT_S, _MISSED_BEATS * beat_s)
        return {
            address: WorkerView(
                job_of_worker(state.name),
                tasks=len(state.processing),
                stored_bytes=state.nbytes,
                is_silent=state.last_seen < heard_since,
            )
            for address, state in workers.items()
            # One that has only just come is still getting ready, and takes nothing from others.
            if state.status not in {Status.init, Status.starting}
        }

    def _look_if_due(self, now: float) -> None:
        is_idle = not (self._fleet.jobs or self._fleet.submitting)
        pause_s = min(self._site.look_every, max(_FIRST_LOOK_S, now - self._fleet.submitted_at))
        if is_idle or now - self._looked_at < pause_s or self._is_under_way("look"):
            return
        self._looked_at = now
        self._begin("look", self._look())

    def _ask_for_nodes_if_due(self, now: float) -> None:
        """With the first submission, so that they are known when jobs fail; then when jobs do."""
        is_first = self._asked_for_nodes_at == -math.inf and self._fleet.submitted_at > -math.inf
        is_old = now - self._asked_for_nodes_at >= _ASK_FOR_NODES_S
        if self._queue.knows_nodes and (is_first or (is_old and self._fleet.failures)):
            self._asked_for_nodes_at = now
            self._begin("find nodes", self._find_nodes())

    def _act(self, action: Action) -> None:
        match action:
            case Submit(count, avoid):
                self._begin("submit", self._submit(count, avoid))
            case Cancel(job_ids):
                self._begin("cancel", self._queue.cancel(job_ids))
            case Retire(job_ids, addresses):
                self._begin("retire", self._retire(job_ids, addresses))
            case Explain(job_ids):
                self._begin("explain", self._explain(job_ids))
            case Forget(addresses):
                self._begin("forget", self._forget(addresses))
            case GiveUp():
                self._give_up(action)

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        task.set_name(name)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("cluster %s: %s failed", self._name, task.get_name(), exc_info=error)
        self._wake.set()

    def _is_under_way(self, name: str) -> bool:
        return any(task.get_name() == name for task in self._under_way)

    async def _submit(self, count: int, avoid: tuple[str, ...]) -> None:
        try:
            ids = await self._queue.submit(count, avoid)
        except (BatchError, OSError) as error:
            why = getattr(error, "why", "") or str(error)
            self._note(f"{count} jobs were not submitted: {why}")
            self._news["refused"].append((count, why))
        else:
            self._note(f"submitted {count} jobs: {ids[0]} to {ids[-1]}")
            self._news["submitted"].extend(ids)

    async def _find_nodes(self) -> None:
        self._news["nodes"] = await self._queue.find_nodes()

    async def _look(self) -> None:
        try:
            found = await self._queue.look()
        except BatchError as error:
            self._note(f"{error.message} {error.why}")
            return
        self._last_status = {job_id: status.end for job_id, status in found.items()}
        self._news["queue"] = found

    async def _retire(self, job_ids: tuple[str, ...], addresses: tuple[str, ...]) -> None:
        names = {each: state.name for each, state in self._scheduler.workers.items()}
        kept: set[str] = set(addresses)
        try:
            kept = await retire_workers(self._scheduler, addresses)
        finally:
            left = kept & self._scheduler.workers.keys() & names.keys()
            jobs = {job_of_worker(names[each]) for each in left}
            self._news["kept"].extend(job_id for job_id in job_ids if job_id in jobs)

    async def _forget(self, addresses: tuple[str, ...]) -> None:
        for address in addresses:
            self._note(f"worker {address} gives no sign, and its job is over")
            # No task of it is to blame.
            await self._scheduler.remove_worker(
                address, stimulus_id=f"job-over-{time.time()}", expected=True
            )

    async def _explain(self, job_ids: tuple[str, ...]) -> None:
        ends = {job_id: self._last_status.get(job_id) for job_id in job_ids}
        reports = await self._queue.explain(ends)
        for job_id, report in reports.items():
            self._note(f"job {job_id} ended: {report.end.words or report.end.cause}")
        self._news["reports"].update(reports)

    def _give_up(self, action: GiveUp) -> None:
        failure = action.failure
        tail = f"; the job wrote:\n{failure.tail}" if failure.tail else ""
        logs = self._queue.job.log_folder
        self.failure = JobsFailError(
            f"No worker of cluster '{self._name}' works: {action.count} times in a row the same "
            "happened to its jobs.",
            why=f"{failure.words}{tail}",
            fix=explain_unseen(self._site, tail)
            or f"see `beampipe cluster preview --on {self._site.name}`, and what jobs wrote in "
            f"'{logs}'",
            log_folder=str(logs),
        )
        self._note(str(self.failure))
        self._wanted = 0
        self._begin("give up", self._let_go())

    async def _let_go(self) -> None:
        """End what is left; without a scheduler, whoever waits for results hears of it."""
        await self._queue.cancel(tuple(self._fleet.jobs))
        if not self._scheduler.workers:
            await self._scheduler.close()


def _no_news() -> dict[str, Any]:
    return {"queue": None, "submitted": [], "refused": [], "reports": {}, "kept": [], "nodes": None}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
