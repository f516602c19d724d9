"""How a worker that is told to go hands over what it has.

Dask drops what a worker is doing when the worker gets SIGTERM, is scaled down or reaches its
lifetime; that work is then done twice. Here the worker takes nothing new, ends what it is at,
lets its results be moved to others, and closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import dask
import psutil
from distributed import Worker
from distributed.core import Status
from distributed.protocol.pickle import dumps

from beampipe.worker_environment import DEADLINE, find_margin

if TYPE_CHECKING:
    from distributed import Nanny

logger = logging.getLogger(__name__)

# Slurm and Kubernetes kill 30 s after the signal.
_GRACE_S = 20.0
_LOOK_EVERY_S = 0.05
_MOVE_AGAIN_S = 0.5
_ASK_S = 2.0
_LAST_WORD_S = 1.0
_CLOSING_S = 5.0  # before its job is killed
_HOLD_S = 15.0
_STATUS_CHANGE = "worker-status-change"
_GOING = {Status.closing_gracefully, Status.closing, Status.closed}

_DEPARTURES: weakref.WeakKeyDictionary[Worker, Departure] = weakref.WeakKeyDictionary()


def watch_departure(worker: Worker, owner: str) -> Departure:
    """Make a worker go in good order when it is told to, from now on.

    Parameters
    ----------
    worker : distributed.Worker
        The worker; call this in the thread of its loop.
    owner : str
        For whom; it lasts until the last one calls `leave_departure`.
    """
    departure = _DEPARTURES.get(worker)
    if departure is None:
        departure = _DEPARTURES[worker] = Departure(worker)
    departure.add_owner(owner)
    return departure


def leave_departure(worker: Worker, owner: str) -> None:
    """The opposite of `watch_departure`; what has begun goes on."""
    departure = _DEPARTURES.get(worker)
    if departure is not None and departure.remove_owner(owner):
        _DEPARTURES.pop(worker, None)


class Departure:
    """When and how one worker goes.

    Parameters
    ----------
    worker : distributed.Worker
        The worker.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = weakref.ref(worker)
        self._loop = asyncio.get_running_loop()
        self._owners: set[str] = set()
        self._end = end_of_life(worker)
        self._timer: asyncio.TimerHandle | None = None
        self._handler_before: Any = None
        self._task: asyncio.Task[None] | None = None
        self._holding: asyncio.Task[None] | None = None
        self._closes_nanny = True
        self._bundles: set[Any] = set()
        self._hear_status_before: Callable[..., None] | None = None

    # -- what bundles ask, from their threads -----------------------------------------------

    def is_leaving(self) -> bool:
        """Whether the worker has been told to go, by whomever."""
        worker = self._worker()
        return self._task is not None or worker is None or worker.status in _GOING

    def ends_at(self) -> float:
        """When the last chunk must be done [s since 1970]; infinite where nothing is known."""
        return self._end - self._margin() if self._end is not None else math.inf

    @contextlib.contextmanager
    def bundle(self, key: Any) -> Iterator[None]:
        """Say that a bundle is under way, which ends soon after the worker is told to go."""
        self._bundles.add(key)
        try:
            yield
        finally:
            self._bundles.discard(key)

    # -- owners -----------------------------------------------------------------------------

    def add_owner(self, owner: str) -> None:
        """Begin to listen, with the first one."""
        if not self._owners:
            self._catch_signal()
            self._catch_retirement()
            if self._end is not None:
                self._timer = self._loop.call_later(
                    max(self.ends_at() - time.time(), 0), self._reach_end
                )
        self._owners.add(owner)

    def remove_owner(self, owner: str) -> bool:
        """Listen no more, with the last one; whether it was."""
        self._owners.discard(owner)
        if self._owners:
            return False
        self._release_signal()
        self._release_retirement()
        if self._timer is not None:
            self._timer.cancel()
        return True

    # -- going --------------------------------------------------------------------------------

    def leave(self, reason: str, *, by: float, closes: bool, waits: bool = True) -> None:
        """Begin to go; once begun, further calls change little.

        Parameters
        ----------
        reason : str
            For the log.
        by : float
            When to go in any case [s since 1970].
        closes : bool
            Whether the worker closes, and its nanny; else the nanny does, which asked.
        waits : bool
            Whether results that nobody can take are kept until somebody can, or time is up.
        """
        self._closes_nanny = self._closes_nanny and closes
        if self._task is None:
            self._task = self._loop.create_task(self._leave(reason, by, waits=waits))

    @property
    def has_left(self) -> bool:
        """Whether all that could be moved has been."""
        return self._task is not None and self._task.done()

    async def _leave(self, reason: str, by: float, *, waits: bool) -> None:
        worker = self._worker()
        if worker is None or worker.status == Status.closed:
            return
        logger.info("Worker %s hands over: %s", worker.address_safe, reason)
        with contextlib.suppress(Exception):  # whatever fails, it closes
            if worker.status not in _GOING:
                worker.status = Status.closing_gracefully
            await _end_tasks(worker, by)
            await _move_results(worker, by, waits=waits)
        if self._closes_nanny:
            # In a task of its own: closing takes our plugins away, and this task is theirs.
            restarts = reason == "lifetime" and bool(worker.lifetime_restart)
            worker.loop.add_callback(worker.close, nanny=not restarts, reason=f"beampipe: {reason}")

    def _reach_end(self) -> None:
        worker = self._worker()
        if worker is not None and self._end is not None:
            is_lifetime = worker.lifetime and not _deadline_of_job()
            reason = "lifetime" if is_lifetime else "the job ends"
            by = self._end - _LAST_WORD_S
            if (deadline := _deadline_of_job()) is not None:
                by = max(by, deadline - _CLOSING_S)  # there may be nobody yet to hand over to
            self.leave(reason, by=by, closes=True)

    def _margin(self) -> float:
        return _margin_of(self._end) if self._end is not None else 0.0

    # -- retired by a client or a cluster -----------------------------------------------------

    def _catch_retirement(self) -> None:
        worker = self._worker()
        if worker is not None:
            self._hear_status_before = worker.stream_handlers.get(_STATUS_CHANGE)
            worker.stream_handlers[_STATUS_CHANGE] = self._hear_status

    def _release_retirement(self) -> None:
        worker = self._worker()
        handlers = {} if worker is None else worker.stream_handlers
        if handlers.get(_STATUS_CHANGE) == self._hear_status and self._hear_status_before:
            handlers[_STATUS_CHANGE] = self._hear_status_before

    def _hear_status(self, status: str, **others: Any) -> None:
        """The scheduler says that the worker is to go, or may stay.

        It forgets the worker as soon as the results are elsewhere that the worker has now,
        whatever still runs. So they are not given away until the bundles under way have
        ended, which are about to: they know from the status that the worker goes.
        """
        if self._hear_status_before is not None:
            self._hear_status_before(status=status, **others)
        if status == Status.closing_gracefully.name and self._task is None and self._bundles:
            self._holding = self._loop.create_task(self._hold_results())

    async def _hold_results(self) -> None:
        worker = self._worker()
        if worker is None:
            return
        limit = worker.transfer_outgoing_count_limit
        if not limit:
            return
        worker.transfer_outgoing_count_limit = 0
        try:
            with contextlib.suppress(Exception):
                await _end_tasks(worker, time.time() + _HOLD_S, frozenset(self._bundles))
        finally:
            worker.transfer_outgoing_count_limit = limit

    # -- SIGTERM ------------------------------------------------------------------------------

    def _catch_signal(self) -> None:
        worker = self._worker()
        if worker is None or threading.current_thread() is not threading.main_thread():
            return
        before = signal.getsignal(signal.SIGTERM)
        # The process must be a worker's alone: its own handler is Dask's, or, under a nanny,
        # there is none. In anybody else's process the signal is not ours.
        is_dasks = getattr(before, "__module__", "") == "distributed._signals"
        if is_dasks or (worker.nanny and before == signal.SIG_DFL):
            self._handler_before = before
            signal.signal(signal.SIGTERM, self._hear_signal)

    def _release_signal(self) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) == self._hear_signal:
            signal.signal(signal.SIGTERM, self._handler_before)

    def _hear_signal(self, _number: int, _frame: FrameType | None) -> None:
        # The next one ends the process at once.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        worker = self._worker()
        if worker is None or not _is_connected(worker) or is_over_memory(worker):
            # With nobody to hand over to; or the nanny ends it for its memory, and will not wait.
            os.kill(os.getpid(), signal.SIGTERM)
            return
        by = time.time() + _GRACE_S
        if self._end is not None and self._end - time.time() < 10 * _GRACE_S:
            by = max(by, self._end - _LAST_WORD_S)  # a warning ahead of the end
        self._loop.call_soon_threadsafe(lambda: self.leave("SIGTERM", by=by, closes=True))


