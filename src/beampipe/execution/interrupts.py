"""Ctrl-C that lets a commit finish, and tells how to go on."""

from __future__ import annotations

import contextlib
import shlex
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from beampipe.errors import RunInterruptedError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, where it would end the process at once.

    A handler of the user's own is left in place.
    """
    is_ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    )
    if is_ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def resumable(run_file: Path) -> Iterator[None]:
    """Tell whoever interrupts the block what to go on with, once there is a run.

    Parameters
    ----------
    run_file : Path
        The run's ``run.json``, which may come to be within the block.

    Raises
    ------
    RunInterruptedError
        ``run-interrupted``: Ctrl-C or SIGTERM.
    """
    try:
        with terminable():
            yield
    except RunInterruptedError:
        raise
    except KeyboardInterrupt as error:
        if not run_file.exists():
            raise
        raise interrupted(run_file.parent) from error


def interrupted(path: Path) -> RunInterruptedError:
    """The error of a run that the user ended."""
    return RunInterruptedError(
        "The run was interrupted; what was done is kept.",
        fix=f"`beampipe resume {shlex.quote(str(path))}` goes on with it",
        run_dir=path,
    )


@contextlib.contextmanager
def deferred_interrupt(event: threading.Event) -> Iterator[None]:
    """Set `event` at the first SIGINT or SIGTERM; the second raises KeyboardInterrupt.

    Signals reach the main thread only, so elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    heard: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        heard.append(number)
        # The second may come while the first is at `event.set`, which must not be entered twice.
        if event.is_set() or len(heard) > 1:
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: it was not set from Python, and cannot be set back to what it was.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
