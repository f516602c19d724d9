"""A run in text: what ``beampipe run`` prints at its end, and ``beampipe show`` later."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from beampipe.results.contents import describe_value, walk_output
from beampipe.results.failures import describe_death, describe_kind, group_failures
from beampipe.results.incidents import count_incidents, group_incidents, list_remarks
from beampipe.results.quantities import (
    format_bytes,
    format_missing,
    format_quantity,
    format_seconds,
    format_time,
)
from beampipe.results.timing import explain_timing
from beampipe.results.verdict import judge_run

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from beampipe.execution.accounting import Accounting, Failure
    from beampipe.results.failures import FailureGroup

_MAX_OUTPUTS = 40
_MAX_FAILURES = 5
_MAX_INCIDENTS = 5
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
    def incidents(self) -> tuple[Mapping[str, Any], ...]:
        """What happened on the way."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken from earlier runs, and the like."""

    @property
    def accepted_changes(self) -> tuple[str, ...]:
        """What had changed, and was accepted."""

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
    timing = explain_timing(run.metrics)
    if timing.line:
        console.print(Text(f"  workers: {timing.line}", style="dim"), soft_wrap=True)
    for advice in timing.advice:
        console.print(Text(f"  {advice}", style="dim"), soft_wrap=True)
    console.print(Text(f"  {run.run_dir}", style="dim"), soft_wrap=True)
    for remark in list_remarks(run):
        console.print(Text(f"  {remark}", style="yellow"), soft_wrap=True)
    console.print(_make_accounting_table(run.accounting))
    _print_outputs(run.output, console)
    if all_failures:
        _print_tracebacks(run.failures, console)
    else:
        _print_failures(run.failures, console)
    _print_incidents(run.incidents, console, limit=None if all_failures else _MAX_INCIDENTS)


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
    if metrics.get("bytes_cached"):
        parts.append(f"{format_bytes(metrics['bytes_cached'])} from the column cache")
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
    for title in (
        "files",
        "events",
        "processed",
        "failed",
        "not reached",
        "missing",
        "chunks",
        "reused",
    ):
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
            Text(format_missing(row), style="dim" if row.is_complete else "bold red"),
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
    groups = group_failures(failures)
    for group in groups[:_MAX_FAILURES]:
        _print_group(group, console)
    left = sum(group.count for group in groups[_MAX_FAILURES:])
    if left:
        console.print(f"  and {left} more of other kinds")
    if len(failures) > 1:
        console.print("  --failures shows each of them with its traceback")


def _print_group(group: FailureGroup, console: Console) -> None:
    """The first failure of a kind, and how many there are like it."""
    from rich.text import Text  # see format_summary

    failure = group.failures[0]
    console.print(Text(f"  failure {failure.number}", style="red"), end=" ")
    console.print(Text(describe_place(failure)), soft_wrap=True)
    if group.count > 1:
        console.print(Text(f"    and {group.count - 1:,} like it: {group.extent}"), soft_wrap=True)
    console.print(Text(f"    {group.headline}"), soft_wrap=True)
    _print_reasons(failure, console)


def _print_reasons(failure: Failure, console: Console) -> None:
    from rich.text import Text  # see format_summary

    kind = describe_kind(failure.kind)
    tried = f", tried {failure.attempt} times" if failure.attempt > 1 else ""
    rule = f" (rule {failure.rule})" if failure.rule else ""
    facts = (
        ("kind", f"{kind}{rule}{tried}" if kind else ""),
        ("seen", describe_death(failure)),
        ("why", failure.why),
        ("fix", failure.fix),
    )
    for word, text in facts:
        if text:
            console.print(Text(f"      {word}: {text}"), soft_wrap=True)


def _print_incidents(
    incidents: tuple[Mapping[str, Any], ...], console: Console, *, limit: int | None
) -> None:
    from rich.text import Text  # see format_summary

    if not incidents:
        return
    console.print(Text(f"  on the way: {count_incidents(incidents)}", style="yellow"))
    groups = group_incidents(incidents)
    for group in groups[:limit]:
        times = f" ({group.count:,} ×)" if group.count > 1 else ""
        console.print(Text(f"    {group.name}: {group.text}{times}"), soft_wrap=True)
    if limit is not None and len(groups) > limit:
        console.print(f"    and {len(groups) - limit} more; --failures shows all")


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
