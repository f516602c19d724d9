"""``beampipe run``: a processor over a whole fileset."""

from __future__ import annotations

from typing import Any

import click

from beampipe.cli.options import (
    json_option,
    max_failed_option,
    one_or_many,
    parse_params,
    place_options,
    placed_client,
    processor_options,
    quiet_option,
    workers_option,
)
from beampipe.cli.run_output import finish_run


@click.command("run")
@processor_options
@workers_option
@place_options
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    help="What failing chunks and unusable files do [default: stop].",
)
@max_failed_option("all of it")
@click.option("--maxfiles", type=click.IntRange(1), help="Only the first N files per dataset.")
@click.option("--maxchunks", type=click.IntRange(1), help="Only the first N chunks per dataset.")
@click.option("--maxevents", type=click.IntRange(1), help="Only the first N events per dataset.")
@click.option(
    "--checkpoint",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Least time between two commits [default: 30].",
)
@click.option(
    "--run-dir",
    type=click.Path(),
    help="The run directory [default: a new one in beampipe-runs].",
)
@click.option("--name", help="A name for people [default: the processor's].")
@click.option(
    "--reproducible",
    is_flag=True,
    help="Add in a fixed order: the same bits for any number of workers.",
)
@click.option("--fresh", is_flag=True, help="Take nothing from earlier runs.")
@click.option(
    "--input",
    "inputs",
    type=click.Path(exists=True),
    multiple=True,
    help="A file or folder that the processor reads besides the ROOT files. Repeatable.",
)
@click.option(
    "--reuse-from",
    type=click.Path(exists=True, file_okay=False),
    multiple=True,
    help="A run, or a folder of runs, to take chunks from besides beampipe-runs. Repeatable.",
)
@json_option
@quiet_option
def command(
    processor: str,
    fileset: tuple[str, ...],
    *,
    params: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    site: str | None,
    cluster: str | None,
    workers: int | None,
    **options: Any,
) -> None:
    """Run PROCESSOR over FILESET, every event once.

    \b
    PROCESSOR  FILE.py:NAME or package.module:NAME
    FILESET    ROOT files, a folder, a glob in quotes, or a TOML, JSON or YAML file

    \b
    Examples:
      beampipe run dimuon.py:process data
      beampipe run analysis.py:Analysis files.toml --param era=2018 --on-error skip
      beampipe run dimuon.py:process 'root://host//store/*.root' --maxchunks 2
    """  # noqa: D301 (click's own mark)

    def go() -> Any:
        from beampipe.runs.early import early_workers

        if site is not None:
            from beampipe.runs.at_site import check_files_at

            check_files_at(site, one_or_many(fileset), options["inputs"])
        # Workers get ready while this process imports what it needs itself.
        is_elsewhere = site is not None or cluster is not None
        with (
            early_workers(0 if is_elsewhere else workers),
            placed_client(site, cluster, workers) as client,
        ):
            from beampipe.runs.run import run

            return run(
                processor,
                one_or_many(fileset),
                params=parse_params(params),
                progress=not quiet,
                client=client,
                workers=None if client else workers,
                **options,
            )

    finish_run(go, as_json=as_json, quiet=quiet)
