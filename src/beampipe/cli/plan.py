"""``beampipe plan``: what a run would do, and which files it could not use."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import click

from beampipe.cli.completion import FileOrName
from beampipe.cli.json_output import print_json
from beampipe.cli.main import INCOMPLETE
from beampipe.cli.options import json_option, one_or_many

if TYPE_CHECKING:
    from beampipe.datasets.model import DatasetPlan, Plan, UncountedFile
    from beampipe.datasets.planning import Limits
    from beampipe.errors import BeampipeError
    from beampipe.runs.indexing import IndexCost


class Unusable(Protocol):
    """A file that cannot be used, and why."""

    @property
    def dataset(self) -> str:
        """Where it stands."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Its replicas."""

    @property
    def error(self) -> BeampipeError:
        """What is wrong with it."""


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

    plan = make_fileset_plan(
        one_or_many(fileset), treename=treename, chunksize=chunksize, limits=Limits(**limits)
    )
    cost = _estimate_indexes(plan)
    if as_json:
        print_json(plan_summary(plan, cost))
    else:
        _print_plan(plan)
        click.echo(describe_cost(cost), err=True)
    if any(dataset.uncounted for dataset in plan.datasets):
        ctx.exit(INCOMPLETE)


def plan_summary(plan: Plan, cost: IndexCost | None = None) -> dict[str, Any]:
    """Give the documented object of ``--json``."""
    from beampipe.datasets.planning import plan_digest

    unusable = _list_unusable(plan)
    return {
        "status": "incomplete" if unusable else "complete",
        "chunksize": plan.chunksize,
        "events": plan.n_events,
        "chunks": plan.n_chunks,
        "digest": plan_digest(plan),
        "datasets": {dataset.name: _dataset_summary(dataset) for dataset in plan.datasets},
        "unusable": unusable_json(unusable),
        "indexes": _describe_indexes(cost),
    }


def _list_unusable(plan: Plan) -> list[UncountedFile]:
    return [file for dataset in plan.datasets for file in dataset.uncounted]


def unusable_json(unusable: Sequence[Unusable]) -> list[dict[str, Any]]:
    """Describe files that cannot be used, for ``--json``."""
    from beampipe.datasets.urls import show_url

    return [
        {
            "dataset": file.dataset,
            "urls": [show_url(url) for url in file.urls],
            "code": file.error.code,
            "message": file.error.message,
            "why": file.error.why,
            "fix": file.error.fix,
        }
        for file in unusable
    ]


def _describe_indexes(cost: IndexCost | None) -> dict[str, Any] | None:
    """What is known of indexes; None where none are kept."""
    if cost is None:
        return None
    return {
        "files": cost.files,
        "files_indexed": cost.indexed,
        "files_missing": cost.missing,
        "estimated_from": cost.samples,
        "estimated_files_s": cost.seconds,
        "estimated_read_bytes": cost.read_bytes,
        "estimated_index_bytes": cost.size_bytes,
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


def make_fileset_plan(
    source: Any,
    *,
    treename: str | None,
    limits: Limits,
    chunksize: int | None = None,
    progress: bool = True,
) -> Plan:
    """Count the files of what was typed, and cut them."""
    from beampipe.datasets.fileset import read_fileset
    from beampipe.datasets.metadata_cache import MetadataCache
    from beampipe.datasets.planning import make_plan
    from beampipe.runs.display import show_counting
    from beampipe.settings import load_settings

    settings = load_settings(chunksize=chunksize)
    with show_counting(enabled=progress) as on_progress:
        return make_plan(
            read_fileset(source, treename=treename),
            chunksize=settings.chunksize,
            limits=limits,
            cache=MetadataCache(settings.cache_dir / "metadata"),
            on_progress=on_progress,
        )


def _estimate_indexes(plan: Plan) -> IndexCost | None:
    from beampipe.runs.indexing import estimate_cost, find_store
    from beampipe.settings import load_settings

    settings = load_settings()
    return estimate_cost(plan, find_store(settings)) if settings.index_cache else None


def describe_cost(cost: IndexCost | None) -> str:
    """Say in a sentence what indexes there are, and what the others would take."""
    if cost is None:
        return "indexes: none are kept (`index_cache` is off)"
    if not cost.missing:
        return f"indexes: all {cost.files:,} file(s) have one"
    text = f"indexes: {cost.indexed:,} of {cost.files:,} file(s) have one; the first run makes "
    text += "the others, or `beampipe index` does"
    if cost.seconds is None or cost.read_bytes is None or cost.size_bytes is None:
        return text + " (what that takes is not known before a file has one)"
    return text + (
        f": about {cost.seconds:.1f} s one after the other, {format_size(cost.read_bytes)} to "
        f"read and {format_size(cost.size_bytes)} to keep, as it was for {cost.samples:,} of them"
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
    print_unusable(_list_unusable(plan))


def _row(name: str, facts: dict[str, Any]) -> tuple[str, ...]:
    trees = facts["trees"][:MAX_TREES] + (["..."] if len(facts["trees"]) > MAX_TREES else [])
    counts = (facts[key] for key in ("files", "files_unusable", "events", "chunks"))
    return (
        name,
        *(f"{count:,}" for count in counts),
        format_size(facts["size_bytes"]),
        ", ".join(trees),
    )


def _total_row(plan: Plan) -> tuple[str, ...]:
    all_facts = [_dataset_summary(dataset) for dataset in plan.datasets]
    keys = ("files", "files_unusable", "events", "chunks", "size_bytes")
    total = {key: sum(facts[key] for facts in all_facts) for key in keys}
    return _row("total", {**total, "trees": []})


def format_size(size_bytes: float) -> str:
    """Write bytes for people: ``"1.5 MB"``."""
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


def print_unusable(unusable: Sequence[Unusable]) -> None:
    """Print which files cannot be used, why, and what to do."""
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
