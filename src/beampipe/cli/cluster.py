"""``beampipe cluster``: workers at a site."""

from __future__ import annotations

import click


@click.group("cluster")
def command() -> None:
    """Look at the clusters that sites give."""


@command.command("preview")
@click.option("--on", "site", metavar="SITE", help="A site [default: told by this host's name].")
def preview_command(site: str | None) -> None:
    """Print exactly what would be submitted for one job; nothing is."""
    from beampipe.clusters.detection import detect_site
    from beampipe.clusters.providers import find_provider
    from beampipe.clusters.site_files import load_site

    if site is None:
        detected = detect_site()
        click.echo(f"# {detected}")
        site = detected.site
    profile = load_site(site)
    click.echo(find_provider(profile.provider).preview(profile), nl=False)
