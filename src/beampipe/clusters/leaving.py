"""Closes clusters when their process goes: at its end, on SIGTERM, and when the terminal closes."""

from __future__ import annotations

import atexit
import contextlib
import signal
import sys
import threading
import weakref
from types import FrameType
from typing import Any

_GIVE_UP_S = 30.0
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_OPEN: weakref.WeakSet[Any] = weakref.WeakSet()


def close_with_process(cluster: Any) -> None:
    """See to it that a cluster does not outlive this process, however that ends (but SIGKILL)."""
    if not _OPEN:
        atexit.unregister(_close_all)
        atexit.register(_close_all)
        _catch_signals()
    _OPEN.add(cluster)


def forget(cluster: Any) -> None:
    """It is closed; after the last one signals mean again what they did."""
    _OPEN.discard(cluster)
    if not _OPEN and threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is _leave:
                signal.signal(number, signal.SIG_DFL)


def _close_all() -> None:
    for cluster in list(_OPEN):
        with contextlib.suppress(Exception):  # the others are to be closed, too
            cluster.close(timeout=_GIVE_UP_S)


def _catch_signals() -> None:
    """Let a signal end the process by way of its `with` blocks; a handler of others stays."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _leave)


def _leave(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # the next one ends it at once
    sys.exit(128 + number)
