"""``beampipe plot``: a run's histograms as image files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from beampipe.cli.options import run_argument, trust_option


@click.command("plot", short_help="Draw the histograms of RUN, one file each.")
@run_argument
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder [default: plots in the run directory].",
)
@click.option("--only", metavar="NAME", help="One histogram by its path, or a pattern: 'muons/*'.")
@click.option(
    "--format",
    "image_format",
    type=click.Choice(["png", "pdf", "svg"]),
    default="png",
    show_default=True,
    help="Kind of file.",
)
@trust_option
def command(
    run: str,
    *,
    output: Path | None,
    only: str | None,
    image_format: Literal["png", "pdf", "svg"],
    trust: bool,
) -> None:
    """Draw the histograms of RUN, one file each, and print the files' names.

    Datasets are stacked; an axis called 'dataset' or 'process' is stacked too, other categories
    lie over each other.
    """
    from beampipe.execution.record_reader import read_record
    from beampipe.execution.runs_index import find_run
    from beampipe.results.result import RunResult

    result = RunResult(read_record(find_run(run), trust=trust or None))
    paths = result.plot(output, only=only, image_format=image_format)
    for path in paths:
        click.echo(path)
    if not paths:
        click.echo("The output holds no histogram.", err=True)
    if not result.is_complete:
        click.echo(f"{result.verdict.headline}: {result.verdict.sentence}", err=True)
