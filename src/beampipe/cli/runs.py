"""``beampipe runs``: the runs that there are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from beampipe.cli.json_output import print_json

if TYPE_CHECKING:
    from beampipe.execution.record_reader import RunSummary


@click.command("runs", short_help="List the runs in a folder, the oldest first.")
@click.argument("directory", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array and nothing else.")
@click.option("--prune", is_flag=True, help="Remove old runs, as --keep and --older-than say.")
@click.option("--keep", type=click.IntRange(0), help="With --prune: the newest N runs stay.")
@click.option(
    "--older-than", metavar="AGE", help="With --prune: only runs older than this (12h, 7d, 4w)."
)
@click.option("--dry-run", is_flag=True, help="With --prune: only say what would be removed.")
@click.option("--yes", is_flag=True, help="With --prune: do not ask.")
def command(
    directory: Path | None,
    *,
    as_json: bool,
    prune: bool,
    keep: int | None,
    older_than: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """List the runs in DIRECTORY [default: the folder that new runs go to], the oldest first.

    No values are loaded, so this is quick however large the results are. With --prune old runs
    are removed for good; one that is under way never is, nor anything that is no run.
    """
    if prune:
        prune_runs(
            directory,
            Limits(keep, older_than),
            as_json=as_json,
            dry_run=dry_run,
            is_agreed=yes,
        )
        return
    if keep is not None or older_than or dry_run or yes:
        raise click.UsageError("--keep, --older-than, --dry-run and --yes go with --prune")
    list_all(directory, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Limits:
    """Which runs are to go."""

    keep: int | None
    older_than: str | None


def prune_runs(
    directory: Path | None, limits: Limits, *, as_json: bool, dry_run: bool, is_agreed: bool
) -> None:
    """Remove old runs, after a question."""
    from beampipe.execution.runs_index import run_root
    from beampipe.results.quantities import format_bytes
    from beampipe.runs.prune import choose_runs, parse_age, remove_leftovers

    root = directory or run_root()
    age_s = parse_age(limits.older_than) if limits.older_than else None
    chosen = choose_runs(root, keep=limits.keep, older_than_s=age_s)
    size = format_bytes(sum(run.size_bytes for run in chosen))
    if not as_json:
        for run in chosen:
            click.echo(f"{run.path.name}  {format_bytes(run.size_bytes)}")
    what = f"{len(chosen)} run{'' if len(chosen) == 1 else 's'} ({size}) in {root}"
    removed: list[Path] = []
    failed: dict[str, str] = {}
    if not dry_run and chosen:
        if not is_agreed:
            click.confirm(f"Remove {what} for good?", abort=True, err=as_json)
        removed, failed = remove_all([run.path for run in chosen])
    if not dry_run and root.is_dir():
        remove_leftovers(root)
    if as_json:
        chosen_names = [str(run.path) for run in chosen]
        data = {"chosen": chosen_names, "removed": list(map(str, removed)), "failed": failed}
        print_json(data)
    elif not chosen:
        click.echo(f"There is nothing to remove in {root}.")
    else:
        click.echo(f"Would remove {what}." if dry_run else f"Removed {len(removed)} of {what}.")
    if failed:
        click.get_current_context().exit(1)


def remove_all(paths: list[Path]) -> tuple[list[Path], dict[str, str]]:
    """Remove runs one by one; what cannot be removed is told, and stops nothing."""
    from beampipe.errors import BeampipeError
    from beampipe.runs.prune import remove_run

    removed: list[Path] = []
    failed: dict[str, str] = {}
    for path in paths:
        try:
            remove_run(path)
            removed.append(path)
        except BeampipeError as error:
            failed[str(path)] = error.message
            click.echo(f"{path.name}: not removed: {error.message} {error.why}", err=True)
    return removed, failed


def list_all(directory: Path | None, *, as_json: bool) -> None:
    """Print what there is."""
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