async def _end_tasks(worker: Worker, by: float, keys: frozenset[Any] | None = None) -> None:
    """Wait until nothing runs, or none of these, and the scheduler knows it."""
    state = worker.state
    while time.time() < by:
        running = {task.key for task in (*state.executing, *state.long_running)}
        if not (running if keys is None else running & keys):
            break
        await asyncio.sleep(_LOOK_EVERY_S)
    while time.time() < by:
        # News of a result takes another way than the question; it must be there before us.
        known = await worker.scheduler.processing(workers=[worker.address])
        if not any(key in worker.data for key in known[worker.address]):
            return
        await asyncio.sleep(_LOOK_EVERY_S)


async def _move_results(worker: Worker, by: float, *, waits: bool) -> None:
    """Have the scheduler move results to other workers, as long as there are any."""
    while True:
        left = max(by - time.time(), _ASK_S)
        gone = await asyncio.wait_for(
            worker.scheduler.retire_workers(
                workers=[worker.address],
                close_workers=False,
                remove=True,
                stimulus_id=f"beampipe-handover-{time.time()}",
            ),
            left,
        )
        if gone or not worker.data or not waits or time.time() > by:
            return
        # Nobody is there to take them now; a client may, or a worker that is on its way.
        await asyncio.sleep(_MOVE_AGAIN_S)


