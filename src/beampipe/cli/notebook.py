"""``beampipe notebook``: JupyterLab on a worker node."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from beampipe.cli.json_output import print_json
from beampipe.cli.options import json_option


@click.group("notebook", invoke_without_command=True)
@click.option("--on", "site", metavar="SITE", help="A site [default: told by this host's name].")
@click.option("--here", is_flag=True, help="On this host, as a process that stays.")
@click.option("--name", default="notebook", show_default=True, help="A name for people.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The folder that it shows [default: this one].",
)
@click.pass_context
def command(ctx: click.Context, *, site: str | None, here: bool, name: str, folder: Path) -> None:
    """Start JupyterLab on a worker node, and say how to get to it.

    It stays until its job's time is over, or `beampipe notebook stop`.

    \b
    Examples:
      beampipe notebook --on slurm
      beampipe notebook --here --folder ~/analysis
    """  # noqa: D301 (click's own mark)
    if ctx.invoked_subcommand is not None:
        return
    from beampipe.cli.cluster import detect_site_of
    from beampipe.clusters.notebooks import open_notebook
    from beampipe.clusters.site import GATEWAY
    from beampipe.clusters.site_files import load_site

    if here and site is not None:
        raise click.UsageError("--here and --on exclude each other.")
    profile = None if here else load_site(detect_site_of(site))
    if profile is not None and profile.provider == GATEWAY:
        raise click.UsageError(
            f"Site '{profile.name}' is a gateway, which starts clusters and no notebooks: use its "
            "facility's JupyterHub, or --here for one on this host."
        )
    if profile is not None and not profile.batch_system:
        profile = None  # a site of this host's own
    book = open_notebook(
        name, profile, work=folder.absolute(), say=lambda text: click.echo(text, err=True)
    )
    _show(book)


@command.command("list")
@json_option
def list_command(*, as_json: bool) -> None:
    """List your notebooks, how they are, and how to get to them."""
    from beampipe.clusters.notebooks import list_notebooks, look_at

    books = [(book, look_at(book)) for book in list_notebooks()]
    if as_json:
        keys = ("name", "site", "job_id", "began_at")
        print_json(
            [{key: getattr(book, key) for key in keys} | {"state": how} for book, how in books]
        )
        return
    if not books:
        click.echo("no notebooks; `beampipe notebook --on SITE` starts one")
    for book, how in books:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(book.began_at))
        where = f"job {book.job_id} at {book.site}" if book.job_id else "on this host"
        click.echo(f"{book.name}  {how}, {where}, since {since}")
        if how == "running":
            _show(book)


@command.command("stop")
@click.argument("name", required=False)
def stop_command(name: str | None) -> None:
    """End a notebook."""
    from beampipe.clusters.notebooks import find_notebook, stop_notebook

    book = find_notebook(name)
    stop_notebook(book)
    click.echo(f"notebook '{book.name}' is stopped")


def _show(book: Any) -> None:
    way = book.describe()
    if not way:
        return
    click.echo(f"  JupyterLab on {way['host']}, port {way['port']}")
    click.echo(f"  from your computer:  {way['tunnel']}")
    click.echo(f"  then open:           {way['url']}")
    if book.job_id:
        click.echo("  Its certificate is its own: your browser asks once whether you trust it.")
