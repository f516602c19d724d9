"""``beampipe index``: make the indexes of a fileset's files ahead of time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from beampipe.cli.completion import FileOrName
from beampipe.cli.json_output import print_json
from beampipe.cli.main import INCOMPLETE
from beampipe.cli.options import json_option, one_or_many, quiet_option
from beampipe.cli.plan import (
    Unusable,
    format_size,
    make_fileset_plan,
    print_unusable,
    unusable_json,
)

if TYPE_CHECKING:
    from beampipe.datasets.model import FileEntry, Plan
    from beampipe.errors import BeampipeError
    from beampipe.reading.index.store import IndexStore
    from beampipe.runs.indexing import IndexedFile


@dataclass(frozen=True, slots=True)
class _Failed:
    """A file that could be counted, but not indexed."""

    dataset: str
    urls: tuple[str, ...]
    error: BeampipeError


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the command did."""

    n_files: int
    n_skipped: int
    made: Sequence[IndexedFile]
    unusable: Sequence[Unusable]
    files_bytes: int
    wall_s: float

    @property
    def n_unkept(self) -> int:
        return sum(not one.is_kept for one in self.made)


@click.command("index")
@click.argument("fileset", metavar="FILESET...", nargs=-1, required=True, type=FileOrName())
@click.option("--treename", help="The tree to read; found when a file holds one obvious tree.")
@click.option("--maxfiles", type=click.IntRange(1), help="Only the first N files per dataset.")
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes [default: one per core]; 0 works in this process.",
)
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    fileset: tuple[str, ...],
    *,
    treename: str | None,
    maxfiles: int | None,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make the indexes of the files in FILESET, so that runs need not.

    An index says where the columns of a file lie. It is made once per file, by the first run that
    reads it, or here; it is kept in the cache folder. Files that have one are skipped. Every
    file that cannot be used is named with the reason; then the exit code is 4. Ctrl-C keeps what
    was made.

    \b
    FILESET    ROOT files, a folder, a glob in quotes, or a TOML, JSON or YAML file

    \b
    Examples:
      beampipe index files.toml
      beampipe index 'root://host//store/*.root' --workers 16
    """  # noqa: D301 (click's own mark)
    from beampipe.datasets.planning import Limits
    from beampipe.runs.indexing import find_store
    from beampipe.settings import load_settings

    begun = time.monotonic()
    plan = make_fileset_plan(
        one_or_many(fileset),
        treename=treename,
        limits=Limits(maxfiles=maxfiles),
        progress=not quiet,
    )
    settings = load_settings(workers=workers)
    outcome = _make(
        plan, find_store(settings), workers=settings.workers, progress=not quiet, begun=begun
    )
    if as_json:
        print_json(outcome_json(outcome))
    elif not quiet:
        click.echo("\n".join(describe_outcome(outcome)))
    if not as_json:
        print_unusable(outcome.unusable)
    if outcome.unusable or outcome.n_unkept:
        ctx.exit(INCOMPLETE)


def _make(
    plan: Plan, store: IndexStore, *, workers: int | None, progress: bool, begun: float
) -> _Outcome:
    from beampipe.runs.display import show_counting
    from beampipe.runs.indexing import list_files, make_indexes

    files = list_files(plan)
    known = store.find_known(files)
    missing: list[FileEntry] = [entry for place, entry in files.items() if place not in known]
    with show_counting(enabled=progress, doing="indexing files", done="indexed") as on_progress:
        made = make_indexes(missing, store, workers=workers, on_progress=on_progress)
    failed = [
        _Failed(one.entry.dataset, one.entry.urls, one.error)
        for one in made
        if one.error is not None
    ]
    return _Outcome(
        n_files=len(files) + sum(len(dataset.uncounted) for dataset in plan.datasets),
        n_skipped=len(known),
        made=[one for one in made if one.error is None],
        unusable=[*(file for dataset in plan.datasets for file in dataset.uncounted), *failed],
        files_bytes=sum(one.entry.size_bytes or 0 for one in made if one.error is None),
        wall_s=time.monotonic() - begun,
    )


def outcome_json(outcome: _Outcome) -> dict[str, Any]:
    """Give the documented object of ``--json``."""
    return {
        "status": "incomplete" if outcome.unusable or outcome.n_unkept else "complete",
        "files": outcome.n_files,
        "files_indexed": len(outcome.made),
        "files_skipped": outcome.n_skipped,
        "files_unusable": len(outcome.unusable),
        "not_kept": outcome.n_unkept,
        "index_bytes": sum(one.size_bytes for one in outcome.made),
        "read_bytes": sum(one.read_bytes for one in outcome.made),
        "files_bytes": outcome.files_bytes,
        "files_s": sum(one.seconds for one in outcome.made),
        "wall_s": outcome.wall_s,
        "unusable": unusable_json(outcome.unusable),
    }


def describe_outcome(outcome: _Outcome) -> list[str]:
    """Give the lines that are printed."""
    count = len(outcome.made)
    counts = (
        f"{count:,} indexed",
        f"{outcome.n_skipped:,} had an index",
        f"{len(outcome.unusable):,} cannot be used",
    )
    lines = [f"{outcome.n_files:,} file(s): {', '.join(counts)}"]
    if count:
        size = sum(one.size_bytes for one in outcome.made)
        share = f", {100 * size / outcome.files_bytes:.2g} % of the files"
        seconds = sum(one.seconds for one in outcome.made)
        lines += [
            f"indexes   {format_size(size)}, {format_size(size / count)} a file"
            + (share if outcome.files_bytes else ""),
            f"read      {format_size(sum(one.read_bytes for one in outcome.made))}",
            f"time      {outcome.wall_s:.1f} s, {1000 * seconds / count:.0f} ms a file",
        ]
    if outcome.n_unkept:
        lines.append(
            f"{outcome.n_unkept:,} index(es) could not be kept: the cache folder cannot be "
            "written, or `index_cache` is too small"
        )
    return lines