def _is_connected(worker: Worker) -> bool:
    return not worker.batched_stream.closed()


def is_over_memory(worker: Worker) -> bool:
    """Whether the worker takes so much memory that its nanny ends it with SIGTERM."""
    limit = worker.memory_manager.memory_limit
    fraction = dask.config.get("distributed.worker.memory.terminate")
    if not worker.nanny or not limit or not fraction:
        return False
    return bool(psutil.Process().memory_info().rss > 0.9 * fraction * limit)


def end_of_life(worker: Worker) -> float | None:
    """When a worker ends: by its lifetime, or with its job; None where nothing is known.

    A deadline that is past says nothing of this job, which is there.
    """
    ends = []
    if worker.lifetime:
        ends.append(psutil.Process().create_time() + worker.lifetime)
    if (deadline := _deadline_of_job()) is not None:
        ends.append(deadline)
    return min(ends, default=None)


def _deadline_of_job() -> float | None:
    try:
        deadline = float(os.environ.get(DEADLINE, ""))
    except ValueError:
        return None
    return deadline if time.time() < deadline < math.inf else None


def _margin_of(end: float) -> float:
    return find_margin(end - psutil.Process().create_time())


class Budget:
    """Whether one more chunk of a bundle fits before a time.

    Parameters
    ----------
    ends_at : callable
        The time [s since 1970].
    clock : callable
        Now [s since 1970].
    """

    def __init__(
        self, ends_at: Callable[[], float], clock: Callable[[], float] = time.time
    ) -> None:
        self._ends_at = ends_at
        self._clock = clock
        self._last: float | None = None
        self._longest_s = 0.0

    def is_over(self) -> bool:
        """Ask before each chunk: whether one as long as the longest so far ends too late."""
        now = self._clock()
        if self._last is not None:
            self._longest_s = max(self._longest_s, now - self._last)
        self._last = now
        return now + self._longest_s > self._ends_at()


# -- asked by a nanny -----------------------------------------------------------------------------


def begin_to_leave(by: float, waits: bool, dask_worker: Worker) -> bool:  # noqa: FBT001 (sent by place)
    """Begin to go because the nanny closes; False where nobody watches (runs on the worker)."""
    departure = _DEPARTURES.get(dask_worker)
    if departure is None:
        return False
    departure.leave("the nanny closes", by=by, closes=False, waits=waits)
    return True


def has_left(dask_worker: Worker) -> bool:
    """Whether the worker has nothing left to hand over (runs on the worker)."""
    departure = _DEPARTURES.get(dask_worker)
    return departure is None or departure.has_left


async def let_worker_leave(nanny: Nanny) -> None:
    """Have the worker of a nanny that closes hand over first; returns when it has.

    Dask's nanny takes its plugins away before it stops its worker, and waits for them.
    """
    address = nanny.worker_address
    process = nanny.process
    if nanny.status != Status.closing or address is None or process is None:
        return
    by = time.time() + _GRACE_S
    # In the process of a client, a cluster closes all its nannies, and nobody is left to take.
    waits = "distributed.cli.dask_worker" in sys.modules
    with contextlib.suppress(Exception):  # a worker that does not answer is stopped
        async with nanny.rpc(address) as worker:
            is_going = await _ask(worker, begin_to_leave, by, waits)
            while is_going and time.time() < by and process.is_alive():
                if await _ask(worker, has_left):
                    return
                await asyncio.sleep(_LOOK_EVERY_S)


async def _ask(worker: Any, function: Callable[..., bool], *args: Any) -> bool:
    question = worker.run(function=dumps(function), args=dumps(args))
    answer = await asyncio.wait_for(question, _ASK_S)
    return bool(answer["status"] == "OK" and answer["result"])
