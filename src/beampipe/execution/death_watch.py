"""Hears of workers' deaths at once, then finds out what the dead were at.

The scheduler tells of a worker that is gone within 50 ms, with the tasks that were on it. How
its process ended is known to its nanny, who tells on a topic of the run; what it was at lies in
its crumbs, which the nanny, this process or another worker of the same host can read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from distributed.comm import get_address_host

from beampipe.execution.breadcrumbs import drop_crumbs, read_crumbs
from beampipe.execution.exit_notices import (
    CrumbFacts,
    ExitNotices,
    from_json,
    read_notice,
    to_json,
)
from beampipe.execution.pool import Crumb, DeathReport, Key, WorkerDied
from beampipe.execution.topics import listen, stop_listening

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

Put = Callable[[WorkerDied | DeathReport], None]

_PATIENCE_S = 3.0  # for all that there is to be found out about a death
_ASK_S = 1.0  # for one question
_NANNY_FIRST_S = 0.4  # a nanny looks every 0.1 s
_NEIGHBOURS = 2
_MOST_NOTED = 1000
_MEMORY_TOPIC = "worker-restart-memory"  # where Dask's nannies say whom they end
_NEAR_LIMIT = 0.8

_Notice = tuple[dict[str, Any], tuple[Crumb, ...] | None]


class DeathWatch:
    """Tells of workers that died with bundles of a run on them.

    Parameters
    ----------
    client : distributed.Client
        A synchronous one; used and left as it was.
    prefix : str
        What the keys of the run's bundles begin with: ``{prefix}-bundle-``.
    put : callable
        Takes a `WorkerDied` at once, and then exactly one `DeathReport`; called in the
        client's thread.
    """

    def __init__(self, client: Client, prefix: str, put: Put) -> None:
        self._client = client
        self._prefix = prefix
        self._put = put
        self._plugin = ExitNotices(prefix)
        self._is_closed = False
        self._notices: dict[str, _Notice] = {}
        self._arrived: dict[str, asyncio.Event] = {}
        self._ended_for_memory: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = {
            "all": self._hear,
            self._plugin.name: self._hear_notice,
            _MEMORY_TOPIC: self._hear_memory,
        }
        for topic, listener in self._heard.items():
            listen(client, topic, listener)
        # Nannies that cannot import us make reports poorer and nothing else.
        with contextlib.suppress(Exception):
            client.register_plugin(self._plugin)

    def close(self) -> None:
        """Listen no more; what was not found out by now is not told."""
        self._is_closed = True
        for topic, listener in self._heard.items():
            with contextlib.suppress(Exception):  # the scheduler may be gone
                stop_listening(self._client, topic, listener)
        with contextlib.suppress(Exception):  # so may the client, and its loop
            if self._client.loop is not None:
                self._client.loop.add_callback(self._cancel)
            self._client.unregister_worker_plugin(self._plugin.name, nanny=True)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    # -- what is heard, in the client's thread ----------------------------------------------

    def _hear(self, message: Any) -> None:
        action, worker = message.get("action"), str(message.get("worker"))
        if action == "add-worker":  # what was told of another worker at this address is past
            self._notices.pop(worker, None)
            self._ended_for_memory.pop(worker, None)
        if action != "remove-worker" or self._is_closed:
            return
        mine = f"{self._prefix}-bundle-"
        keys = tuple(
            key
            for key in message["processing-tasks"]
            if isinstance(key, str) and key.startswith(mine)
        )
        if keys:
            telling = self._tell(worker, keys, is_expected=bool(message.get("expected")))
            task = asyncio.get_running_loop().create_task(telling)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _hear_notice(self, message: Any) -> None:
        worker, seen, begun = read_notice(message)
        # Dask may add a plugin twice to a nanny that registers at this moment; the second of them
        # finds no crumbs any more, and knows no more than the first.
        if begun is None and worker in self._notices:
            return
        _keep(self._notices, worker, (seen, begun))
        if (arrived := self._arrived.get(worker)) is not None:
            arrived.set()

    def _hear_memory(self, message: Any) -> None:
        _keep(self._ended_for_memory, str(message["worker"]), int(message["rss"]))

    # -- what is told -----------------------------------------------------------------------

    async def _tell(self, worker: str, keys: tuple[Key, ...], *, is_expected: bool) -> None:
        reason = "it was retired" if is_expected else await self._reason_to_go(worker)
        self._say(WorkerDied(worker, keys, is_expected=reason is not None))
        if reason is not None:
            self._say(DeathReport(worker, None, {"text": f"told to go: {reason}"}))
            return
        seen: dict[str, Any] = {}
        begun = None
        with contextlib.suppress(Exception):  # the report comes, however little it says
            seen, begun = await self._find_out(worker)
        seen["text"] = describe_death(seen)
        self._say(DeathReport(worker, begun, seen))

    def _say(self, event: WorkerDied | DeathReport) -> None:
        if self._is_closed:
            return
        try:
            self._put(event)
        except Exception:  # it is told to others as well
            logger.exception("A worker's death could not be told")

    async def _reason_to_go(self, worker: str) -> str | None:
        """Why a worker said that it closes; a dead one said nothing.

        The scheduler calls a removal expected only if it was retired. A worker whose nanny is
        stopped, or that is restarted, closes in its right mind, and its work is innocent.
        """
        events = await _answer(self._client.get_events(worker)) or ()
        for event in reversed(list(events)):
            message = event[1] if isinstance(event[1], dict) else {}
            action = message.get("action")
            if action == "add-worker":
                return None
            if action == "closing-worker":
                return str(message.get("reason", "it was closed"))
        return None

    async def _find_out(self, worker: str) -> _Notice:
        arrived = self._arrived.setdefault(worker, asyncio.Event())
        if worker in self._notices:
            arrived.set()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_S
        try:
            facts = None
            if not await _is_set(arrived, _NANNY_FIRST_S):
                facts = await self._read_crumbs_of(worker)
            if facts is None or facts.has_nanny:
                await _is_set(arrived, deadline - loop.time())
            seen, begun = self._notices.pop(worker, ({}, None))
            memory = self._ended_for_memory.pop(worker, None)
            if memory is not None:
                seen |= {"memory_bytes": memory, "is_memory_limit": True}
            return seen, begun if begun is not None or facts is None else facts.begun
        finally:
            self._arrived.pop(worker, None)

    async def _read_crumbs_of(self, worker: str) -> CrumbFacts | None:
        """Ask whoever is on the host: this process, or another worker."""
        facts = from_json(tell_crumbs_here(self._prefix, worker))
        if facts is not None:
            return facts
        workers = await _answer(self._client.nthreads()) or {}
        host = get_address_host(worker)
        neighbours = [w for w in workers if w != worker and get_address_host(w) == host]
        for neighbour in neighbours[:_NEIGHBOURS]:
            asked = self._client.run(
                tell_crumbs, self._prefix, worker, workers=[neighbour], on_error="ignore"
            )
            facts = from_json((await _answer(asked) or {}).get(neighbour))
            if facts is not None:
                return facts
        return None


def _keep(store: dict[str, Any], worker: str, value: Any) -> None:
    """Note something of a worker; most of them never held anything of ours."""
    store[worker] = value
    while len(store) > _MOST_NOTED:
        store.pop(next(iter(store)))


async def _is_set(event: asyncio.Event, timeout_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)
    return event.is_set()


async def _answer(question: Awaitable[Any]) -> Any:
    """What a cluster in trouble answers in time; None else."""
    with contextlib.suppress(Exception):
        return await asyncio.wait_for(question, _ASK_S)
    return None


def tell_crumbs(prefix: str, worker: str) -> dict[str, Any] | None:
    """Read the crumbs of a worker that is gone from this host (what a neighbour runs)."""
    crumbs = read_crumbs(prefix, worker)
    if crumbs is not None and not crumbs.is_alive:
        drop_crumbs(crumbs)
    return to_json(crumbs)


tell_crumbs_here = tell_crumbs  # what this process finds, which may be on another host


def describe_death(seen: dict[str, Any]) -> str:
    """Say in words how a worker ended, and note what the words are made of.

    Adds ``signal`` to what was seen, and ``is_out_of_memory``.
    """
    code, memory, limit = (
        seen.get(name) for name in ("exit_code", "memory_bytes", "memory_limit_bytes")
    )
    is_near = bool(memory and limit and memory > _NEAR_LIMIT * limit)
    is_memory_limit = bool(seen.pop("is_memory_limit", False))
    if code is None:
        how = "its exit code is not available"
    elif code < 0:
        seen["signal"] = -code
        how = f"killed by signal {-code}{_signal_name(-code)}"
    else:
        how = f"exited with code {code}"
    seen["is_out_of_memory"] = is_memory_limit or (is_near and code == -signal.SIGKILL)
    if is_memory_limit:
        how = "ended by Dask's nanny: memory limit reached"
    if memory:
        of = f" of {_gib(limit)}" if limit else ""
        how += f", at {_gib(memory)}{of}"
    return how


def _signal_name(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.2f} GiB"
