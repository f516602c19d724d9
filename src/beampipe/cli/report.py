"""``beampipe report``: a run as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from beampipe.cli.options import run_argument, trust_option


@click.command("report", short_help="Write a page with RUN's accounting, plots and failures.")
@run_argument
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page [default: report.html in the run directory].",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@trust_option
def command(run: str, *, output: Path | None, open_page: bool, trust: bool) -> None:
    """Write the report of RUN: one page with accounting, plots, cutflows, failures and timing.

    The page loads nothing from elsewhere: it can be mailed, archived, or put on any web server.
    """
    from beampipe.execution.record_reader import read_record
    from beampipe.execution.runs_index import find_run
    from beampipe.results.result import RunResult

    result = RunResult(read_record(find_run(run), trust=trust or None))
    page = result.report(output)
    click.echo(page)
    if not result.is_complete:
        click.echo(f"{result.verdict.headline}: {result.verdict.sentence}", err=True)
    if open_page:
        click.launch(page.resolve().as_uri())
