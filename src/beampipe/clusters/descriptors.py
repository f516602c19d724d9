"""How many connections the scheduler's process may have open, and for how many workers they do."""

from __future__ import annotations

import resource

from distributed import Scheduler

# Many systems let a process open 1,024 files unless it asks for more. Not all that a system may
# allow, since some programs that are started close every number up to the limit.
_MOST = 131_072
# A worker keeps its stream open and the connection of its heartbeats.
_EACH = 2
# Files, dashboards, clients, libraries.
_BESIDES = 200
# Dask's scheduler keeps half of what there is for calls to workers, which are rare; with that, a
# process that may open 20,000 files could not serve 10,000 workers.
_CALLS = 8


def raise_limit() -> int:
    """Let this process open as many files as its system allows, and tell how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MOST if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def make_room(scheduler: Scheduler) -> None:
    """Leave nearly all connections to workers; call this before the scheduler is started."""
    scheduler.rpc.limit = max(raise_limit() // _CALLS, 16)


def count_served() -> int:
    """For how many workers the connections of this process do."""
    limit = raise_limit()
    return (limit - limit // _CALLS - _BESIDES) // _EACH
