"""``beampipe site``: the places where workers can run."""

from __future__ import annotations

from pathlib import Path

import click

NEW_PROFILE = """\
# Site {name}. Every key: docs/reference/site-profiles.md; `beampipe site check {name}` looks at it.
description = ""
like = "{like}"

# queue = ""
# account = ""
# cores = 1            # of one job
# memory = "2 GiB"     # of one job
# walltime = "1 h"
# venv = "/path/to/venv"
# hosts = ["login*.example.org"]
"""


@click.group("site")
def command() -> None:
    """Look at, begin and check the places where workers can run.

    A site is a TOML file: shipped with Beampipe, from your institute
    (/etc/beampipe/sites, $BEAMPIPE_SITES), yours, or beside your project.
    """


@command.command("list")
def list_command() -> None:
    """List all sites, and which of them this host belongs to."""
    from beampipe.clusters.detection import detect_sites
    from beampipe.clusters.site_files import list_sites, load_site
    from beampipe.errors import SiteInvalidError

    names = list_sites()
    width = max(map(len, names), default=0)
    for name, layers in names.items():
        try:
            site = load_site(name)
        except SiteInvalidError as error:
            click.echo(f"{name:<{width}}  cannot be used: {error.why}")
            continue
        kind = site.batch_system or site.provider
        text = f"{name:<{width}}  {kind:<8}  {site.description or '-'}"
        click.echo(f"{text} [{', '.join(layers)}; tried: {site.tried or 'not said'}]")
    try:
        found = detect_sites()
    except SiteInvalidError:  # it stands in the list above
        found = []
    for detected in found:
        click.echo(f"here: {detected}")


@command.command("show")
@click.argument("name")
@click.option("--origin", "with_origin", is_flag=True, help="Say where each value comes from.")
def show_command(name: str, *, with_origin: bool) -> None:
    """Show what site NAME says."""
    from beampipe.clusters.site import describe_value
    from beampipe.clusters.site_files import load_site, site_values
    from beampipe.clusters.strategies import choose_strategy

    site = load_site(name)
    for key, value in site_values(site).items():
        origin = site.origin(key)
        if not with_origin and origin == "default":
            continue
        line = f"{key} = {describe_value(key, value)}"
        click.echo(f"{line:<40}  # {origin}" if with_origin else line)
    click.echo(f"# environment of the workers: {choose_strategy(site)}")


@command.command("new")
@click.argument("name")
@click.option("--like", default="slurm", show_default=True, help="The site to begin from.")
def new_command(name: str, *, like: str) -> None:
    """Begin a profile NAME in your own folder."""
    from beampipe.clusters.site_files import load_site, user_folder
    from beampipe.errors import SiteInvalidError

    load_site(like)
    if Path(name).name != name or name.startswith("."):
        raise click.BadParameter(f"{name!r} is no name for a file", param_hint="NAME")
    path = user_folder() / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(NEW_PROFILE.format(name=name, like=like))
    except FileExistsError as error:
        raise SiteInvalidError(
            f"There is a profile '{path}' already.",
            why="a new one would take its place",
            fix="edit that one, or choose another name",
            key="",
            origin=str(path),
        ) from error
    click.echo(str(path))


@command.command("check")
@click.argument("name_or_file")
def check_command(name_or_file: str) -> None:
    """Check a site by name, or a profile by its path."""
    from beampipe.clusters.site_files import check_profile, load_site

    path = Path(name_or_file)
    is_file = path.suffix == ".toml" or path.is_file()
    site = check_profile(path) if is_file else load_site(name_or_file)
    click.echo(f"site '{site.name}' is in order; tried: {site.tried or 'not said'}")


@command.command("import-jobqueue")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="A folder.")
def import_command(file: Path, *, output: Path | None) -> None:
    """Turn a configuration of dask-jobqueue into profiles.

    They are printed, or written into the folder OUTPUT; no file is overwritten.
    """
    from beampipe.clusters.jobqueue_import import import_jobqueue

    for made in import_jobqueue(file):
        if output is None:
            click.echo(f"# {made.name}.toml\n{made.text}")
            continue
        output.mkdir(parents=True, exist_ok=True)
        path = output / f"{made.name}.toml"
        try:
            with path.open("x", encoding="utf-8") as target:
                target.write(made.text)
        except FileExistsError:
            raise click.UsageError(f"'{path}' exists already.") from None
        click.echo(str(path))
        for entry in made.left_out:
            click.echo(f"  not taken over: {entry}")
