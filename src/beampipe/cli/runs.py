"""``beampipe runs``: the runs that there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from beampipe.cli.json_output import print_json

if TYPE_CHECKING:
    from beampipe.execution.record_reader import RunSummary


@click.command("runs", short_help="List the runs in a folder, the oldest first.")
@click.argument("directory", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array and nothing else.")
def command(directory: Path | None, *, as_json: bool) -> None:
    """List the runs in DIRECTORY [default: the folder that new runs go to], the oldest first.

    No values are loaded, so this is quick however large the results are.
    """
    from beampipe.errors import BeampipeError
    from beampipe.execution.record_reader import read_summary
    from beampipe.execution.runs_index import list_runs, run_root

    runs: list[RunSummary] = []
    unreadable: dict[str, str] = {}
    for path in list_runs(directory):
        try:
            runs.append(read_summary(path))
        except BeampipeError as error:
            unreadable[str(path)] = error.message
    if as_json:
        print_json([describe_run(run) for run in runs])
    elif runs:
        print_runs(runs)
    elif not unreadable:
        click.echo(f"There are no runs in {directory or run_root()}.")
    for name, message in unreadable.items():
        click.echo(f"{name}: cannot be read: {message}", err=True)


def describe_run(run: RunSummary) -> dict[str, object]:
    """Give one run's line as JSON."""
    from beampipe.results.incidents import sum_incidents

    return {
        "name": run.name,
        "run_dir": str(run.run_dir),
        "run_id": run.run_id,
        "created": run.created,
        "status": run.status,
        "events_planned": run.accounting.events_planned,
        "events_processed": run.accounting.events_processed,
        "missing_share": run.accounting.missing_share,
        "incidents": sum_incidents(run.incidents),
        "wall_s": run.metrics.get("wall_s"),
    }


def print_runs(runs: list[RunSummary]) -> None:
    """Print the table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from beampipe.results.incidents import count_incidents
    from beampipe.results.quantities import format_missing, format_seconds, format_time
    from beampipe.results.summary import make_console
    from beampipe.results.verdict import judge_run

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("run", "name", "created", "status"):
        table.add_column(title, overflow="fold")
    for title in ("events", "missing", "on the way", "wall"):
        table.add_column(title, justify="right")
    for run in runs:
        verdict = judge_run(run.status, run.accounting)
        planned, wall = run.accounting.events_planned, run.metrics.get("wall_s")
        table.add_row(
            Text(run.run_dir.name),
            Text(run.name),
            Text(format_time(run.created)),
            Text(verdict.word.lower(), style="green" if verdict.is_complete else "red"),
            f"{planned:,}",
            format_missing(run.accounting),
            count_incidents(run.incidents),
            "" if wall is None else format_seconds(wall),
        )
    make_console().print(table)
