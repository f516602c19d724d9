"""``beampipe make-data``: synthetic files to try things, and farms, with."""

from __future__ import annotations

from pathlib import Path

import click

from beampipe.datasets.samples import COMPRESSIONS, MAX_EXTRA_BRANCHES, make_data


@click.command("make-data")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--files", default=4, show_default=True, help="How many files.")
@click.option("--events", default=10_000, show_default=True, help="Events in each file.")
@click.option(
    "--extra-branches",
    default=0,
    show_default=True,
    help=f"Further branches, at most {MAX_EXTRA_BRANCHES:,}: for files as wide as real ones.",
)
@click.option(
    "--compression",
    default="zlib",
    show_default=True,
    metavar="|".join(COMPRESSIONS),
    help="How the files are compressed.",
)
@click.option("--rntuple", is_flag=True, help="Write RNTuples instead of TTrees.")
@click.option("--seed", default=1, show_default=True, help="Another seed gives other events.")
def command(
    directory: Path,
    *,
    files: int,
    events: int,
    extra_branches: int,
    compression: str,
    rntuple: bool,
    seed: int,
) -> None:
    """Make synthetic NanoAOD-like files in DIRECTORY.

    They hold muon pairs from J/psi, psi', the Upsilons and the Z over a continuum, electrons,
    jets, missing momentum and signed weights. The same seed gives the same events. Files
    that are there and were made with the same options are kept; nothing is overwritten.
    """
    from rich.console import Console
    from rich.progress import Progress

    made: list[Path] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Making data", total=files)

        def count(path: Path, is_new: bool) -> None:
            made.extend([path] if is_new else [])
            progress.advance(task)

        paths = make_data(
            directory,
            files=files,
            events=events,
            extra_branches=extra_branches,
            compression=compression,
            rntuple=rntuple,
            seed=seed,
            on_file=count,
        )
    size = sum(path.stat().st_size for path in paths)
    kind = "RNTuple" if rntuple else "TTree"
    click.echo(
        f"{files:,} {'file' if files == 1 else 'files'} with {events:,} events each "
        f"({kind}, {compression}, {size / 1e6:,.1f} MB) in {directory}"
    )
    if len(made) < files:
        click.echo(f"{files - len(made):,} of them were there already, made with the same options.")
