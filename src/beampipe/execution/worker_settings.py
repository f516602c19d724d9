"""Settings that make a worker quick: what a running process still takes, and word of the rest.

Workers of ours start with all of them (`beampipe.runs.embedded`). On a cluster that is given the
workers run already, and may be other people's, too: they are neither restarted nor changed for
longer than the run. What could not be set is named in the run's metrics.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from beampipe.reading.allocator import tune_allocator
from beampipe.worker_environment import THREADS

if TYPE_CHECKING:
    from distributed import Client, Worker

PROFILER = "distributed.worker.profile.interval"
PROFILE_EVERY_MS = 250.0
"""Each look at the stacks takes Python's lock from the processor; Dask's own is every 10 ms."""
SWITCH_EVERY_S = 0.0005
"""How long a thread that computes keeps Python's lock from one that asks; Python's own is 5 ms.

The loop that sends and receives results asks at every read and write, and waits so long each time
beside a processor that keeps the lock.
"""
SATURATION = "distributed.scheduler.worker-saturation"
ENOUGH_SATURATION = 10.0
"""Below it, a worker waits for the scheduler between small tasks; Dask's own is 1.1."""
# It may refuse, be too old or be lost, which the run will find out by itself.
_NO_ANSWER = (OSError, AttributeError, RuntimeError, LookupError, TypeError, ValueError)
UNSET = "unset_"
"""Prefix of a bundle's metric for a setting that its worker does not have."""


def slow_profiler(worker: Worker) -> Callable[[], None]:
    """Let Dask's profiler of a worker look less often; gives what puts it back.

    Parameters
    ----------
    worker : distributed.Worker
        The worker; call this, and what is given back, in the thread of its loop.
    """
    clock = worker.periodic_callbacks.get("profile")
    before = getattr(clock, "callback_time", None)
    if clock is None or before is None or before >= PROFILE_EVERY_MS:
        return lambda: None
    clock.callback_time = PROFILE_EVERY_MS

    def restore() -> None:
        if clock.callback_time == PROFILE_EVERY_MS:  # else somebody has another wish by now
            clock.callback_time = before

    return restore


def switch_often() -> Callable[[], None]:
    """Let a worker's loop have Python's lock soon when it asks; gives what puts it back."""
    before = sys.getswitchinterval()
    if before <= SWITCH_EVERY_S:
        return lambda: None
    sys.setswitchinterval(SWITCH_EVERY_S)
    ours = sys.getswitchinterval()

    def restore() -> None:
        if sys.getswitchinterval() == ours:
            sys.setswitchinterval(before)

    return restore


def list_unset(worker: Worker) -> tuple[str, ...]:
    """Name what a worker could not be given: ``"allocator"``, ``"threads"``, ``"profiler"``."""
    clock = worker.periodic_callbacks.get("profile")
    unset = {
        "allocator": not tune_allocator(),
        "threads": _may_start_threads(),
        "profiler": clock is not None and clock.callback_time < PROFILE_EVERY_MS,
    }
    return tuple(name for name, is_unset in unset.items() if is_unset)


def _may_start_threads() -> bool:
    """Whether NumPy's libraries may start a thread for every core of the machine."""
    if (os.cpu_count() or 1) == 1:
        return False
    return not any(os.environ.get(name) for name in THREADS[:3])


def list_unset_of_scheduler(client: Client) -> tuple[str, ...]:
    """Name what a cluster's scheduler has not: ``"saturation"``; nothing if it does not say."""
    import dask  # 0.1 s, and the names above are wanted earlier

    try:
        # A function of Dask's own: the scheduler's environment need not have Beampipe.
        value = client.run_on_scheduler(dask.config.get, SATURATION)
        return () if float(value) >= ENOUGH_SATURATION else ("saturation",)
    except _NO_ANSWER:
        return ()
