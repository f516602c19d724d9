"""The process that keeps a named cluster: its scheduler and its jobs.

``python -m beampipe.clusters.controller NAME [--as-job]``, started by `beampipe cluster up`, here
or as a job. People reach it through its scheduler, with the keys in the cluster's folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from distributed.deploy import Cluster
from distributed.security import Security

from beampipe.clusters.batch_cluster import BatchCluster, Predecessor
from beampipe.clusters.cluster_folder import ClusterFolder, read_keys
from beampipe.clusters.named import LOCK, NamedCluster, Standing, Wish, find_named
from beampipe.clusters.providers import find_provider
from beampipe.clusters.worker_start import find_job
from beampipe.errors import BeampipeError, ClusterExistsError
from beampipe.process_identity import who_am_i

logger = logging.getLogger(__name__)

AS_JOB = "--as-job"
_BEAT_S = 60.0
_LOOK_S = 0.5


class Controller:
    """A named cluster's life, from its record to its end.

    Attributes
    ----------
    record : NamedCluster
        As it is written down.
    """

    def __init__(self, record: NamedCluster) -> None:
        self.record = record
        self._cluster: Any = None
        self._is_over = asyncio.Event()

    async def run(self) -> None:
        """Open the cluster, keep it, and end it when it is told to."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: None)  # whoever started it has left
        job = find_job(os.environ).job_id if AS_JOB in sys.argv else ""
        self._note(owner=who_am_i(), state=Standing.STARTING, words="", controller_job=job)
        try:
            async with await self._open() as cluster:
                self._cluster = cluster
                loop.add_signal_handler(signal.SIGTERM, self._is_over.set)
                self._let_in(cluster)
                self._follow(self.record.wish)
                await self._keep(cluster)
        except BeampipeError as error:
            self._note(state=Standing.FAILED, words=f"{error.message} {error.why}".strip())
            raise

    async def _open(self) -> Cluster:
        site = self.record.load_site()
        provider = find_provider(site.provider)
        predecessor = None
        if self.record.tag:
            keys = read_keys(self.record.folder) if site.tls else Security()
            predecessor = Predecessor(self.record.tag, self.record.address, keys)
        return provider.open(
            site, name=self.record.name, asynchronous=True, predecessor=predecessor
        )

    def _let_in(self, cluster: Any) -> None:
        """Leave the keys for people, and tell where it is."""
        if cluster.security.require_encryption:
            ClusterFolder(self.record.folder).write_keys(cluster.security)
        cluster.scheduler.handlers.update(
            beampipe_wish=self.wish,
            beampipe_status=self.status,
            beampipe_jobs=self.jobs,
            beampipe_job_log=self.job_log,
            beampipe_down=self.down,
        )
        self._note(
            state=Standing.RUNNING,
            address=getattr(cluster, "contact", "") or cluster.scheduler.address,
            dashboard=cluster.dashboard_link or "",
            tag=getattr(cluster, "tag", ""),
        )

    async def _keep(self, cluster: Any) -> None:
        told = asyncio.ensure_future(self._is_over.wait())
        ended = asyncio.ensure_future(cluster.scheduler.finished())
        since_beat_s = 0.0
        while not (told.done() or ended.done()):
            await asyncio.wait([told, ended], timeout=_LOOK_S, return_when="FIRST_COMPLETED")
            if (failure := getattr(cluster, "failure", None)) is not None:
                raise failure
            since_beat_s += _LOOK_S
            if since_beat_s >= _BEAT_S:
                since_beat_s = 0.0
                if not self.record.exists():  # nobody could find it any more, nor end it
                    logger.warning("the record of this cluster is gone, and so it ends")
                    break
                self.record.beat()
        told.cancel()
        ended.cancel()

    def _follow(self, wish: Wish) -> None:
        if wish.maximum is None:
            self._cluster.scale(wish.workers)
        else:
            self._cluster.adapt(minimum=wish.minimum, maximum=wish.maximum)

    def _note(self, **changes: Any) -> None:
        self.record = replace(self.record, **changes)
        self.record.write()

    # -- what people ask ------------------------------------------------------------------------

    def wish(self, **wish: Any) -> None:
        """Have another number of workers."""
        self._follow(Wish(**wish))
        self._note(wish=Wish(**wish))

    def status(self) -> dict[str, Any]:
        """How it is."""
        describe = getattr(self._cluster, "describe_jobs", None)
        return {
            "workers": len(self._cluster.scheduler.workers),
            "threads": sum(each.nthreads for each in self._cluster.scheduler.workers.values()),
            "tasks": len(self._cluster.scheduler.tasks),
            "wish": asdict(self.record.wish),
            "jobs": describe() if describe is not None else "",
        }

    def jobs(self) -> list[dict[str, Any]]:
        """All its jobs."""
        if not isinstance(self._cluster, BatchCluster):
            return []
        return [asdict(job) | {"phase": str(job.phase)} for job in self._cluster.jobs()]

    def job_log(self, job_id: str) -> str:
        """The end of what a job wrote."""
        if not isinstance(self._cluster, BatchCluster):
            return ""
        return self._cluster.job_tail(job_id)

    def down(self) -> None:
        """End it, and all its jobs."""
        self._is_over.set()


@contextlib.contextmanager
def sole_controller(record: NamedCluster) -> Iterator[None]:
    """Be the only controller of a cluster.

    Raises
    ------
    ClusterExistsError
        ``cluster-exists``: another one is at work.
    """
    with (record.folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ClusterExistsError(
                f"Cluster '{record.name}' has a controller already.",
                fix="`beampipe cluster ls` shows it",
            ) from error
        yield


def main() -> None:
    """Keep the cluster whose name is given."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("distributed").setLevel(logging.WARNING)
    name = sys.argv[1]
    try:
        record = find_named(name)
        os.chdir(record.folder)
        with sole_controller(record):
            asyncio.run(Controller(record).run())
            record.remove()
    except BeampipeError as error:
        logger.error("%s", error)  # noqa: TRY400 (it explains itself)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
