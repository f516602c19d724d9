"""A cluster of a gateway, as dask-gateway has it, with a site's options and errors that explain.

Needs the package dask-gateway; `beampipe.clusters.gateway_door.import_gateway` says so kindly.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from dask_gateway import GatewayCluster, GatewayClusterError
from dask_gateway.client import ClusterReport, ClusterStatus
from distributed.utils import Log, Logs

from beampipe.clusters.gateway_door import (
    close_for_good,
    door_arguments,
    explained,
    find_address,
    limit_patience,
)
from beampipe.clusters.gateway_logs import LogWatch, read_logs, watched_log
from beampipe.clusters.gateway_options import choose_options, read_offer
from beampipe.clusters.leaving import close_with_process, forget
from beampipe.clusters.named import Wish
from beampipe.clusters.site import Site
from beampipe.clusters.watching import watch_workers
from beampipe.errors import (
    BeampipeError,
    ClusterGoneError,
    GatewayLimitError,
    GatewayOptionError,
    GatewayStartError,
    GatewayUnreachableError,
)

_LOOK_S = 0.5
# For so long the server itself holds back its answer when it is asked to wait.
_SERVER_WAITS_S = 20.0
_STOP_S = 30.0
_MANY = 10_000  # as good as no limit
_CLOSED = ("closing", "closed")
_BEGUN: Final = (ClusterStatus.PENDING, ClusterStatus.RUNNING, ClusterStatus.STOPPING)
_LOST: Final = (aiohttp.ClientError, OSError, TimeoutError)


class SiteGatewayCluster(GatewayCluster):  # type: ignore[misc]
    """A cluster at a site's gateway: a new one, or one that is there.

    Parameters
    ----------
    site : Site
    server_name : str, optional
        The gateway's name for one that is there; it stays when this object is closed.
    asynchronous : bool, default False
    say : callable
        Told what is waited for.
    note : callable
        Told how many workers were asked for.

    Raises
    ------
    GatewayUnreachableError, GatewayAnswerError, GatewayAccessError
        There is no way to the gateway.
    GatewayOptionError, GatewayLimitError, GatewayStartError
        It starts no cluster.
    ClusterGoneError
        ``cluster-gone``: the one that was there is not.
    """

    status: str  # dask-gateway's own words, and not distributed's

    def __init__(
        self,
        site: Site,
        *,
        server_name: str | None = None,
        asynchronous: bool = False,
        say: Callable[[str], None] = lambda _: None,
        note: Callable[[Wish], None] = lambda _: None,
    ) -> None:
        self.site = site
        self._is_new = server_name is None
        self._say, self._note = say, note
        self._wish: Wish | None = None
        arguments = door_arguments(site)
        if self._is_new:
            close_with_process(self)
        try:
            self._init_internal(
                **arguments,
                shutdown_on_close=self._is_new,
                asynchronous=asynchronous,
                name=server_name,
            )
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        """Leave nothing at the server of what was interrupted."""
        forget(self)
        gateway = getattr(self, "gateway", None)
        if gateway is not None and not gateway.asynchronous:
            with contextlib.suppress(*_LOST):
                gateway.sync(self._stop_internal)
            close_for_good(gateway)

    # -- starting -------------------------------------------------------------------------------

    async def _start_async(self) -> None:
        if self.status in _CLOSED:
            return
        limit_patience(self.gateway)
        with explained(self.site):
            if self.status == "created":
                await self._submit()
                self.status = "starting"
            async with watched_log(self.site, self.name) as log:
                await self._wait_until_ready(log)
            await super()._start_async()
        if self._watch_worker_status_task is None:  # dask-gateway says nothing of it
            raise GatewayUnreachableError(
                f"The scheduler of cluster {self.name} at '{self.site.name}' cannot be reached.",
                why=f"the gateway says that it runs; its proxy, {self.gateway.proxy_address}, lets "
                "nobody through to it",
                fix="set `gateway_proxy_address` as the facility documents it",
                address=self.gateway.proxy_address,
            )
        if self._wish is not None:
            await self._ask_for(self._wish)

    def _watch_worker_status(self, comm: Any) -> Any:
        """Know the workers, also where others look at this cluster; holds no reference to it."""
        return watch_workers(weakref.ref(self), comm)

    async def _submit(self) -> None:
        options = await self.gateway._cluster_options(use_local_defaults=False)  # noqa: SLF001
        configured = self.gateway._config_cluster_options()  # noqa: SLF001
        chosen = choose_options(self.site, read_offer(options), configured)
        values = {name: choice.value for name, choice in chosen.items()}
        task = asyncio.ensure_future(self.gateway._submit(options, **values))  # noqa: SLF001
        try:
            self.name = await asyncio.shield(task)
        except asyncio.CancelledError:
            self.name = await task  # what was begun has to be ended by its name
            raise
        except (ValueError, GatewayClusterError) as error:
            raise await self._explain_refusal(str(error)) from error

    async def _explain_refusal(self, words: str) -> BeampipeError:
        """Whether it was for the options, or because there are clusters already."""
        with contextlib.suppress(*_LOST, ValueError):
            begun = await self.gateway._clusters(status=_BEGUN)  # noqa: SLF001
            if begun and "cluster" in words.lower():
                names = [f"{self.site.name}/{each.name}" for each in begun]
                return GatewayLimitError(
                    f"The gateway of site '{self.site.name}' allows no further cluster; yours are "
                    f"{', '.join(names)}.",
                    why=words,
                    fix=f"use it: `beampipe.connect('{names[0]}')`; or end it, and wait until it "
                    f"has stopped: `beampipe cluster down {names[0]}`",
                    clusters=names,
                )
        return GatewayOptionError(
            f"The gateway of site '{self.site.name}' refuses to start a cluster.",
            why=words,
            fix=f"`beampipe cluster preview --on {self.site.name}` shows what is sent, and what "
            "each option means",
            option="",
        )

    async def _wait_until_ready(self, log: LogWatch) -> None:
        give_up = time.monotonic() + self.site.start_timeout
        told, words = "", "pending"
        while True:
            try:
                report = await self._report(wait=give_up - time.monotonic() > _SERVER_WAITS_S)
            except _LOST as error:  # a server that is started anew goes on where it was
                if time.monotonic() > give_up or not self._is_new:
                    raise
                words = f"the gateway does not answer ({error})"
            else:
                words = report.status.name.lower()
                if report.status is ClusterStatus.RUNNING:
                    return
                if report.status is not ClusterStatus.PENDING:
                    raise self._not_started(words, log.tail)
            if words != told:
                told = words
                self._say(f"cluster {self.name} at site '{self.site.name}': {words}")
            if time.monotonic() > give_up:
                raise self._not_started(words, log.tail, is_late=True)
            await asyncio.sleep(_LOOK_S)

    async def _report(self, *, wait: bool = False) -> ClusterReport:
        try:
            return await self.gateway._cluster_report(self.name, wait=wait)  # noqa: SLF001
        except ValueError as error:  # 404
            if "not found" not in str(error).lower():
                raise
            raise self._gone(str(error)) from error

    def _not_started(self, words: str, tail: str, *, is_late: bool = False) -> BeampipeError:
        if not self._is_new:
            return self._gone(f"the gateway says that it is {words}")
        limit = f"within {self.site.start_timeout:g} s (`start_timeout`)"
        return GatewayStartError(
            f"Cluster {self.name} at site '{self.site.name}' "
            + (f"was not ready {limit}." if is_late else "did not start."),
            why=f"the state that the gateway reported last: {words}"
            + (f"; its scheduler's job wrote: {tail}" if tail else "")
            + ("" if is_late or tail else "; it tells no reason"),
            fix="see whether the environment or image of its options exists there, and has dask, "
            "distributed and dask-gateway in it"
            + ("" if tail else "; its operators find the reason in its log"),
            cluster=self.name,
            status=words,
        )

    def _gone(self, why: str) -> ClusterGoneError:
        return ClusterGoneError(
            f"Cluster {self.name} at site '{self.site.name}' is there no more.",
            why=f"{find_address(self.site)}: {why}",
            fix="a gateway ends clusters that are idle, or whose time is over; start another one "
            "(and `beampipe cluster down NAME` forgets this one, if it has a name of yours)",
            log="",
        )

    # -- what people ask ------------------------------------------------------------------------

    def scale(self, n: int, **_others: Any) -> Any:
        """Ask for so many workers."""
        return self._ask(Wish(workers=n))

    def adapt(
        self, minimum: int | None = None, maximum: float | None = None, **_others: Any
    ) -> Any:
        """Ask for as many workers as there is work for."""
        most = _MANY if maximum is None else int(min(maximum, _MANY))
        return self._ask(Wish(minimum=minimum or 0, maximum=most))

    def _ask(self, wish: Wish) -> Any:
        if self.asynchronous and self.status in {"created", "starting"}:
            self._wish = wish  # once it is there
            return None
        return self.gateway.sync(self._ask_for, wish)

    async def _ask_for(self, wish: Wish) -> None:
        with explained(self.site):
            try:
                if wish.maximum is None:
                    await self.gateway._scale_cluster(self.name, wish.workers)  # noqa: SLF001
                else:
                    most = None if wish.maximum >= _MANY else wish.maximum
                    await self.gateway._adapt_cluster(self.name, wish.minimum, most)  # noqa: SLF001
            except GatewayClusterError as error:
                raise self._gone(str(error)) from error
            except ValueError as error:
                raise self._gone(str(error)) from error
        self._note(wish)

    def wait_for_workers(self, n_workers: int, timeout: float | None = None) -> Any:
        """Wait until so many workers are connected.

        Raises
        ------
        TimeoutError
            They are not, within `timeout` [s].
        """
        return self.gateway.sync(self._wait_for_workers, n_workers, timeout)

    async def _wait_for_workers(self, n_workers: int, limit_s: float | None) -> None:
        give_up = time.monotonic() + (float("inf") if limit_s is None else limit_s)
        while (count := len(self.scheduler_info.get("workers", {}))) < n_workers:
            if time.monotonic() > give_up:
                raise TimeoutError(f"{count} of {n_workers} workers are there after {limit_s} s")
            await asyncio.sleep(_LOOK_S)

    def ask_status(self) -> dict[str, Any]:
        """How it is: workers and threads that are connected. Of tasks and jobs it tells nothing."""
        workers = self.scheduler_info.get("workers", {}).values()
        threads = sum(each["nthreads"] for each in workers)
        return {"workers": len(workers), "threads": threads, "jobs": ""}

    def jobs(self) -> list[Any]:
        """None: a gateway tells nothing of the jobs behind its workers."""
        return []

    def job_log(self, job_id: str) -> str:
        """What a job wrote, by its log's name; empty where the logs cannot be seen from here."""
        return read_logs(self.site, self.name).get(job_id, "")

    def get_logs(self, *, scheduler: bool = True, workers: bool = True, **_others: Any) -> Any:
        """What the scheduler and the workers that are connected wrote last, from their memory.

        And what their jobs wrote, where the site's `gateway_logs` can be seen from here.
        """
        return self.gateway.sync(self._get_logs, scheduler=scheduler, workers=workers)

    async def _get_logs(self, *, scheduler: bool, workers: bool) -> Logs:
        logs = Logs()
        if scheduler:
            lines = await self.scheduler_comm.get_logs()
            logs["Scheduler"] = Log("\n".join(line for _, line in lines))
        if workers:
            for address, lines in (await self.scheduler_comm.worker_logs(n=None)).items():
                logs[address] = Log("\n".join(line for _, line in lines))
        logs.update({name: Log(text) for name, text in read_logs(self.site, self.name).items()})
        return logs

    @property
    def failure(self) -> ClusterGoneError | None:
        """Why it is not there any more, if the gateway says so."""
        try:
            report = self.gateway.sync(self._report)
        except ClusterGoneError as error:
            return error
        except (*_LOST, ValueError, LookupError):
            return None
        if report.status in {ClusterStatus.PENDING, ClusterStatus.RUNNING}:
            return None
        return self._gone(f"the gateway says that it is {report.status.name.lower()}")

    # -- ending ---------------------------------------------------------------------------------

    def shut_down(self) -> Any:
        """End it at the gateway."""
        return self.close(shutdown=True)

    def close(self, timeout: float | None = None, shutdown: bool | None = None) -> Any:  # noqa: ARG002, FBT001
        """Leave it; one that was started here is ended."""
        forget(self)
        closing = super().close(shutdown)
        if not self.asynchronous:
            close_for_good(self.gateway)
        return closing

    async def _stop_internal(self, shutdown: bool | None = None) -> None:  # noqa: FBT001
        forget(self)
        is_over = self.shutdown_on_close if shutdown is None else shutdown
        await super()._stop_internal(shutdown)
        if is_over and self.name is not None:
            with contextlib.suppress(*_LOST, ValueError, LookupError, BeampipeError):
                await asyncio.wait_for(self._wait_until_stopped(), _STOP_S)
            await self.gateway._cleanup()  # noqa: SLF001

    async def _wait_until_stopped(self) -> None:
        """Wait for the end: a gateway may allow no new cluster before."""
        over = {ClusterStatus.STOPPED, ClusterStatus.FAILED}
        while (await self._report()).status not in over:  # noqa: ASYNC110 (it is elsewhere)
            await asyncio.sleep(_LOOK_S)
