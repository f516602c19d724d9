"""What a nanny tells of its worker's end: how the process ended, its memory, what it was at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
from distributed.core import Status
from distributed.diagnostics.plugin import NannyPlugin

from beampipe.execution.breadcrumbs import Crumbs, drop_crumbs, read_crumbs
from beampipe.execution.handover import let_worker_leave
from beampipe.execution.pool import Crumb

if TYPE_CHECKING:
    from distributed import Nanny
    from distributed.nanny import WorkerProcess
    from distributed.process import AsyncProcess

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.1
# What Dask's nanny says of a process whose end somebody else was told of.
_NOBODY_KNOWS = 255


@dataclass(slots=True)
class _Watched:
    """A worker's process as it was when the nanny last looked.

    Attributes
    ----------
    owner : WorkerProcess
        Dask's keeper of one process after the other; it has the address of the latest worker.
    before : str or None
        The address that it had when this process began: of an earlier worker.
    """

    process: AsyncProcess
    pid: int
    owner: WorkerProcess
    before: str | None
    worker: str | None = None
    memory_bytes: int | None = None

    def find_worker(self) -> str | None:
        """The worker's address, also of one that ended before anybody looked; None if none came."""
        latest = self.owner.worker_address
        return self.worker or (latest if latest != self.before else None)


class ExitNotices(NannyPlugin):
    """Tells of the end of a nanny's worker, on a topic of the run.

    It never restarts a worker, and changes nothing in the nanny: it looks at the process ten
    times a second, which costs a nanny 0.1 % of a core at most.

    Parameters
    ----------
    prefix : str
        The run's.
    """

    restart = False

    def __init__(self, prefix: str) -> None:
        self.name = f"{prefix}-exits"
        self.prefix = prefix
        self._task: asyncio.Task[None] | None = None

    def setup(self, nanny: Nanny) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._look(nanny))

    async def teardown(self, nanny: Nanny) -> None:
        """Look no more: the run is over, or the nanny closes; then the worker hands over first."""
        if self._task is not None:
            self._task.cancel()
        await let_worker_leave(nanny)

    async def _look(self, nanny: Nanny) -> None:
        watched: _Watched | None = None
        while True:
            try:
                watched = self._look_once(nanny, watched)
            except Exception:  # a nanny must live, whatever is wrong with us
                logger.exception("Beampipe cannot see how the worker of %r does", nanny)
                watched = None
            await asyncio.sleep(_LOOK_EVERY_S)

    def _look_once(self, nanny: Nanny, watched: _Watched | None) -> _Watched | None:
        if watched is not None and watched.process.exitcode is not None:
            watched.worker = watched.find_worker()
            if watched.worker is not None:
                self._tell(nanny, watched)
            watched = None
        process = None if nanny.process is None else nanny.process.process
        if process is None or process.pid is None or nanny.process is None:
            return watched
        if watched is None:
            if process.exitcode is not None:  # told already; the nanny has yet to hear of it
                return None
            owner = nanny.process
            watched = _Watched(process, process.pid, owner, owner.worker_address)
        if watched.process is process and nanny.process.status == Status.running:
            watched.worker = nanny.process.worker_address
        with contextlib.suppress(psutil.Error, OSError):
            # Zero is what a process has that is dead and not yet buried.
            memory = psutil.Process(watched.pid).memory_info().rss
            watched.memory_bytes = memory or watched.memory_bytes
        return watched

    def _tell(self, nanny: Nanny, watched: _Watched) -> None:
        crumbs = read_crumbs(self.prefix, str(watched.worker), watched.pid)
        if crumbs is not None:
            drop_crumbs(crumbs)
        code = watched.process.exitcode
        ended_by_nanny = getattr(nanny.memory_manager, "_last_terminated_pid", None)
        seen = {
            "exit_code": None if code is None or code == _NOBODY_KNOWS else code,
            "memory_bytes": watched.memory_bytes,
            "memory_limit_bytes": nanny.memory_manager.memory_limit,
            "is_memory_limit": ended_by_nanny == watched.pid,
        }
        with contextlib.suppress(RuntimeError):  # the nanny itself is closing
            nanny.log_event(self.name, write_notice(str(watched.worker), seen, crumbs))


def write_notice(worker: str, seen: Mapping[str, Any], crumbs: Crumbs | None) -> dict[str, str]:
    """What goes through the scheduler, which takes no text that is not quite UTF-8."""
    notice = {"worker": worker, "seen": dict(seen), "crumbs": to_json(crumbs)}
    return {"beampipe": json.dumps(notice)}


def read_notice(message: Any) -> tuple[str, dict[str, Any], tuple[Crumb, ...] | None]:
    """The inverse of `write_notice`: worker, what was seen, the chunks under way.

    Raises
    ------
    ValueError, KeyError, TypeError
        It is none of ours.
    """
    notice = json.loads(message["beampipe"])
    facts = from_json(notice["crumbs"])
    return str(notice["worker"]), dict(notice["seen"]), None if facts is None else facts.begun


@dataclass(frozen=True, slots=True)
class CrumbFacts:
    """What another process read of a worker's crumbs."""

    has_nanny: bool
    begun: tuple[Crumb, ...] | None


def to_json(crumbs: Crumbs | None) -> dict[str, Any] | None:
    """What a message holds of crumbs."""
    if crumbs is None:
        return None
    begun = crumbs.begun
    rows = None if begun is None else [[c.bundle, *c.chunk, list(c.columns)] for c in begun]
    return {"has_nanny": crumbs.has_nanny, "begun": rows}


def from_json(data: Mapping[str, Any] | None) -> CrumbFacts | None:
    """The inverse of `to_json`."""
    if data is None:
        return None
    rows = data["begun"]
    begun = None
    if rows is not None:
        begun = tuple(Crumb(int(b), (str(u), int(k)), tuple(cols)) for b, u, k, cols in rows)
    return CrumbFacts(bool(data["has_nanny"]), begun)
