"""``beampipe resume``: what is missing of a run."""

from __future__ import annotations

from typing import Any

import click

from beampipe.cli.options import (
    json_option,
    max_failed_option,
    place_options,
    placed_client,
    quiet_option,
    run_argument,
    workers_option,
)
from beampipe.cli.run_output import finish_run


@click.command("resume")
@run_argument
@workers_option
@place_options
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    help="What failing chunks do [default: as the run began].",
)
@max_failed_option("as the run began")
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Go on although code, versions, inputs or files have changed; the result says so.",
)
@click.option(
    "--chunksize",
    type=click.IntRange(1),
    help="Refused unless it is what the run began with.",
)
@json_option
@quiet_option
def command(
    run: str,
    *,
    workers: int | None,
    site: str | None,
    cluster: str | None,
    on_error: str | None,
    max_failed: str | None,
    accept_changes: bool,
    chunksize: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Go on with RUN: only what no segment holds is done.

    RUN is a run directory, its name in beampipe-runs, or 'latest'. Chunks that failed before
    are tried again.
    """

    def go() -> Any:
        from beampipe.runs.resume import resume

        with placed_client(site, cluster, workers) as client:
            return resume(
                run,
                client=client,
                workers=None if client else workers,
                on_error=on_error,
                max_failed=max_failed,
                accept_changes=accept_changes,
                chunksize=chunksize,
                progress=not quiet,
            )

    finish_run(go, as_json=as_json, quiet=quiet)
