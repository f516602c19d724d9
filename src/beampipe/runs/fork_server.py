"""One process that has imported what workers need, from which they are forked.

A worker started from nothing imports Dask and the physics packages for a second or two, each
one for itself, and only when it is asked for. A fork server (Python's own) does it once, while
the driver is still planning, and every worker is there in a few hundredths of a second, also
one that takes the place of a dead one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

# Nothing that these import starts a thread, so all of it can be forked. (But for pyarrow, whose
# jemalloc has one of its own, and knows what to do about it in a child.) Dask comes first: when it
# is imported, tblib has all errors that there are pickled with all that they came from, and what
# uproot raises cannot be.
_PRELOAD = ["distributed", "beampipe.runs.worker_imports"]

_DASK = "__DASK"  # what it sets in passing
_LEFT_BY_DASK = {"MALLOC_TRIM_THRESHOLD_": "65536"}

_LOCK = threading.RLock()
_users = 0
_began_with: object = None


@contextlib.contextmanager
def warm_fork_server(environment: Mapping[str, str], *, keep: bool = False) -> Iterator[None]:
    """Have a fork server while the block lasts.

    Where there can be none, workers are started from nothing, which takes longer.

    Parameters
    ----------
    environment : dict of str to str
        Variables that workers get unless they are set already.
    keep : bool
        Leave it running for the next block. It ends with this process at the latest.
    """
    global _users  # noqa: PLW0603 (there is one fork server in a process)
    with _LOCK:
        _users += 1
        if _users == 1:
            _start(environment)
    try:
        yield
    finally:
        with _LOCK:
            _users -= 1
            if _users == 0 and not keep:
                _stop()


def is_warm() -> bool:
    """Whether a fork server of ours is there."""
    return _began_with is not None and _pid() is not None


def _start(environment: Mapping[str, str]) -> None:
    global _began_with  # noqa: PLW0603 (as above)
    if sys.platform != "linux":  # Apple's libraries do not bear to be forked
        return
    # What workers inherit from it must be what they would inherit from this process now.
    variables = {name: text for name, text in os.environ.items() if not name.startswith(_DASK)}
    wanted = (variables, tuple(sys.path), Path.cwd())
    if is_warm() and _began_with != wanted:
        _stop()
    if _pid() is not None:  # still warm, or the user's own
        return
    forkserver.set_forkserver_preload(_PRELOAD)
    # It has a socket below TMPDIR, and a path may be too long for a socket.
    with contextlib.suppress(OSError), added_environment(environment), shielded_from_interrupt():
        forkserver.ensure_running()
        _began_with = wanted


def _stop() -> None:
    """End it, also when it is still importing."""
    global _began_with  # noqa: PLW0603 (as above)
    pid = _pid()
    if _began_with is not None and pid is not None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            forkserver._forkserver._stop()  # type: ignore[attr-defined]  # noqa: SLF001
    _began_with = None


def _pid() -> int | None:
    """The fork server's process id; Python has no public way to ask."""
    pid = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
    return pid if isinstance(pid, int) else None


@contextlib.contextmanager
def added_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables that nobody has set; afterwards these are as they were.

    Dask, too, sets what workers are to inherit in this process's own environment, and leaves it
    there; what an earlier cluster of the process left is not what somebody wanted.
    """
    before = {name: os.environ.get(name) for name in variables}
    for name, value in variables.items():
        if os.environ.get(name, _LEFT_BY_DASK.get(name)) == _LEFT_BY_DASK.get(name):
            os.environ[name] = value
    try:
        yield
    finally:
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text


@contextlib.contextmanager
def shielded_from_interrupt() -> Iterator[None]:
    """Start processes and threads that a Ctrl-C in the terminal does not reach.

    It goes to the whole foreground group, and the workers must live until what they hold is
    committed. A blocked signal stays blocked in threads and processes that are started here,
    also in workers that are restarted later; for this thread it comes through at the end.
    """
    # Its start unblocks the signal in the thread that it happens in, so it comes first.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
