"""Where bundles are done: in this process, on a given client's workers, or on our own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from beampipe.environments.version_gate import Level, check_versions
from beampipe.errors import ArgumentError
from beampipe.execution.bundles import RunContext
from beampipe.execution.index_desk import IndexDesk
from beampipe.execution.inline_pool import InlinePool
from beampipe.execution.pool import Pool
from beampipe.execution.worker_settings import list_unset_of_scheduler
from beampipe.runs.embedded import embedded_client, warm_workers
from beampipe.settings import Settings

if TYPE_CHECKING:
    from distributed import Client

INLINE: Literal["inline"] = "inline"


def prepared_workers(
    client: Client | Literal["inline"] | None, workers: int | None
) -> AbstractContextManager[None]:
    """Let workers prepare themselves in the background, if there are to be any of ours."""
    return warm_workers() if client is None and workers != 0 else nullcontext()


@contextlib.contextmanager
def open_pool(
    client: Client | Literal["inline"] | None,
    context: RunContext,
    *,
    workers: int | None = None,
    memory_limit: int | None = None,
    desk: IndexDesk | None = None,
) -> Iterator[tuple[Pool, str]]:
    """Get workers: this process, the given client's, or an embedded cluster.

    Parameters
    ----------
    workers, memory_limit : int, optional
        Of an embedded cluster; no workers means this process.
    desk : IndexDesk, optional
        Keeps the indexes of files; closed with the pool.

    Yields
    ------
    pool : Pool
    dashboard : str
        Link to Dask's dashboard, or empty.
    """
    with ExitStack() as stack:
        if desk is not None:
            context = replace(context, store=desk.place)
            stack.callback(desk.close)
        if isinstance(client, str) or (client is None and workers == 0):
            yield stack.enter_context(contextlib.closing(InlinePool(context, desk))), ""
            return
        from beampipe.execution.dask_pool import DaskPool

        used = client or stack.enter_context(embedded_client(workers, memory_limit))
        stack.enter_context(_kept_workers(used))
        pool = stack.enter_context(contextlib.closing(DaskPool(used, context, desk)))
        yield pool, find_dashboard(used)


def _kept_workers(client: Client) -> AbstractContextManager[object]:
    """Of a `LocalCluster` in this process Dask gives workers up, and nobody brings new ones."""
    from distributed import LocalCluster

    if not isinstance(client.cluster, LocalCluster):
        return nullcontext()
    from beampipe.clusters.local_cluster import kept_workers

    return kept_workers(client.cluster)


def find_unset(client: Client | Literal["inline"] | None) -> tuple[str, ...]:
    """Name the settings that a given client's scheduler does not have."""
    if client is None or isinstance(client, str):
        return ()
    return list_unset_of_scheduler(client)


def gate_level(client: Client | Literal["inline"] | None, settings: Settings) -> Level:
    """What versions that differ do: what the site of a client's cluster says, else the setting."""
    site = getattr(getattr(client, "cluster", None), "site", None)
    level: Level | None = getattr(site, "version_gate", None)
    return level or settings.version_gate


def find_differences(
    client: Client | Literal["inline"] | None, settings: Settings, packages: Sequence[str] = ()
) -> list[str]:
    """Name the versions in which a given client's scheduler and workers differ from here.

    Raises
    ------
    VersionMismatchError
        ``run-versions-differ``: a run would break.
    """
    if client is None or isinstance(client, str):
        return []
    found = check_versions(client, gate_level(client, settings), packages)
    return [f"Versions differ: {text}." for text in found]


def find_dashboard(client: Client) -> str:
    """Link to Dask's dashboard; empty where there is none, or the link cannot be made."""
    try:
        return str(client.dashboard_link or "")
    except (KeyError, OSError, ValueError):  # its template may name a variable that is not set
        return ""


def check_client(client: Any) -> None:
    """Refuse what is neither "inline" nor a synchronous, connected Dask client.

    Raises
    ------
    ArgumentError
        ``run-argument``
    """
    if client is None or client == INLINE:
        return
    from distributed import Client
    from distributed.deploy import Cluster

    if isinstance(client, Cluster):
        reason, fix = "it is a cluster", "pass client=cluster.get_client()"
    elif not isinstance(client, Client):
        reason, fix = f"it is {client!r}", f"pass a distributed.Client, or {INLINE!r}"
    elif client.asynchronous:
        reason, fix = "it is asynchronous", "pass Client(address, asynchronous=False)"
    elif client.status != "running":
        reason, fix = f"its status is {client.status!r}", "connect a new client"
    else:
        return
    raise ArgumentError("The client cannot be used.", why=reason, fix=fix)
