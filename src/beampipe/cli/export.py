"""``beampipe export``: a run's output in other people's formats."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from beampipe.cli.options import run_argument, trust_option


@click.command("export", short_help="Write the output of RUN as ROOT, JSON, coffea or Parquet.")
@run_argument
@click.option(
    "--format",
    "export_format",
    type=click.Choice(["root", "json", "coffea", "parquet"]),
    required=True,
    help="root: histograms and numbers; json: UHI histograms and plain values; coffea: everything; "
    "parquet: one table per array, cutflow and histogram.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="The file, or folder for parquet [default: output.FORMAT in the run directory].",
)
@click.option("--dataset", help="Only the output of this dataset [default: the sum of all].")
@trust_option
def command(
    run: str,
    *,
    export_format: Literal["root", "json", "coffea", "parquet"],
    output: Path | None,
    dataset: str | None,
    trust: bool,
) -> None:
    """Write the output of RUN into a file, and say what the format could not hold."""
    from beampipe.execution.record_reader import read_record
    from beampipe.execution.runs_index import find_run
    from beampipe.results.exports import export_run
    from beampipe.results.result import RunResult

    result = RunResult(read_record(find_run(run), trust=trust or None))
    path = output or result.run_dir / f"output.{export_format}"
    exported = export_run(result, path, export_format=export_format, dataset=dataset)
    click.echo(exported.path)
    for name, reason in exported.skipped.items():
        click.echo(f"not written: {name}: {reason}", err=True)
    if not result.is_complete:
        click.echo(f"{result.verdict.headline}: {result.verdict.sentence}", err=True)
