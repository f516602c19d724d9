"""For workers that go in good order without a run of ours: a preload for ``dask worker``.

``dask worker --preload beampipe.execution.preload --preload-nanny beampipe.execution.preload``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed import Nanny, Worker

from beampipe.execution.handover import leave_departure, let_worker_leave, watch_departure

if TYPE_CHECKING:
    from collections.abc import Awaitable

_OWNER = "preload"


def dask_setup(server: Any) -> None:
    """Make a worker hand over when it is told to go (Dask calls it)."""
    if isinstance(server, Worker):
        watch_departure(server, _OWNER)


def dask_teardown(server: Any) -> Awaitable[None] | None:
    """Let the worker of a nanny that closes hand over first (Dask calls it)."""
    if isinstance(server, Nanny):
        return let_worker_leave(server)
    if isinstance(server, Worker):
        leave_departure(server, _OWNER)
    return None
