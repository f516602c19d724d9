"""A Dask cluster whose workers are jobs of a batch system."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Coroutine, Generator
from typing import Any

from distributed import Scheduler
from distributed.core import Status, rpc
from distributed.deploy import Cluster
from distributed.exceptions import WorkerStartTimeoutError
from distributed.security import Security
from distributed.utils import Log

from beampipe.batch.model import JobEnd, JobState, preview
from beampipe.clusters.batch_queue import BatchQueue
from beampipe.clusters.cluster_folder import find_folder, make_tag
from beampipe.clusters.demand import Demand
from beampipe.clusters.fleet import (
    Action,
    Cancel,
    Explain,
    Fleet,
    GiveUp,
    Job,
    Phase,
    Policy,
    Retire,
    Seen,
    Submit,
    WorkerView,
)
from beampipe.clusters.leaving import close_with_process, forget
from beampipe.clusters.reconciler import decide
from beampipe.clusters.scheduler_start import find_contact, start_scheduler
from beampipe.clusters.site import Site
from beampipe.clusters.worker_job import describe_job, find_dialect
from beampipe.clusters.worker_start import job_of_worker
from beampipe.errors import BatchError, JobsFailError

logger = logging.getLogger(__name__)

_STEP_S = 1.0
_FIRST_LOOK_S = 2.0
_WAIT_FOR_END_S = 10.0
_RETIRE_S = 300.0
_ALIVE = {JobState.PENDING, JobState.HELD, JobState.RUNNING, JobState.ENDING}


class BatchCluster(Cluster):
    """Workers from a batch system, replaced when they die.

    It is used as any of Dask's clusters. Every second, what is asked for, what the queue says and
    which workers there are is held against each other (`beampipe.clusters.reconciler`).

    Parameters
    ----------
    site : Site
        Where.
    name : str, optional
        For people; the site's name if it is not given.
    asynchronous : bool, default False
        Whether it is used from a running event loop.
    quiet : bool, default True
        Whether nothing is printed.
    """

    def __init__(
        self,
        site: Site,
        *,
        name: str | None = None,
        asynchronous: bool = False,
        quiet: bool = True,
        loop: Any = None,
    ) -> None:
        self.site = site
        self._dialect = find_dialect(site)
        self._policy = Policy(
            array_size=min(site.array_size, self._dialect.largest_array),
            max_jobs=site.max_jobs,
            submit_every_s=site.submit_every,
            start_timeout_s=site.start_timeout,
        )
        self.tag = make_tag(name or site.name)
        self.folder = find_folder(site, self.tag)
        self.security = Security.temporary() if site.tls else Security()
        self.scheduler: Scheduler | None = None
        self.failure: JobsFailError | None = None
        self._queue: BatchQueue | None = None
        self._fleet = Fleet()
        self._wanted = 0
        self._demand: Demand | None = None
        self._news: dict[str, Any] = _no_news()
        self._last_status: dict[str, JobEnd | None] = {}
        self._looked_at = -math.inf
        self._under_way: set[asyncio.Task[None]] = set()
        self._reconciling: asyncio.Task[None] | None = None
        self._wake: asyncio.Event | None = None
        self._is_leaving = False
        super().__init__(asynchronous=asynchronous, loop=loop, name=name or self.tag, quiet=quiet)  # type: ignore[no-untyped-call]
        if not self.called_from_running_loop:
            self._loop_runner.start()
            try:
                self.sync(self._start)  # type: ignore[no-untyped-call]
            except BaseException:
                self.sync(self._close)  # type: ignore[no-untyped-call]
                self._loop_runner.stop()
                raise
            close_with_process(self)

    def __await__(self) -> Generator[Any, None, BatchCluster]:
        return self._opened().__await__()

    async def _opened(self) -> BatchCluster:
        if self.status == Status.created:
            try:
                await self._start()
            except BaseException:
                await self._close()
                raise
            close_with_process(self)
        return self

    # -- begin and end --------------------------------------------------------------------------

    async def _start(self) -> None:
        self.folder.make()
        self.scheduler = await start_scheduler(self.site, self.security if self.site.tls else None)
        if self.site.tls:
            self.folder.write_keys(self.security)
        self._queue = BatchQueue(self._dialect, self._describe_job(), self.folder.script)
        self._queue.check_commands()
        self.scheduler_comm = rpc(
            self.scheduler.address, connection_args=self.security.get_connection_args("client")
        )
        await super()._start()  # type: ignore[no-untyped-call]
        self._wake = asyncio.Event()
        self._reconciling = asyncio.ensure_future(self._reconcile())

    def close(self, timeout: float | None = None) -> Any:
        """End all jobs, then the scheduler."""
        closing = super().close(timeout)
        if not self.asynchronous:
            self._loop_runner.stop()
        return closing

    def _describe_job(self) -> Any:
        address = find_contact(self.site, self.scheduler)
        return describe_job(
            self.site, tag=self.tag, folder=self.folder, scheduler=address, name=self.name
        )

    async def _close(self) -> None:
        if self.status in {Status.closed, Status.closing}:
            return
        self._is_leaving = True
        if self._reconciling is not None and self._wake is not None:
            # Not by `cancel`, which asyncio may lose when the clock has just been woken.
            self._wake.set()
            await self._reconciling
        try:
            if self._queue is not None:
                await self._end_jobs(self._queue)
        finally:
            self.folder.remove_keys()
            await super()._close()  # type: ignore[no-untyped-call]
            if self.scheduler is not None:
                await self.scheduler.close()
            if self.failure is None and not any(job.phase is Phase.LOST for job in self.jobs()):
                self.folder.remove()
            forget(self)

    async def _end_jobs(self, queue: BatchQueue) -> None:
        """End all jobs of this cluster: those that are known, and what the queue has besides."""
        submitting = [task for task in self._under_way if task.get_name() == "submit"]
        if submitting:  # else their jobs would come after us
            await asyncio.wait(submitting, timeout=_WAIT_FOR_END_S)
        for task in self._under_way:
            task.cancel()
        known = {*self._fleet.jobs, *self._fleet.unexplained, *self._news["submitted"]}
        was_used = self._fleet.submitted_at > -math.inf
        if known:
            await queue.cancel(tuple(known))
        give_up = time.monotonic() + _WAIT_FOR_END_S
        while was_used and time.monotonic() < give_up:
            with contextlib.suppress(BatchError):
                found = await queue.look()
                left = tuple(each for each in found if found[each].state in _ALIVE)
                if not left:
                    return
                strays = tuple(each for each in left if each not in known)
                await queue.cancel(strays)
                known |= set(strays)
            await asyncio.sleep(0.3)

    # -- what people ask for --------------------------------------------------------------------

    def scale(self, n: int | None = None, *, jobs: int | None = None) -> None:
        """Ask for so many workers, or jobs.

        Jobs that wait in the queue go first when there are to be fewer; workers that go hand over
        what they have.

        Parameters
        ----------
        n : int, optional
            Workers; a job has as many as the site's `processes` says.
        jobs : int, optional
            Jobs, instead.
        """
        if (n is None) == (jobs is None):
            raise TypeError("scale takes either a number of workers, or `jobs=`")
        self._raise_failure()
        count = jobs if jobs is not None else self._jobs_for(n or 0)
        if count < 0:
            raise ValueError(f"there cannot be {count} jobs")
        self._demand = None
        self._wanted = count
        self._nudge()

    def adapt(  # type: ignore[override]
        self, minimum: int = 0, maximum: float = 100, *, patience_s: float = 30.0, **_others: Any
    ) -> Adapting:
        """Ask for as many workers as there is work for.

        Parameters
        ----------
        minimum, maximum : int
            Workers.
        patience_s : float
            How long there must be less work until workers are taken away [s].
        """
        self._raise_failure()
        most = maximum if math.isfinite(maximum) else self._policy.max_jobs or 10_000
        self._demand = Demand(
            minimum=self._jobs_for(minimum),
            maximum=self._jobs_for(int(most)),
            patience_s=patience_s,
            wanted=self._wanted,
        )
        self._adaptive = Adapting(self)
        self._nudge()
        return self._adaptive

    def jobs(self) -> list[Job]:
        """All jobs, also those that are over, with their phases and reasons."""
        fleet = self._fleet
        return [*fleet.ended, *fleet.unexplained.values(), *fleet.jobs.values()]

    def job_script(self) -> str:
        """Exactly what is submitted for one job."""
        if self._queue is None:
            return ""
        return preview(self._dialect, self._queue.job, self.folder.script)

    def get_client(self) -> Any:
        """A client of this cluster."""
        self._raise_failure()
        return super().get_client()  # type: ignore[no-untyped-call]

    async def _wait_for_workers(self, n_workers: int = 0, timeout: Any = None) -> None:  # noqa: ASYNC109 (Dask's own signature)
        """Wait, and raise as soon as it is clear that none will come."""
        waiting = super()._wait_for_workers(n_workers, timeout=timeout)  # type: ignore[no-untyped-call]
        waited = asyncio.ensure_future(waiting)
        try:
            while not waited.done():
                self._raise_failure()
                await asyncio.wait([waited], timeout=0.2)
            await waited
        except WorkerStartTimeoutError as error:
            error.add_note(self._describe_phases())
            raise
        finally:
            waited.cancel()

    async def _get_logs(self, **which: Any) -> Any:  # type: ignore[override]
        """Dask's logs, and the end of what each job wrote."""
        logs = await super()._get_logs(**which)  # type: ignore[no-untyped-call]
        workers = which.get("workers", True)
        if workers and self._queue is not None:
            for job in self.jobs():
                if text := self._queue.tail(job.job_id):
                    logs[f"job {job.job_id} ({job.phase})"] = Log(text)
        return logs

    def _scaling_status(self) -> str:
        """For the widget."""
        mode = "Adaptive" if self._demand else "Manual"
        return f"<p>Scaling mode: {mode}; {self._describe_phases()}</p>"

    def _describe_phases(self) -> str:
        fleet = self._fleet
        counts = Counter(str(job.phase) for job in fleet.jobs.values())
        words = [f"{count} {phase}" for phase, count in sorted(counts.items())]
        reasons = {job.reason for job in fleet.jobs.values() if job.phase is Phase.PENDING}
        reasons.discard("")
        waiting = f" (waiting for: {'; '.join(sorted(reasons)[:3])})" if reasons else ""
        return f"jobs asked for: {self._wanted}; {', '.join(words) or 'none'}{waiting}"

    def _jobs_for(self, workers: int) -> int:
        return math.ceil(workers / self.site.processes_per_job)

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _nudge(self) -> None:
        if self._wake is not None and self.loop is not None:
            self.loop.add_callback(self._wake.set)

    # -- reconciling ----------------------------------------------------------------------------

    async def _reconcile(self) -> None:
        while self.failure is None and not self._is_leaving:
            try:
                self._step()
            except Exception:  # one step that fails must not leave the jobs to themselves
                logger.exception("a step of cluster %s failed", self.name)
            if self._wake is not None and not self._is_leaving:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _STEP_S)

    def _step(self) -> None:
        now = time.time()
        if self._demand is not None and self.scheduler is not None:
            needed = self._jobs_for(int(self.scheduler.adaptive_target()))
            self._demand = self._demand.follow(needed, now)
            self._wanted = self._demand.wanted
        news, self._news = self._news, _no_news()
        seen = Seen(
            now=now, workers=self._view_workers(), **{k: _frozen(v) for k, v in news.items()}
        )
        self._fleet, actions = decide(self._fleet, self._wanted, seen, self._policy)
        for action in actions:
            self._act(action)
        self._look_if_due(now)

    def _view_workers(self) -> dict[str, WorkerView]:
        states = {} if self.scheduler is None else self.scheduler.workers
        return {
            address: WorkerView(job_of_worker(state.name), len(state.processing), state.nbytes)
            for address, state in states.items()
        }

    def _look_if_due(self, now: float) -> None:
        is_idle = not (self._fleet.jobs or self._fleet.submitting)
        pause_s = min(self.site.look_every, max(_FIRST_LOOK_S, now - self._fleet.submitted_at))
        if is_idle or now - self._looked_at < pause_s or self._is_under_way("look"):
            return
        self._looked_at = now
        self._begin("look", self._look())

    def _act(self, action: Action) -> None:
        queue = self._queue
        assert queue is not None  # noqa: S101 (for mypy: actions come after the start)
        match action:
            case Submit(count):
                self._begin("submit", self._submit(queue, count))
            case Cancel(job_ids):
                self._begin("cancel", queue.cancel(job_ids))
            case Retire(job_ids, addresses):
                self._begin("retire", self._retire(job_ids, addresses))
            case Explain(job_ids):
                self._begin("explain", self._explain(queue, job_ids))
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
            logger.error("cluster %s: %s failed", self.name, task.get_name(), exc_info=error)
        if self._wake is not None:
            self._wake.set()

    def _is_under_way(self, name: str) -> bool:
        return any(task.get_name() == name for task in self._under_way)

    async def _submit(self, queue: BatchQueue, count: int) -> None:
        try:
            ids = await queue.submit(count)
        except (BatchError, OSError) as error:
            why = getattr(error, "why", "") or str(error)
            self._note(f"{count} jobs were not submitted: {why}")
            self._news["refused"].append((count, why))
        else:
            self._note(f"submitted {count} jobs: {ids[0]} to {ids[-1]}")
            self._news["submitted"].extend(ids)

    async def _look(self) -> None:
        queue = self._queue
        assert queue is not None  # noqa: S101 (for mypy)
        try:
            found = await queue.look()
        except BatchError as error:
            self._note(f"{error.message} {error.why}")
            return
        self._last_status = {job_id: status.end for job_id, status in found.items()}
        self._news["queue"] = found

    async def _retire(self, job_ids: tuple[str, ...], addresses: tuple[str, ...]) -> None:
        scheduler = self.scheduler
        assert scheduler is not None  # noqa: S101 (for mypy)
        gone: Any = {}
        try:
            work = scheduler.retire_workers(list(addresses), close_workers=True, remove=True)
            gone = await asyncio.wait_for(work, _RETIRE_S)
        finally:
            left = {address for address in addresses if address not in gone}
            kept = {
                job_of_worker(scheduler.workers[address].name)
                for address in left
                if address in scheduler.workers
            }
            self._news["kept"].extend(job_id for job_id in job_ids if job_id in kept)

    async def _explain(self, queue: BatchQueue, job_ids: tuple[str, ...]) -> None:
        ends = {job_id: self._last_status.get(job_id) for job_id in job_ids}
        reports = await queue.explain(ends)
        for job_id, report in reports.items():
            self._note(f"job {job_id} ended: {report.end.words or report.end.cause}")
        self._news["reports"].update(reports)

    def _give_up(self, action: GiveUp) -> None:
        failure = action.failure
        tail = f"; the job wrote:\n{failure.tail}" if failure.tail else ""
        self.failure = JobsFailError(
            f"No worker of cluster '{self.name}' works: {action.count} times in a row the same "
            "happened to its jobs.",
            why=f"{failure.words}{tail}",
            fix=f"see `beampipe cluster preview --on {self.site.name}`, and what jobs wrote in "
            f"'{self.folder.logs}'",
            log_folder=str(self.folder.logs),
        )
        self._note(str(self.failure))
        self._wanted = 0
        self._begin("give up", self._let_go())

    async def _let_go(self) -> None:
        """End what is left; without a scheduler, whoever waits for results hears of it."""
        if self._queue is not None:
            await self._queue.cancel(tuple(self._fleet.jobs))
        if self.scheduler is not None and not self.scheduler.workers:
            await self.scheduler.close()

    def _note(self, text: str) -> None:
        logger.info("cluster %s: %s", self.name, text)
        self._log(text)  # type: ignore[no-untyped-call]


class Adapting:
    """What `adapt` gives back: it can be stopped."""

    def __init__(self, cluster: BatchCluster) -> None:
        self._cluster = cluster

    def stop(self) -> None:
        """Keep the jobs that there are, and ask for no other number."""
        self._cluster._demand = None  # noqa: SLF001 (a part of that class)


def _no_news() -> dict[str, Any]:
    return {"queue": None, "submitted": [], "refused": [], "reports": {}, "kept": []}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
