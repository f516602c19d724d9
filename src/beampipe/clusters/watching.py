"""Keeps a cluster's list of its workers true, however many look at the same scheduler.

Dask's scheduler tells of workers that come and go to whoever asked last: its plugin has one name,
and the next one who subscribes takes its place. A second shell that looks at a cluster would so
freeze the list of the first one, where ``wait_for_workers`` then waits for ever. So the list is
asked for, too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

_SHORTEST_S: Final = 1.0
_PER_WORKER_S: Final = 0.01  # a thousand workers are a megabyte
_OVER: Final = {"closing", "closed"}
_LOST: Final = (OSError, TimeoutError, ValueError, RuntimeError)


async def watch_workers(find_cluster: Callable[[], Any], comm: Any) -> None:
    """Keep ``scheduler_info`` of a cluster true until it is closed, or nobody has it any more.

    Parameters
    ----------
    find_cluster : callable
        A weak reference to it.
    comm : distributed.comm.Comm
        Through which the scheduler may tell of changes, as soon as they happen.
    """
    reading: asyncio.Future[Any] | None = asyncio.ensure_future(comm.read())
    try:
        while not _is_over(cluster := find_cluster()):
            scheduler, known = (
                cluster.scheduler_comm,
                len(cluster.scheduler_info.get("workers", ())),
            )
            del cluster
            wait_s = max(_SHORTEST_S, _PER_WORKER_S * known)
            if reading is None:
                await asyncio.sleep(wait_s)
            else:
                await asyncio.wait({reading}, timeout=wait_s)
                if reading.done():
                    is_lost = reading.cancelled() or reading.exception() is not None
                    reading = None if is_lost else asyncio.ensure_future(comm.read())
            if not _is_over(find_cluster()):
                await _ask(find_cluster, scheduler)
    finally:
        if reading is not None:
            reading.cancel()
        await comm.close()


def _is_over(cluster: Any) -> bool:
    return cluster is None or getattr(cluster.status, "name", cluster.status) in _OVER


async def _ask(find_cluster: Callable[[], Any], scheduler: Any) -> None:
    """Ask once; a scheduler that gives no answer may be back later."""
    with contextlib.suppress(*_LOST):
        told = await scheduler.identity()
        if not _is_over(cluster := find_cluster()):
            cluster.scheduler_info = type(cluster.scheduler_info)(told)
