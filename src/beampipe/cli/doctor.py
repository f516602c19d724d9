"""``beampipe doctor``: what is wrong at a site, before a run finds out."""

from __future__ import annotations

from dataclasses import asdict

import click

from beampipe.cli.completion import FileOrName
from beampipe.cli.json_output import print_json
from beampipe.cli.options import json_option


@click.command("doctor")
@click.option("--on", "site", metavar="SITE", help="A site [default: told by this host's name].")
@click.option("--processor", type=FileOrName(), help="Whether workers can import this processor.")
@click.option(
    "--fileset",
    type=FileOrName(),
    multiple=True,
    help="Whether workers see these files. Repeatable.",
)
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a worker.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    site: str | None,
    processor: str | None,
    fileset: tuple[str, ...],
    wait: float,
    as_json: bool,
) -> None:
    """Find out what would go wrong at a site, here and on a worker.

    A worker is asked for as a run would; it ends with the command. The exit code is 1 if
    anything is an error.

    \b
    Examples:
      beampipe doctor --on slurm
      beampipe doctor --on lpc --processor dimuon.py:process --fileset files.toml
    """  # noqa: D301 (click's own mark)
    from beampipe.checks import render_findings
    from beampipe.cli.options import one_or_many
    from beampipe.runs.doctor import examine

    found = []
    for finding in examine(
        site,
        processor=processor,
        fileset=one_or_many(fileset) if fileset else None,
        patience_s=wait,
        say=lambda text: click.echo(f"waiting: {text}", err=True),
    ):
        found.append(finding)
        if not as_json:
            click.echo(render_findings([finding]))
    if as_json:
        print_json([asdict(finding) for finding in found])
    if any(finding.status == "error" for finding in found):
        ctx.exit(1)
