"""`beampipe.connect`: a named cluster, from any shell or kernel of its user."""

from __future__ import annotations

import asyncio
import math
import weakref
from dataclasses import asdict
from typing import Any

from distributed.core import rpc
from distributed.security import Security
from distributed.utils import Log

from beampipe.clusters.cluster_folder import read_keys
from beampipe.clusters.fleet import Job, Phase
from beampipe.clusters.keepers import find_cluster, find_keeper
from beampipe.clusters.named import NamedCluster, Standing, Wish
from beampipe.clusters.opened import OpenedCluster
from beampipe.clusters.watching import watch_workers
from beampipe.errors import ClusterGoneError

_CONNECT_S = 10.0
_MANY = 10_000


def connect(name: str | None = None, *, asynchronous: bool = False) -> Any:
    """Connect to a named cluster, which `beampipe cluster up` has started, or to one of a gateway.

    Parameters
    ----------
    name : str, optional
        Its name; without one, the cluster that is running. ``"SITE/ID"`` is a cluster at the
        gateway of a site, whoever started it; the beginning of its ID is enough.
    asynchronous : bool, default False
        Whether it is used from async code: ``async with bp.connect(..., asynchronous=True)``.

    Returns
    -------
    distributed.deploy.Cluster
        Leaving its block leaves the cluster as it is.

    Raises
    ------
    ClusterUnknownError
        ``cluster-unknown``: there is none (of that name).
    ClusterAmbiguousError
        ``cluster-ambiguous``: several are running, and none is named.
    ClusterGoneError
        ``cluster-gone``: it does not answer.
    GatewayUnreachableError, GatewayAnswerError, GatewayAccessError
        There is no way to its gateway.

    Examples
    --------
    >>> import beampipe as bp
    >>> with bp.connect("top") as cluster:  # doctest: +SKIP
    ...     result = bp.run("mass.py:process", "files.toml", client=cluster.get_client())
    """
    return connect_to(find_cluster(name), asynchronous=asynchronous)


def connect_to(record: NamedCluster, *, asynchronous: bool = False) -> Any:
    """Connect to what a record is of."""
    keeper = find_keeper(record)
    if keeper is not None:
        return keeper.connect(record, asynchronous=asynchronous)
    return ConnectedCluster(record, asynchronous=asynchronous)


class ConnectedCluster(OpenedCluster):
    """A named cluster, seen from outside of its controller.

    Closing it leaves the cluster as it is; `shut_down` ends it.

    Parameters
    ----------
    record : NamedCluster
    asynchronous : bool, default False
    """

    def __init__(self, record: NamedCluster, *, asynchronous: bool = False) -> None:
        self.record = record
        self.site = record.load_site()
        self.security = _read_security(record)
        super().__init__(asynchronous=asynchronous, name=record.name, quiet=True)  # type: ignore[no-untyped-call]
        self._open()

    async def _start(self) -> None:
        self.scheduler_comm = rpc(
            self.record.address, connection_args=self.security.get_connection_args("client")
        )
        try:
            await asyncio.wait_for(self._ask("status"), _CONNECT_S)
            await super()._start()  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError) as error:
            raise gone(self.record, str(error) or f"no answer within {_CONNECT_S:.0f} s") from error

    def _watch_worker_status(self, comm: Any) -> Any:
        """Know the workers, also where others look at this cluster; holds no reference to it."""
        return watch_workers(weakref.ref(self), comm)

    async def _ask(self, what: str, **arguments: Any) -> Any:
        return await getattr(self.scheduler_comm, f"beampipe_{what}")(**arguments)

    def scale(self, n: int) -> Any:
        """Ask for so many workers."""
        return self._wish(Wish(workers=n))

    def adapt(self, minimum: int = 0, maximum: float = 100, **_others: Any) -> Any:  # type: ignore[override]
        """Ask for as many workers as there is work for."""
        most = int(maximum) if math.isfinite(maximum) else _MANY
        return self._wish(Wish(minimum=minimum, maximum=most))

    def _wish(self, wish: Wish) -> Any:
        return self.sync(self._ask, "wish", **asdict(wish))  # type: ignore[no-untyped-call]

    def ask_status(self) -> Any:
        """How it is: workers, threads, tasks, what is asked for, and where its jobs stand."""
        return self.sync(self._ask, "status")  # type: ignore[no-untyped-call]

    def jobs(self) -> Any:
        """All its jobs, also those that are over, with their phases and reasons."""
        return self.sync(self._jobs)  # type: ignore[no-untyped-call]

    async def _jobs(self) -> list[Job]:
        found = await self._ask("jobs")
        return [Job(**each | {"phase": Phase(each["phase"])}) for each in found]

    def job_log(self, job_id: str) -> Any:
        """The end of what a job wrote."""
        return self.sync(self._ask, "job_log", job_id=job_id)  # type: ignore[no-untyped-call]

    def shut_down(self) -> Any:
        """End the cluster, and all its jobs."""
        return self.sync(self._ask, "down")  # type: ignore[no-untyped-call]

    async def _get_logs(self, **which: Any) -> Any:  # type: ignore[override]
        """Dask's logs, the controller's, and the end of what each job wrote."""
        logs = await super()._get_logs(**which)  # type: ignore[no-untyped-call]
        if which.get("cluster", True) and self.record.log.exists():
            logs["Cluster"] = Log(self.record.log.read_text(encoding="utf-8", errors="replace"))
        if which.get("workers", True):
            for job in await self._jobs():
                if text := await self._ask("job_log", job_id=job.job_id):
                    logs[f"job {job.job_id} ({job.phase})"] = Log(text)
        return logs


def _read_security(record: NamedCluster) -> Security:
    if record.standing is not Standing.RUNNING:
        raise gone(record, record.words or f"it is {record.standing}")
    if not record.load_site().tls:
        return Security()
    try:
        return read_keys(record.folder)
    except OSError as error:
        raise gone(record, f"its keys cannot be read: {error}") from error


def gone(record: NamedCluster, why: str) -> ClusterGoneError:
    """The error about a cluster that does not answer."""
    return ClusterGoneError(
        f"Cluster '{record.name}' does not answer.",
        why=why,
        fix=f"`beampipe cluster up {record.name}` takes it over if its controller died; "
        f"`beampipe cluster down {record.name}` ends what is left of it",
        log=str(record.log),
    )
