"""Showing a run's progress: a bar in a terminal, lines in a file, a table in a notebook."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from html import escape
from typing import IO, Any

from beampipe.execution.progress import Notify, Progress, ignore

_LINE_EVERY_S = 10.0
_NOTEBOOK_EVERY_S = 0.5


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
    elif stream.isatty():
        with _bar(stream) as notify:
            yield notify
    else:
        yield _Lines(stream)


def is_notebook() -> bool:
    """Whether this is a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"


def describe(progress: Progress) -> str:
    """One line that says where a run stands."""
    share = progress.events_done / progress.events_planned if progress.events_planned else 1.0
    parts = [
        f"{share:4.0%}  {count(progress.events_done)}/{count(progress.events_planned)} events",
        f"{progress.chunks_done}/{progress.chunks_planned} chunks",
        f"{count(progress.events_per_s)} events/s",
    ]
    if progress.eta_s is not None and progress.stage == "running":
        parts.append(f"{spell_time(progress.eta_s)} left")
    if progress.chunks_failed:
        parts.append(f"{progress.chunks_failed} failed")
    parts.append(_spell_workers(progress))
    return ", ".join(parts)


def _spell_workers(progress: Progress) -> str:
    if progress.stage in {"committing", "stopping"}:
        return progress.stage
    if progress.workers == 1:
        return "1 worker"
    return f"{progress.workers} workers" if progress.workers else "no worker yet"


def count(number: float) -> str:
    """A count that fits in a line: 1.2 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= 10 * size or (abs(number) >= size and unit != "k"):
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}"


def spell_time(seconds: float) -> str:
    """A time that fits in a line: 3 min 20 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class _Lines:
    """A line every few seconds, and one at the end."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._next = 0.0
        self._told_dashboard = False

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.dashboard and not self._told_dashboard:
            self._told_dashboard = True
            print(f"dashboard: {progress.dashboard}", file=self._stream, flush=True)
        if progress.stage != "done" and now < self._next:
            return
        if progress.stage == "running" and progress.chunks_done == 0 and self._next:
            return
        self._next = now + _LINE_EVERY_S
        print(describe(progress), file=self._stream, flush=True)


@contextlib.contextmanager
def _bar(stream: IO[str]) -> Iterator[Notify]:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TextColumn("{task.description}"),
        console=Console(file=stream, soft_wrap=True),
        transient=False,
    )
    task = bar.add_task("starting workers", total=None)
    told = False

    def notify(progress: Progress) -> None:
        nonlocal told
        if progress.dashboard and not told:
            told = True
            bar.console.print(f"dashboard: {progress.dashboard}", highlight=False)
        bar.update(
            task,
            total=progress.events_planned or None,
            completed=progress.events_done,
            description=describe(progress),
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
        if progress.stage != "done" and now < self._next:
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
    share = progress.events_done / progress.events_planned if progress.events_planned else 1.0
    link = ""
    if progress.dashboard:
        address = escape(progress.dashboard, quote=True)
        link = f' <a href="{address}" target="_blank">Dask dashboard</a>'
    return (
        '<div role="status" style="font-family: sans-serif">'
        f'<progress value="{share:.4f}" max="1" style="width: 20em"></progress> '
        f"{escape(describe(progress))}{link}</div>"
    )
