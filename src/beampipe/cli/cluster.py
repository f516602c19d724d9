"""``beampipe cluster``: workers at a site, under a name that outlives the shell."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from beampipe.cli.json_output import print_json
from beampipe.cli.options import json_option

if TYPE_CHECKING:
    from beampipe.clusters.named import NamedCluster, Sight

_on_option = click.option(
    "--on", "site", metavar="SITE", help="A site [default: told by this host's name]."
)
_name_argument = click.argument("name", required=False)


@click.group("cluster")
def command() -> None:
    """Start, list, resize and end clusters.

    A cluster has a name, and stays when the shell or notebook that started it is closed. In
    Python, beampipe.connect(NAME) is the cluster.
    """


@command.command("preview")
@_on_option
def preview_command(site: str | None) -> None:
    """Print exactly what would be submitted for one job, or sent to a gateway; nothing is."""
    from beampipe.clusters.providers import find_provider
    from beampipe.clusters.site_files import load_site

    profile = load_site(detect_site_of(site))
    click.echo(find_provider(profile.provider).preview(profile), nl=False)


@command.command("up")
@click.argument("name")
@_on_option
@click.option("--workers", type=click.IntRange(0), help="So many workers [default: none yet].")
@click.option(
    "--adapt",
    nargs=2,
    type=click.IntRange(0),
    metavar="MIN MAX",
    help="As many workers as there is work for.",
)
@click.option(
    "--scheduler",
    type=click.Choice(["here", "job"]),
    default="here",
    show_default=True,
    help="Where the scheduler runs: on this host, or as a job of the site's batch system.",
)
def up_command(
    name: str,
    site: str | None,
    *,
    workers: int | None,
    adapt: tuple[int, int] | None,
    scheduler: str,
) -> None:
    """Start cluster NAME, or take it over if its controller died.

    At a gateway it is the gateway that keeps it.
    """
    from beampipe.clusters.launching import launch
    from beampipe.clusters.named import list_named
    from beampipe.clusters.site_files import load_site

    wish = _read_wish(workers, adapt)
    is_known = any(each.name == name for each in list_named())
    profile = None if site is None and is_known else load_site(detect_site_of(site))
    record = launch(
        name, profile, wish, as_job=scheduler == "job", say=lambda text: click.echo(text, err=True)
    )
    click.echo(f"cluster '{name}' runs at {record.site}: {record.wish} workers asked for")
    click.echo(f"  in Python:  beampipe.connect({name!r})")
    click.echo(f"  dashboard:  {record.dashboard}")
    click.echo(f"  its end:    beampipe cluster down {name}")


@command.command("ls")
@click.option(
    "--on",
    "site",
    metavar="SITE",
    help="Only those there; of a gateway also those that have no name here.",
)
@json_option
def ls_command(site: str | None, *, as_json: bool) -> None:
    """List your clusters, how they are, and what their jobs wait for.

    A gateway is asked of the clusters that have a name here, and with --on of all that are yours.
    """
    from beampipe.clusters.keepers import list_clusters

    clusters = [_describe(each) for each in list_clusters(site)]
    if as_json:
        print_json(clusters)
        return
    if not clusters:
        click.echo(f"no clusters; `beampipe cluster up NAME --on {site or 'SITE'}` starts one")
    width = max((len(each["name"]) for each in clusters), default=0)
    for each in clusters:
        click.echo(
            f"{each['name']:<{width}}  {each['standing']:<8}  {each['site']}, since {each['since']}"
        )
        for line in filter(None, (each["workers"], each["jobs"], each["words"])):
            click.echo(f"{'':<{width}}  {line}")


@command.command("scale")
@click.argument("words", metavar="[NAME] WORKERS", nargs=-1, required=True)
def scale_command(words: tuple[str, ...]) -> None:
    """Ask for so many WORKERS."""
    name, (count,) = _name_and_numbers(words, 1)
    with _connected(name) as (record, cluster):
        cluster.scale(count)
        click.echo(f"cluster '{record.name}': {count} workers asked for")


@command.command("adapt")
@click.argument("words", metavar="[NAME] MIN MAX", nargs=-1, required=True)
def adapt_command(words: tuple[str, ...]) -> None:
    """Ask for as many workers as there is work for, between MIN and MAX."""
    name, (minimum, maximum) = _name_and_numbers(words, 2)
    _read_wish(None, (minimum, maximum))
    with _connected(name) as (record, cluster):
        cluster.adapt(minimum=minimum, maximum=maximum)
        click.echo(f"cluster '{record.name}': {minimum} to {maximum} workers, as there is work")


@command.command("jobs")
@_name_argument
@json_option
def jobs_command(name: str | None, *, as_json: bool) -> None:
    """List the jobs of a cluster, and what they wait for or died of."""
    from dataclasses import asdict

    with _connected(name) as (record, cluster):
        jobs = cluster.jobs()
    if as_json:
        print_json([asdict(job) | {"phase": str(job.phase)} for job in jobs])
        return
    if not jobs:
        click.echo(
            f"a {record.provider} tells nothing of its jobs" if record.server_name else "no jobs"
        )
    for job in jobs:
        since = _describe_age(time.time() - job.since)
        where = f" on {job.host}" if job.host else ""
        reason = f": {job.reason}" if job.reason else ""
        click.echo(f"{job.job_id:<12} {job.phase:<10} for {since}{where}{reason}")


@command.command("logs")
@_name_argument
@click.option("--job", "job_id", metavar="ID", help="Only what this job wrote.")
def logs_command(name: str | None, *, job_id: str | None) -> None:
    """Show what the controller, the workers and the jobs of a cluster wrote last."""
    from beampipe.clusters.keepers import find_cluster
    from beampipe.clusters.named import Standing

    record = find_cluster(name)
    if record.server_name:
        from beampipe.clusters.gateway_logs import find_log_folder

        folder = find_log_folder(record.load_site(), record.server_name)
        click.echo(
            f"# A {record.provider} shows the logs of what runs and is connected. What a scheduler "
            "or worker wrote that ended, or never began, "
            + (f"is in {folder} until the cluster ends." if folder else "its operators have."),
            err=True,
        )
    elif record.standing is not Standing.RUNNING:  # its log may say why
        click.echo(record.log.read_text(errors="replace") if record.log.exists() else "no log")
        return
    with _connected(name) as (_, cluster):
        if job_id is not None:
            click.echo(cluster.job_log(job_id) or f"job {job_id} wrote nothing yet")
            return
        for title, text in cluster.get_logs().items():
            click.secho(f"-- {title}", bold=True)
            click.echo(str(text).rstrip())


@command.command("dashboard")
@_name_argument
def dashboard_command(name: str | None) -> None:
    """Print the address of a cluster's dashboard, and how to reach it from elsewhere."""
    from urllib.parse import urlsplit

    from beampipe.clusters.keepers import find_cluster

    record = find_cluster(name)
    if not record.dashboard:
        raise click.ClickException(f"cluster '{record.name}' has no dashboard: {record.standing}")
    click.echo(record.dashboard)
    if record.server_name:
        click.echo("the gateway serves it, to whoever can reach that address", err=True)
        return
    port = urlsplit(record.dashboard).port
    host = record.owner.get("host", "HOST")
    click.echo(f"from elsewhere: ssh -N -L {port}:localhost:{port} {host}, then", err=True)
    click.echo(f"                http://localhost:{port}/status", err=True)


