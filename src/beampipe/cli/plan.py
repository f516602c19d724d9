"""``beampipe plan``: what a run would do, and which files it could not use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from beampipe.cli.completion import FileOrName
from beampipe.cli.json_output import print_json
from beampipe.cli.main import INCOMPLETE
from beampipe.cli.options import json_option, one_or_many

if TYPE_CHECKING:
    from beampipe.datasets.model import DatasetPlan, Plan
    from beampipe.datasets.planning import Limits

COLUMNS = ("dataset", "files", "unusable", "events", "chunks", "size", "tree")
MAX_TREES = 3


@click.command("plan")
@click.argument("fileset", metavar="FILESET...", nargs=-1, required=True, type=FileOrName())
@click.option("--treename", help="The tree to read; found when a file holds one obvious tree.")
@click.option(
    "--chunksize", type=click.IntRange(1), help="Wanted events per chunk [default: 250000]."
)
@click.option("--maxfiles", type=click.IntRange(1), help="Only the first N files per dataset.")
@click.option("--maxchunks", type=click.IntRange(1), help="Only the first N chunks per dataset.")
@click.option("--maxevents", type=click.IntRange(1), help="Only the first N events per dataset.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    fileset: tuple[str, ...],
    *,
    treename: str | None,
    chunksize: int | None,
    as_json: bool,
    **limits: int | None,
) -> None:
    """Show what is in FILESET: datasets, files, events, chunks.

    Every file that cannot be used is named with the reason; then the exit code is 4. Counts are
    kept in a cache, so that a later plan or run of the same files begins at once.

    \b
    FILESET    ROOT files, a folder, a glob in quotes, or a TOML, JSON or YAML file

    \b
    Examples:
      beampipe plan data
      beampipe plan files.toml --chunksize 100000
      beampipe plan 'root://host//store/*.root' --maxfiles 10
    """  # noqa: D301 (click's own mark)
    from beampipe.datasets.planning import Limits

    source = one_or_many(fileset)
    plan = _plan(source, treename, chunksize, limits=Limits(**limits))
    if as_json:
        print_json(plan_summary(plan))
    else:
        _print_plan(plan)
    if any(dataset.uncounted for dataset in plan.datasets):
        ctx.exit(INCOMPLETE)


def plan_summary(plan: Plan) -> dict[str, Any]:
    """Give the documented object of ``--json``."""
    from beampipe.datasets.planning import plan_digest
    from beampipe.datasets.urls import show_url

    unusable = [file for dataset in plan.datasets for file in dataset.uncounted]
    return {
        "status": "incomplete" if unusable else "complete",
        "chunksize": plan.chunksize,
        "events": plan.n_events,
        "chunks": plan.n_chunks,
        "digest": plan_digest(plan),
        "datasets": {dataset.name: _dataset_summary(dataset) for dataset in plan.datasets},
        "unusable": [
            {
                "dataset": file.dataset,
                "urls": [show_url(url) for url in file.urls],
                "code": file.error.code,
                "message": file.error.message,
                "why": file.error.why,
                "fix": file.error.fix,
            }
            for file in unusable
        ],
    }


def _dataset_summary(dataset: DatasetPlan) -> dict[str, Any]:
    sizes = [cut.file.size_bytes for cut in dataset.files]
    return {
        "files": len(dataset.files) + len(dataset.uncounted),
        "files_unusable": len(dataset.uncounted),
        "events": dataset.n_events,
        "chunks": dataset.n_chunks,
        "size_bytes": sum(size for size in sizes if size is not None),
        "trees": sorted({cut.file.treename for cut in dataset.files}),
        "metadata": dict(dataset.metadata),
    }


def _plan(source: Any, treename: str | None, chunksize: int | None, *, limits: Limits) -> Plan:
    from beampipe.datasets.fileset import read_fileset
    from beampipe.datasets.metadata_cache import MetadataCache
    from beampipe.datasets.planning import make_plan
    from beampipe.runs.display import show_counting
    from beampipe.settings import load_settings

    settings = load_settings(chunksize=chunksize)
    with show_counting() as on_progress:
        return make_plan(
            read_fileset(source, treename=treename),
            chunksize=settings.chunksize,
            limits=limits,
            cache=MetadataCache(settings.cache_dir / "metadata"),
            on_progress=on_progress,
        )


def _print_plan(plan: Plan) -> None:
    rows = [_row(name, facts) for name, facts in plan_summary(plan)["datasets"].items()]
    if len(rows) > 1:
        rows.append(_total_row(plan))
    if sys.stdout.isatty():
        _print_table(rows)
    else:
        for row in [COLUMNS, *rows]:
            click.echo("\t".join(row))
    _print_unusable(plan)


def _row(name: str, facts: dict[str, Any]) -> tuple[str, ...]:
    trees = facts["trees"][:MAX_TREES] + (["..."] if len(facts["trees"]) > MAX_TREES else [])
    counts = (facts[key] for key in ("files", "files_unusable", "events", "chunks"))
    return (
        name,
        *(f"{count:,}" for count in counts),
        _format_size(facts["size_bytes"]),
        ", ".join(trees),
    )


def _total_row(plan: Plan) -> tuple[str, ...]:
    all_facts = [_dataset_summary(dataset) for dataset in plan.datasets]
    keys = ("files", "files_unusable", "events", "chunks", "size_bytes")
    total = {key: sum(facts[key] for facts in all_facts) for key in keys}
    return _row("total", {**total, "trees": []})


def _format_size(size_bytes: float) -> str:
    if size_bytes < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size_bytes /= 1000
        if size_bytes < 1000:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes / 1000:.1f} PB"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("dataset", "tree") else "right")
    for row in rows:
        style = "bold" if row[0] == "total" else ""
        unusable = Text(row[2], style="" if row[2] == "0" else "red")
        # Text: a dataset may be called "[red]"
        cells = [unusable if i == 2 else Text(cell) for i, cell in enumerate(row)]
        table.add_row(*cells, style=style)
    Console().print(table)


def _print_unusable(plan: Plan) -> None:
    unusable = [file for dataset in plan.datasets for file in dataset.uncounted]
    if not unusable:
        return
    click.echo(f"\n{len(unusable)} file(s) cannot be used:")
    fixes: dict[tuple[str, str], None] = {}  # the same advice once, in order
    for file in unusable:
        error = file.error
        click.echo(f"  {file.dataset}: [{error.code}] {error.message}")
        click.echo(f"    why: {error.why}")
        fixes[error.code, error.fix] = None
    click.echo("\nWhat to do:")
    for code, fix in fixes:
        click.echo(f"  [{code}] {fix}")
