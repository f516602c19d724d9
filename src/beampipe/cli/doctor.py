"""``beampipe doctor``: what is wrong at a site, before a run finds out."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from beampipe.cli.completion import FileOrName
from beampipe.cli.json_output import print_json
from beampipe.cli.options import json_option

if TYPE_CHECKING:
    from beampipe.checks import Finding

_CODE_WIDTH = len("scheduler-ports")


@click.command("doctor")
@click.option("--on", "site", metavar="SITE", help="A site [default: told by this host's name].")
@click.option("--processor", type=FileOrName(), help="Whether workers can import this processor.")
@click.option(
    "--fileset",
    type=FileOrName(),
    multiple=True,
    help="Whether these files are seen here and by workers, and how quickly they are read. "
    "Repeatable.",
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

    Queue and account, ports, storage, versions, memory, clocks, and more. A worker is asked for as
    a run would; it ends with the command. The exit code is 1 if anything is an error; what could
    not be checked is a warning.

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
            click.echo(render_findings([finding], code_width=_CODE_WIDTH))
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        click.echo(_sum_up(found))
    if any(finding.status == "error" for finding in found):
        ctx.exit(1)


def _sum_up(found: list[Finding]) -> str:
    """In one line: what is to be mended, and what was not checked."""
    errors = sum(finding.status == "error" for finding in found)
    warnings = sum(finding.status == "warning" for finding in found)
    parts = [f"{count} {word}" for count, word in ((errors, "to mend"), (warnings, "to know of"))]
    shown = [part for part in parts if not part.startswith("0 ")]
    return f"\n{len(found)} findings, {', '.join(shown)}" if shown else "\nall is well"