@command.command("down")
@_name_argument
def down_command(name: str | None) -> None:
    """End a cluster and all its jobs."""
    from beampipe.clusters.keepers import find_cluster
    from beampipe.clusters.reaping import take_down

    record = find_cluster(name)
    left = take_down(record)
    if left:
        raise click.ClickException(
            f"jobs with the tag {', '.join(left)} may still be in the queue, which gives no answer;"
            " try again later"
        )
    click.echo(f"cluster '{record.name}' is down")


@command.command("reap")
@click.option("--yes", is_flag=True, help="End them without being asked.")
@click.option(
    "--all",
    "also_unknown",
    is_flag=True,
    help="Also jobs of clusters of which nothing is noted here: they may belong to a cluster that "
    "lives on a host with another home.",
)
def reap_command(*, yes: bool, also_unknown: bool) -> None:
    """Find jobs that nobody looks after any more, and end them."""
    from beampipe.clusters.reaping import Orphans, end_orphans, find_orphans

    chosen = []
    for found in find_orphans():
        if not isinstance(found, Orphans):
            click.echo(found, err=True)
            continue
        is_chosen = bool(found.cluster) or also_unknown
        whose = f"cluster '{found.cluster}'" if found.cluster else "an unknown cluster"
        note = "" if is_chosen else " (left alone without --all)"
        click.echo(f"{found.system}: {len(found.job_ids)} jobs of {whose}, {found.tag}{note}")
        chosen += [found] if is_chosen else []
    if not chosen:
        click.echo("nothing to end")
        return
    if not yes:
        click.confirm(f"End {sum(len(each.job_ids) for each in chosen)} jobs?", abort=True)
    for orphans in chosen:
        done = end_orphans(orphans)
        click.echo(f"{orphans.tag}: {'ended' if done else 'told to end, but not gone yet'}")


