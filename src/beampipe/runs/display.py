"""Showing a run's progress: a bar in a terminal, lines in a file, a table in a notebook."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import IO, Any

from beampipe.execution.progress import Notify, Progress, ignore

_LINE_EVERY_S = 10.0
_NOTEBOOK_EVERY_S = 0.5
_TOLD_AT_ONCE = {"stopping", "done"}
_WIDE = 110
_BLOCK = "▁"
_LONG_H = 48
_AROUND_BAR = 4  # the spinner, and spaces between the columns


@contextlib.contextmanager
def show_progress(*, enabled: bool = True, stream: IO[str] | None = None) -> Iterator[Notify]:
    """Choose how progress is shown and show it until the block ends.

    Parameters
    ----------
    enabled : bool
        False shows nothing.
    stream : file, optional
        Where to write; standard error by default, so that results can be piped.
    """
    stream = sys.stderr if stream is None else stream
    if not enabled:
        yield ignore
    elif is_notebook():
        yield _Notebook()
    elif stream.isatty() and os.environ.get("TERM") != "dumb":
        with _bar(stream) as notify:
            yield notify
    else:
        yield _Lines(stream)


@contextlib.contextmanager
def show_counting(
    *,
    enabled: bool = True,
    stream: IO[str] | None = None,
    doing: str = "counting files",
    done: str = "counted",
) -> Iterator[Callable[[int, int], None]]:
    """Show how many files of a fileset are counted, as soon as it takes long.

    Parameters
    ----------
    enabled : bool
        False shows nothing.
    stream : file, optional
        Where to write; standard error by default.
    doing, done : str
        What else is done to files.

    Yields
    ------
    callable
        To be told how many files are done, and of how many.
    """
    stream = sys.stderr if stream is None else stream
    if not enabled:
        yield lambda *_: None
    elif stream.isatty() and not is_notebook():
        from rich.console import Console
        from rich.progress import MofNCompleteColumn
        from rich.progress import Progress as Bar

        columns = (*Bar.get_default_columns(), MofNCompleteColumn())
        with Bar(*columns, console=Console(file=stream), transient=True) as bar:
            task = bar.add_task(doing, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        yield _CountingLines(stream, done)


class _CountingLines:
    """A line every few seconds; none where it is quick."""

    def __init__(self, stream: IO[str], word: str = "counted") -> None:
        self._stream = stream
        self._word = word
        self._next = time.monotonic() + _LINE_EVERY_S

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY_S
            print(f"{self._word} {done:,} of {total:,} files", file=self._stream, flush=True)


def is_notebook() -> bool:
    """Whether this is a Jupyter kernel, or one derived from it."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return any(cls.__name__ == "ZMQInteractiveShell" for cls in type(shell).__mro__)


def describe(progress: Progress, *, width: int | None = None) -> str:
    """One line that says where a run stands.

    Parameters
    ----------
    width : int, optional
        Leave out what matters least, until it fits into so many columns.
    """
    parts = _parts(progress)
    while len(line := _join(parts)) > (width or len(line)) and len(parts) > 1:
        parts.remove(max(parts, key=lambda part: part.rank))
    return line


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the line; those of a high rank are left out first."""

    rank: int
    text: str


def _parts(progress: Progress) -> list[_Part]:
    events = f"{count(progress.events_done)}/{count(progress.events_planned)} events"
    parts = [
        _Part(0, f"{math.floor(100 * _share(progress)):3d}%"),
        _Part(4, events),
        _Part(5, f"{progress.chunks_done}/{progress.chunks_planned} chunks"),
        _Part(3, f"{count(progress.events_per_s)} events/s"),
    ]
    if progress.eta_s is not None and progress.stage == "running":
        parts.append(_Part(1, f"{spell_time(progress.eta_s)} left"))
    if progress.chunks_failed:
        parts.append(_Part(1, f"{progress.chunks_failed} failed"))
    if progress.retries:
        parts.append(_Part(6, spell_times(progress.retries, "retry", "retries")))
    if progress.workers_died:
        parts.append(_Part(2, spell_times(progress.workers_died, "worker died", "workers died")))
    parts.append(_Part(2, _spell_workers(progress)))
    if drawn := _draw(progress):
        parts.append(_Part(7, drawn))
    return parts


def _draw(progress: Progress) -> str:
    """The name of the first histogram and what it looks like; empty where there is nothing."""
    blocks = "" if progress.sketch is None else progress.sketch.draw()
    return f"{progress.sketch.name} {blocks}".lstrip() if progress.sketch and blocks else ""


def _join(parts: list[_Part]) -> str:
    share, *rest = (part.text for part in parts)
    return f"{share}  {', '.join(rest)}".rstrip()


def _share(progress: Progress) -> float:
    """Between 0 and 1, which is reached only when everything is done."""
    return progress.events_done / progress.events_planned if progress.events_planned else 1.0


def _spell_workers(progress: Progress) -> str:
    if progress.stage in {"committing", "stopping"}:
        return progress.stage
    if progress.workers == 1:
        return "1 worker"
    if progress.workers == 0:
        return "no worker left" if progress.chunks_done else "no worker yet"
    return f"{progress.workers} workers"


def count(number: float) -> str:
    """A count that fits in a line: 1.2 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= 10 * size or (abs(number) >= size and unit != "k"):
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}"


