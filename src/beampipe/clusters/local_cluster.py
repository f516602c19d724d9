"""Workers of Dask's own local cluster, kept at the number that was asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from distributed import LocalCluster
from distributed.core import Status
from tornado.ioloop import PeriodicCallback

_LOOK_EVERY_S = 1.0


def keep_workers(cluster: LocalCluster) -> PeriodicCallback:
    """Start workers anew that Dask gave up, as long as the cluster is open.

    A worker that dies is restarted by its nanny, who gives up where it dies again before it has
    reported back (of its first chunk, say). The cluster gives a nanny up whose worker is not there
    15 s (``distributed.deploy.lost-worker-timeout``) after a death, be it that a start takes so
    long on a busy machine, or that it died once more. Nobody brings another in its place: in the
    end there is no worker at all, and what is to be done waits for ever.

    Parameters
    ----------
    cluster : distributed.LocalCluster
        One that is open, or will be.
    """
    guard = PeriodicCallback(partial(_replace_lost, cluster), _LOOK_EVERY_S * 1000)
    cluster.periodic_callbacks[_name(guard)] = guard  # Dask starts it with the cluster
    if cluster.status is Status.running:
        _soon(cluster, guard.start)
    return guard


@contextlib.contextmanager
def kept_workers(cluster: LocalCluster) -> Iterator[None]:
    """Do that for a while, with the cluster of somebody else."""
    guard = keep_workers(cluster)
    try:
        yield
    finally:
        del cluster.periodic_callbacks[_name(guard)]
        with contextlib.suppress(RuntimeError):  # its loop is closed
            _soon(cluster, guard.stop)


def _name(guard: PeriodicCallback) -> str:
    return f"beampipe-keep-workers-{id(guard)}"  # several runs may be on one cluster


def _soon(cluster: LocalCluster, call: Callable[[], None]) -> None:
    loop: Any = cluster.loop
    loop.add_callback(call)


async def _replace_lost(cluster: LocalCluster) -> None:
    if cluster.status is not Status.running:
        return
    for name, nanny in list(cluster.workers.items()):
        if nanny.status in {Status.failed, Status.closed}:
            del cluster.workers[name]
    with contextlib.suppress(OSError, RuntimeError):  # it is tried again
        await cluster._correct_state()  # noqa: SLF001 (what `scale` calls to start the missing)
