"""How much of a processor's time goes into filling histograms.

The `fill` of the histogram classes is wrapped in a clock while a chunk is at work. That changes
nothing else: what goes in, what comes out and what is raised pass through. The class is as it was
when the last chunk of the process has ended. In threads that watch nothing (a worker may be
shared) the wrapper only calls on.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

# hist's own comes first: it sorts out names and weights before it calls boost-histogram's.
_CLASSES = (("hist.basehist", "BaseHist"), ("boost_histogram", "Histogram"))
_LOCAL = threading.local()
_LOCK = threading.Lock()
_watching = 0
_wrapped: list[tuple[type, Any, Any]] = []


def _no_reading() -> float:
    return 0.0


@dataclass(slots=True)
class FillClock:
    """Seconds that fills of this thread took so far, without what was read within them.

    A column that is first used as an argument of `fill` is read there.
    """

    read_s: Callable[[], float] = _no_reading
    seconds: float = 0.0
    is_running: bool = False


@contextlib.contextmanager
def watch_fills(read_s: Callable[[], float] = _no_reading) -> Iterator[FillClock]:
    """Measure the fills of this thread while the block lasts.

    Parameters
    ----------
    read_s : callable
        Seconds spent reading so far, which do not count.

    Yields
    ------
    FillClock
        Its `seconds` grow with every fill.
    """
    clock = FillClock(read_s)
    before: FillClock | None = getattr(_LOCAL, "clock", None)
    _enter()
    _LOCAL.clock = clock
    try:
        yield clock
    finally:
        _LOCAL.clock = before
        _leave()


def _enter() -> None:
    global _watching  # noqa: PLW0603 (the classes are shared by all threads)
    with _LOCK:
        _watching += 1
        if not _wrapped:
            _wrap_classes()


def _leave() -> None:
    global _watching  # noqa: PLW0603 (as above)
    with _LOCK:
        _watching -= 1
        if _watching:
            return
        for owner, wrapper, original in _wrapped:
            if vars(owner).get("fill") is wrapper:  # else somebody wrapped ours, who may keep it
                owner.fill = original  # type: ignore[attr-defined]
        _wrapped.clear()


def _wrap_classes() -> None:
    """Wrap what is loaded; a processor that imports hist later than this is not measured."""
    for module, name in _CLASSES:
        owner = getattr(sys.modules.get(module), name, None)
        original = vars(owner).get("fill") if isinstance(owner, type) else None
        if isinstance(owner, type) and callable(original):
            wrapper = _make_wrapper(original)
            owner.fill = wrapper  # type: ignore[attr-defined]
            _wrapped.append((owner, wrapper, original))


def _make_wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def fill(*args: Any, **options: Any) -> Any:
        clock: FillClock | None = getattr(_LOCAL, "clock", None)
        if clock is None or clock.is_running:  # hist's fill calls boost-histogram's
            return original(*args, **options)
        clock.is_running = True
        begin, read_before = time.perf_counter(), clock.read_s()
        try:
            return original(*args, **options)
        finally:
            read_s = clock.read_s() - read_before
            clock.seconds += max(time.perf_counter() - begin - read_s, 0.0)
            clock.is_running = False

    return fill
