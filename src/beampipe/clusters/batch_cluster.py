"""A Dask cluster whose workers are jobs of a batch system."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from distributed import Scheduler
from distributed.core import Status, rpc
from distributed.exceptions import WorkerStartTimeoutError
from distributed.security import Security
from distributed.utils import Log
from tornado.ioloop import PeriodicCallback

from beampipe.batch.model import JobDescription, preview
from beampipe.clusters.batch_queue import BatchQueue, end_jobs
from beampipe.clusters.cluster_folder import find_folder, make_tag
from beampipe.clusters.condor_bindings import describe_way
from beampipe.clusters.demand import Demand
from beampipe.clusters.descriptors import count_served
from beampipe.clusters.fleet import Job, Phase
from beampipe.clusters.fleet_keeper import FleetKeeper
from beampipe.clusters.job_leases import JobLease
from beampipe.clusters.leaving import close_with_process, forget
from beampipe.clusters.opened import OpenedCluster
from beampipe.clusters.pack_delivery import deliver_pack
from beampipe.clusters.scheduler_start import add_dashboard, find_contact, start_scheduler
from beampipe.clusters.site import Site
from beampipe.clusters.site_folders import check_job_folders
from beampipe.clusters.worker_job import describe_job, find_dialect
from beampipe.errors import JobsFailError

logger = logging.getLogger(__name__)

_BEAT_MS = 60_000
_MANY = 10_000


class Predecessor(NamedTuple):
    """A cluster whose process is gone, and whose jobs may still be there.

    Attributes
    ----------
    tag : str
        Which its jobs carry.
    address : str
        Of its scheduler: its workers try to come back to it for a while.
    security : Security
        With its keys.
    """

    tag: str
    address: str
    security: Security


class BatchCluster(OpenedCluster):
    """Workers from a batch system, replaced when they die.

    It is used as any of Dask's clusters. Every second, what is asked for, what the queue says and
    which workers there are is held against each other (`beampipe.clusters.fleet_keeper`).

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
    predecessor : Predecessor, optional
        Whose place it takes: its jobs are kept, if their workers find this scheduler.
    """

    def __init__(
        self,
        site: Site,
        *,
        name: str | None = None,
        asynchronous: bool = False,
        quiet: bool = True,
        predecessor: Predecessor | None = None,
    ) -> None:
        self.site = site
        self._dialect = find_dialect(site)
        self._predecessor = predecessor
        self.tag = predecessor.tag if predecessor else make_tag(name or site.name)
        self.folder = find_folder(site, self.tag)
        self.security = predecessor.security if predecessor else _make_security(site)
        self.scheduler: Scheduler | None = None
        self._queue: BatchQueue | None = None
        self._keeper: FleetKeeper | None = None
        self._asked: Callable[[FleetKeeper], None] | None = None
        self._dashboard: asyncio.Future[None] | None = None
        super().__init__(asynchronous=asynchronous, name=name or self.tag, quiet=quiet)  # type: ignore[no-untyped-call]
        self._open()

    # -- begin and end --------------------------------------------------------------------------

    async def _start(self) -> None:
        check_job_folders(self.site, self.folder.path)
        self.folder.make()
        await asyncio.to_thread(deliver_pack, self.site, self.folder, self._note)
        self.scheduler = await start_scheduler(
            self.site,
            self.security if self.site.tls else None,
            first=self._predecessor.address if self._predecessor else "",
        )
        if self.site.tls:
            self.folder.write_keys(self.security)
        self._queue = BatchQueue(self._dialect, self._describe_job(), self.folder.script)
        self._queue.check_commands()
        self._note(describe_way(self._dialect))
        lease = JobLease.of_this_process(
            tag=self.tag, name=self.name, site=self.site.name, system=self.site.batch_system
        )
        lease.write()  # before there is any job
        self.periodic_callbacks["lease"] = PeriodicCallback(lease.beat, _BEAT_MS)
        self.scheduler_comm = rpc(
            self.scheduler.address, connection_args=self.security.get_connection_args("client")
        )
        await super()._start()  # type: ignore[no-untyped-call]
        self._keeper = FleetKeeper(
            self.site, self._queue, self.scheduler, name=self.name, note=self._note
        )
        if self._predecessor is not None:
            await self._take_over(self._predecessor, self._keeper)
        if self._asked is not None:
            self._asked(self._keeper)
        self._keeper.start()
        self._dashboard = asyncio.ensure_future(add_dashboard(self.scheduler))

    def _when_open(self) -> None:
        close_with_process(self)

    async def _take_over(self, predecessor: Predecessor, keeper: FleetKeeper) -> None:
        """Keep the jobs of the one before, or end them where their workers will not come back."""
        if self.contact == predecessor.address:
            count = await keeper.adopt()
            self._note(f"took over {count} jobs")
        else:
            self._note(
                f"'{predecessor.address}' cannot be had again: the jobs there were are ended"
            )
            await end_jobs(self._dialect, self.tag)

    def _describe_job(self) -> JobDescription:
        return describe_job(
            self.site, tag=self.tag, folder=self.folder, scheduler=self.contact, name=self.name
        )

    async def _close(self) -> None:
        if self.status in {Status.closed, Status.closing}:
            return
        if self._dashboard is not None:
            self._dashboard.cancel()
        is_over = True
        try:
            if self._keeper is not None:
                is_over = await self._keeper.stop()
        finally:
            self.folder.remove_keys()
            self.folder.remove_packs()
            await super()._close()  # type: ignore[no-untyped-call]
            if self.scheduler is not None:
                await self.scheduler.close()
            if self.failure is None and not any(job.phase is Phase.LOST for job in self.jobs()):
                self.folder.remove()
            if is_over:
                JobLease.remove(self.tag)
            forget(self)

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
        if (workers := count * self.site.processes_per_job) > (served := count_served()):
            self._note(
                f"{workers:,} workers are asked for, and this process may open connections for "
                f"{served:,}: see `ulimit -Hn`"
            )
        self._tell(lambda keeper: keeper.ask(count))

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
        most = maximum if math.isfinite(maximum) else self.site.max_jobs or _MANY
        demand = Demand(
            minimum=self._jobs_for(minimum),
            maximum=self._jobs_for(int(most)),
            patience_s=patience_s,
        )
        self._tell(lambda keeper: keeper.follow(demand))
        self._adaptive = Adapting(self._tell)
        return self._adaptive

    @property
    def contact(self) -> str:
        """The address by which workers call the scheduler."""
        return "" if self.scheduler is None else find_contact(self.site, self.scheduler)

    @property
    def failure(self) -> JobsFailError | None:
        """Why there are no more jobs: they fail early, again and again."""
        return None if self._keeper is None else self._keeper.failure

    def jobs(self) -> list[Job]:
        """All jobs, also those that are over, with their phases and reasons."""
        return [] if self._keeper is None else self._keeper.jobs()

    def job_tail(self, job_id: str) -> str:
        """The end of what a job wrote."""
        return "" if self._queue is None else self._queue.tail(job_id)

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
            error.add_note(self.describe_jobs())
            raise
        except OSError:  # giving up closes the scheduler, which may be heard of first
            self._raise_failure()
            raise
        finally:
            waited.cancel()

    async def _get_logs(self, **which: Any) -> Any:  # type: ignore[override]
        """Dask's logs, and the end of what each job wrote."""
        logs = await super()._get_logs(**which)  # type: ignore[no-untyped-call]
        if which.get("workers", True):
            for job in self.jobs():
                if text := self.job_tail(job.job_id):
                    logs[f"job {job.job_id} ({job.phase})"] = Log(text)
        return logs

    def describe_jobs(self) -> str:
        """In one line: how many jobs are asked for, and where those that there are stand."""
        return "" if self._keeper is None else self._keeper.describe()

    def _scaling_status(self) -> str:
        """For the widget."""
        mode = "Adaptive" if self._keeper is not None and self._keeper.is_adaptive else "Manual"
        return f"<p>Scaling mode: {mode}; {self.describe_jobs()}</p>"

    def _jobs_for(self, workers: int) -> int:
        return math.ceil(workers / self.site.processes_per_job)

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _tell(self, ask: Callable[[FleetKeeper], None]) -> None:
        """Ask the keeper, at once or as soon as there is one."""
        if self._keeper is None:
            self._asked = ask
        else:
            ask(self._keeper)

    def _note(self, text: str) -> None:
        logger.info("cluster %s: %s", self.name, text)
        self._log(text)  # type: ignore[no-untyped-call]


class Adapting:
    """What `adapt` gives back: it can be stopped."""

    def __init__(self, tell: Callable[[Callable[[FleetKeeper], None]], None]) -> None:
        self._tell = tell

    def stop(self) -> None:
        """Keep the jobs that there are, and ask for no other number."""
        self._tell(FleetKeeper.stay)


def _make_security(site: Site) -> Security:
    return Security.temporary() if site.tls else Security()
