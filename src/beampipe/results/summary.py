"""A run in text: what ``beampipe run`` prints at its end, and ``beampipe show`` later."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from beampipe.results.contents import describe_value, walk_output
from beampipe.results.quantities import (
    format_bytes,
    format_quantity,
    format_seconds,
    format_time,
)
from beampipe.results.verdict import judge_run

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from beampipe.execution.accounting import Accounting, Failure

_MAX_OUTPUTS = 40
_MAX_FAILURES = 5
_PLAIN_WIDTH = 110


class RunHeader(Protocol):
    """What a `RunResult`, a `RunRecord` and a `RunSummary` have in common."""

    @property
    def run_dir(self) -> Path:
        """The run directory."""

    @property
    def name(self) -> str:
        """The run's name."""

    @property
    def created(self) -> str:
        """When it began, in ISO 8601."""

    @property
    def status(self) -> str:
        """The recorded status."""

    @property
    def accounting(self) -> Accounting:
        """How its events add up."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What was measured."""


class RunWithValues(RunHeader, Protocol):
    """What a `RunResult` and a `RunRecord` have in common."""

    @property
    def output(self) -> Any:
        """The summed output."""

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What could not be done."""


def format_summary(run: RunWithValues, *, all_failures: bool = False) -> str:
    """Write the summary as plain text.

    Parameters
    ----------
    run : RunResult or RunRecord
        The run.
    all_failures : bool
        Every failure with its traceback, and not only the first few in one line each.

    Returns
    -------
    str
        Some lines, without colours.
    """
    from rich.console import Console  # 0.05 s: not at import

    buffer = io.StringIO()
    console = Console(file=buffer, width=_PLAIN_WIDTH, color_system=None, highlight=False)
    print_summary(run, console, all_failures=all_failures)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def print_summary(
    run: RunWithValues, console: Console | None = None, *, all_failures: bool = False
) -> None:
    """Print the summary; parameters as `format_summary`.

    Parameters
    ----------
    run : RunResult or RunRecord
        The run.
    console : rich.console.Console, optional
        Standard output if not given: with colours in a terminal, plain in a pipe.
    all_failures : bool
        Every failure with its traceback.
    """
    from rich.text import Text  # see format_summary

    console = console or make_console()
    verdict = judge_run(run.status, run.accounting)
    tone = "bold green" if verdict.is_complete else "bold red"
    console.print(Text.assemble((run.name, "bold"), "  ", (verdict.headline, tone)))
    console.print(Text(f"  {verdict.sentence}"))
    console.print(Text(f"  {describe_run(run)}", style="dim"))
    console.print(Text(f"  {run.run_dir}", style="dim"), soft_wrap=True)
    console.print(_make_accounting_table(run.accounting))
    _print_outputs(run.output, console)
    if all_failures:
        _print_tracebacks(run.failures, console)
    else:
        _print_failures(run.failures, console)


def make_console() -> Console:
    """Make the console for standard output; a pipe is never narrower than a page."""
    from rich.console import Console  # see format_summary

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PLAIN_WIDTH)
    return console


def describe_run(run: RunHeader) -> str:
    """Say when, how long, how fast and with how many workers, as far as it was measured."""
    metrics = run.metrics
    parts = [format_time(run.created)]
    if "wall_s" in metrics:
        parts.append(format_seconds(metrics["wall_s"]))
    if metrics.get("events_per_s"):
        parts.append(f"{format_quantity(metrics['events_per_s'])} events/s")
    if metrics.get("bytes_read"):
        parts.append(f"{format_bytes(metrics['bytes_read'])} read")
    if metrics.get("n_workers"):
        count = metrics["n_workers"]
        parts.append(f"{count} worker{'' if count == 1 else 's'}")
    return ", ".join(parts)


def describe_place(failure: Failure) -> str:
    """Say where a failure happened: dataset, file, entry range."""
    where = f"{failure.dataset}: {failure.url}"
    return f"{where} [{failure.start}, {failure.stop})" if failure.n else where


def _make_accounting_table(accounting: Accounting) -> Any:
    from rich import box  # see format_summary
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=True)
    table.add_column("dataset", overflow="fold")
    for title in ("files", "events", "processed", "failed", "not reached", "chunks", "reused"):
        table.add_column(title, justify="right")
    for row in accounting.datasets:
        files = f"{row.files:,}" + (f" ({row.files_uncounted} bad)" if row.files_uncounted else "")
        cells = [
            Text(row.name),
            Text(files, style="red" if row.files_uncounted else ""),
            Text(f"{row.events_planned:,}"),
            Text(f"{row.events_processed:,}"),
            Text(f"{row.events_failed:,}", style="red" if row.events_failed else "dim"),
            Text(f"{row.events_not_reached:,}", style="red" if row.events_not_reached else "dim"),
            Text(f"{row.chunks_processed:,} of {row.chunks_planned:,}"),
            Text(f"{row.chunks_reused:,}", style="" if row.chunks_reused else "dim"),
        ]
        table.add_row(*cells)
    return table


def _print_outputs(output: Any, console: Console) -> None:
    from rich import box  # see format_summary
    from rich.table import Table
    from rich.text import Text

    leaves = list(walk_output(output))
    if not leaves:
        console.print("  no output")
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("output", overflow="fold")
    table.add_column("what it is", overflow="fold")
    for leaf in leaves[:_MAX_OUTPUTS]:
        table.add_row(Text(leaf.name), Text(describe_value(leaf.value)))
    console.print(table)
    if len(leaves) > _MAX_OUTPUTS:
        console.print(f"  and {len(leaves) - _MAX_OUTPUTS} more")


def _print_failures(failures: tuple[Failure, ...], console: Console) -> None:
    from rich.text import Text  # see format_summary

    for failure in failures[:_MAX_FAILURES]:
        console.print(Text(f"  failure {failure.number}", style="red"), end=" ")
        console.print(Text(describe_place(failure)), soft_wrap=True)
        message = failure.message.strip().splitlines() or [""]
        console.print(Text(f"    {failure.error_type}: {message[0]}"), soft_wrap=True)
        _print_reasons(failure, console)
    if len(failures) > _MAX_FAILURES:
        more = len(failures) - _MAX_FAILURES
        console.print(f"  and {more} more; --failures shows all with their tracebacks")


def _print_reasons(failure: Failure, console: Console) -> None:
    from rich.text import Text  # see format_summary

    for word, text in (("why", failure.why), ("fix", failure.fix)):
        if text:
            console.print(Text(f"      {word}: {text}"), soft_wrap=True)


def _print_tracebacks(failures: tuple[Failure, ...], console: Console) -> None:
    from rich.text import Text  # see format_summary

    if not failures:
        console.print("  no failures")
    for failure in failures:
        console.print(Text(f"  failure {failure.number} [{failure.code}]", style="bold red"))
        console.print(Text(f"    {describe_place(failure)}"), soft_wrap=True)
        worker = f"worker {failure.worker or 'unknown'} on {failure.host or 'unknown host'}"
        console.print(Text(f"    {worker}, attempt {failure.attempt}", style="dim"))
        console.print(Text(f"    {failure.error_type}: {failure.message}"), soft_wrap=True)
        _print_reasons(failure, console)
        for line in failure.traceback.splitlines():
            console.print(Text(f"    {line}", style="dim"), soft_wrap=True)
        console.print()