# -- shared -------------------------------------------------------------------------------------


def detect_site_of(site: str | None) -> str:
    """The site that is meant; one that this host's name tells is said."""
    if site is not None:
        return site
    from beampipe.clusters.detection import detect_site

    detected = detect_site()
    click.echo(f"# {detected}", err=True)
    return detected.site


def _read_wish(workers: int | None, adapt: tuple[int, int] | None) -> Any:
    from beampipe.clusters.named import Wish

    if adapt is not None:
        if workers is not None:
            raise click.UsageError("--workers and --adapt exclude each other.")
        if adapt[0] > adapt[1]:
            raise click.UsageError("The smaller number of workers comes first.")
        return Wish(minimum=adapt[0], maximum=adapt[1])
    return None if workers is None else Wish(workers=workers)


def _name_and_numbers(words: tuple[str, ...], count: int) -> tuple[str | None, tuple[int, ...]]:
    """Split ``[NAME] NUMBER...``; the name may be left out where there is one cluster."""
    name = words[0] if len(words) == count + 1 else None
    numbers = words[-count:]
    if len(words) not in {count, count + 1} or not all(word.isdecimal() for word in numbers):
        what = "a number of workers" if count == 1 else "two numbers of workers"
        raise click.UsageError(f"Give the name of a cluster, if there are several, and {what}.")
    return name, tuple(map(int, numbers))


@contextlib.contextmanager
def _connected(name: str | None) -> Iterator[tuple[NamedCluster, Any]]:
    from beampipe.clusters.connecting import connect_to
    from beampipe.clusters.keepers import find_cluster

    record = find_cluster(name)
    with connect_to(record) as cluster:
        yield record, cluster


def _look(record: NamedCluster) -> Sight:
    """Ask what keeps a cluster how it is."""
    from beampipe.clusters.connecting import ConnectedCluster
    from beampipe.clusters.keepers import find_keeper
    from beampipe.clusters.named import Sight, Standing
    from beampipe.errors import ClusterGoneError

    keeper = find_keeper(record)
    if keeper is not None:
        return keeper.look(record)
    standing = record.standing
    if standing is Standing.GONE:
        words = f"its controller died; `beampipe cluster up {record.name}` takes it over"
        return Sight(standing, words)
    if standing is not Standing.RUNNING:
        return Sight(standing, record.words)
    try:
        with ConnectedCluster(record) as cluster:
            return Sight(standing, record.words, cluster.ask_status())
    except ClusterGoneError as error:
        return Sight(standing, f"{error.message} {error.why}")


def _describe(record: NamedCluster) -> dict[str, Any]:
    """A cluster as `ls` shows it."""
    sight = _look(record)
    status = sight.status
    workers = ""
    if status:
        tasks = f", {status['tasks']} tasks" if "tasks" in status else ""
        # What others have asked of a gateway it does not tell.
        of_so_many = "" if "/" in record.name else f" of {record.wish}"
        workers = f"{status['workers']} workers{of_so_many}{tasks}"
    return {
        "name": record.name,
        "standing": str(sight.standing),
        "site": record.site,
        "since": time.strftime("%Y-%m-%d %H:%M", time.localtime(record.began_at)),
        "host": record.owner.get("host", ""),
        "address": record.address,
        "dashboard": record.dashboard,
        "tag": record.tag,
        "provider": record.provider,
        "server_name": record.server_name,
        "workers": workers,
        "jobs": status.get("jobs", ""),
        "status": status,
        "words": sight.words,
    }


def _describe_age(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
