"""Retires workers: they end what they are at, hand over what they have, and close.

Dask's own retirement forgets a worker as soon as its results are elsewhere, whatever still runs.
Where a worker has no result yet, what it is at would begin anew on another one, for ever where
workers go as soon as others come.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection

from distributed import Scheduler
from distributed.core import Status

# Tasks of others may take longer, and are then done again.
_END_TASKS_S = 30.0
_MOVE_S = 300.0
_LOOK_EVERY_S = 0.1


async def retire_workers(scheduler: Scheduler, addresses: Collection[str]) -> set[str]:
    """Retire workers; those that could not go, as nobody can take what they have, work on.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    addresses : collection of str
        The workers'.

    Returns
    -------
    set of str
        Addresses of those that are still there.
    """
    gone: Collection[str] = ()
    try:
        await _end_tasks(scheduler, addresses)
        work = scheduler.retire_workers(list(addresses), close_workers=True, remove=True)
        gone = await asyncio.wait_for(work, _MOVE_S)
    finally:
        kept = {each for each in addresses if each not in gone and each in scheduler.workers}
        for address in kept:
            _tell(scheduler, address, Status.running)
    return kept


async def _end_tasks(scheduler: Scheduler, addresses: Collection[str]) -> None:
    """Let them begin nothing more, and wait until they say that nothing runs."""
    busy = {each for each in addresses if each in scheduler.workers}
    for address in busy:
        _tell(scheduler, address, Status.closing_gracefully)
    told_at = time.time()
    while busy and time.time() < told_at + _END_TASKS_S:
        await asyncio.sleep(_LOOK_EVERY_S)
        busy = {each for each in busy if _is_busy(scheduler, each, told_at)}


def _is_busy(scheduler: Scheduler, address: str, told_at: float) -> bool:
    """Whether it runs something, as it said last; what it said before it was told counts not."""
    worker = scheduler.workers.get(address)
    if worker is None or not worker.processing:
        return False
    return worker.last_seen <= told_at or bool(worker.executing)


def _tell(scheduler: Scheduler, address: str, status: Status) -> None:
    """Change a worker's status, here and there, as Dask's scheduler does it."""
    stimulus = f"beampipe-retire-{time.time()}"
    scheduler.handle_worker_status_change(status, address, stimulus)
    message = {"op": "worker-status-change", "status": status.name, "stimulus_id": stimulus}
    with contextlib.suppress(KeyError):  # it has just gone
        scheduler.stream_comms[address].send(message)