def spell_times(number: int, one: str, many: str) -> str:
    """A count with its noun: 1 retry, 2 retries."""
    return f"{number:,} {one if number == 1 else many}"


def spell_time(seconds: float) -> str:
    """A time that fits in a line: 3 min 20 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= _LONG_H:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _fit_for(stream: IO[str], progress: Progress) -> Progress:
    """Leave the sketch out where its blocks cannot be written."""
    try:
        _BLOCK.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeError, LookupError):
        return replace(progress, sketch=None)
    return progress


class _Lines:
    """A line now and then when there is something new, and one at the end."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._next = 0.0
        self._said = ""
        self._told_dashboard = False
        self._told_events = False

    def __call__(self, progress: Progress) -> None:
        if progress.dashboard and not self._told_dashboard:
            self._told_dashboard = True
            self._say(f"dashboard: {progress.dashboard}")
        now = time.monotonic()
        text = describe(_fit_for(self._stream, progress))
        is_first = progress.events_done > 0 and not self._told_events
        is_due = now >= self._next or progress.stage in _TOLD_AT_ONCE or is_first
        if text != self._said and is_due:
            self._told_events = progress.events_done > 0
            self._next = now + _LINE_EVERY_S
            self._said = text
            self._say(text)

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


@contextlib.contextmanager
def _bar(stream: IO[str]) -> Iterator[Notify]:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    console = Console(file=stream)
    bar_width = 24 if console.width >= _WIDE else 10
    drawn = ""

    class BarWithSketch(Bar):
        """The bar, and below it what the first histogram looks like so far."""

        def get_renderables(self) -> Iterator[Any]:
            yield from super().get_renderables()
            if drawn:
                yield Text(f"  {drawn}", no_wrap=True, overflow="crop")

    bar = BarWithSketch(
        SpinnerColumn(),
        BarColumn(bar_width=bar_width),
        TextColumn("{task.description}", markup=False),
        console=console,
        # What a processor prints into a file or a pipe is not for the terminal.
        redirect_stdout=sys.stdout.isatty(),
    )
    task = bar.add_task("starting workers", total=None)
    told = False

    def notify(progress: Progress) -> None:
        nonlocal told, drawn
        drawn = _draw(_fit_for(stream, progress))
        if progress.dashboard and not told:
            told = True
            # (the terminal itself wraps it, if need be, so that it can still be clicked)
            link = f"dashboard: {progress.dashboard}"
            console.print(link, highlight=False, markup=False, soft_wrap=True)
        bar.update(
            task,
            total=progress.events_planned or None,
            completed=progress.events_done,
            description=describe(
                replace(progress, sketch=None), width=console.width - bar_width - _AROUND_BAR
            ),
        )

    with bar:
        yield notify


class _Notebook:
    """A small table that is updated in place."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next and progress.stage not in _TOLD_AT_ONCE:
            return
        self._next = now + _NOTEBOOK_EVERY_S
        from IPython.display import HTML, display

        html = HTML(progress_html(progress))
        if self._handle is None:
            self._handle = display(html, display_id=True)
        else:
            self._handle.update(html)


def progress_html(progress: Progress) -> str:
    """The progress as HTML, for notebooks."""
    link = ""
    if progress.dashboard:
        address = escape(progress.dashboard, quote=True)
        link = f' <a href="{address}" target="_blank">Dask dashboard</a>'
    return (
        '<div role="status" style="font-family: sans-serif">'
        f'<progress value="{_share(progress):.4f}" max="1" style="width: 20em"></progress> '
        f"{escape(describe(progress))}{link}</div>"
    )
