"""Named clusters that a gateway keeps: the server has the scheduler, we have the name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from beampipe.clusters.gateway_door import import_gateway, open_door
from beampipe.clusters.named import NamedCluster, Sight, Standing, Wish, write_profile
from beampipe.clusters.site import Site
from beampipe.errors import (
    ClusterGoneError,
    GatewayAccessError,
    GatewayAnswerError,
    GatewayUnreachableError,
)

_STANDINGS: Mapping[str, Standing] = {
    "PENDING": Standing.STARTING,
    "RUNNING": Standing.RUNNING,
    "STOPPING": Standing.GONE,
    "STOPPED": Standing.GONE,
    "FAILED": Standing.FAILED,
}
_NO_WAY = (GatewayUnreachableError, GatewayAnswerError, GatewayAccessError)


class GatewayKeeper:
    """Keeps clusters at the gateways of sites."""

    def start(self, record: NamedCluster, site: Site, say: Callable[[str], None]) -> NamedCluster:
        """Have a cluster started, and write its record when it is there."""
        import_gateway()
        from beampipe.clusters.gateway_cluster import SiteGatewayCluster

        cluster = SiteGatewayCluster(site, say=say)
        try:
            if record.wish != Wish():
                _follow(cluster, record.wish)
            started = replace(
                record,
                state=Standing.RUNNING,
                server_name=cluster.name,
                address=cluster.scheduler_address,
                dashboard=cluster.dashboard_link or "",
            )
            started.write()
        except BaseException:
            cluster.close(shutdown=True)
            raise
        cluster.close(shutdown=False)
        return started

    def connect(self, record: NamedCluster, *, asynchronous: bool) -> Any:
        """A cluster like those of `distributed.deploy`; leaving it leaves it as it is."""
        import_gateway()
        from beampipe.clusters.gateway_cluster import SiteGatewayCluster

        if not record.server_name:
            raise _not_there(record)

        def note(wish: Wish) -> None:
            if record.exists():
                replace(record, wish=wish).write()

        return SiteGatewayCluster(
            record.load_site(),
            server_name=record.server_name,
            asynchronous=asynchronous,
            note=note,
        )

    def look(self, record: NamedCluster) -> Sight:
        """Ask the gateway how a cluster is."""
        if not record.server_name:
            return Sight(record.standing, record.words)
        try:
            with open_door(record.load_site()) as gateway:
                standing, words = _ask(gateway, record)
            status = {}
            if standing is Standing.RUNNING:
                with self.connect(record, asynchronous=False) as cluster:
                    status = cluster.ask_status()
        except _NO_WAY as error:
            return Sight(Standing.UNKNOWN, f"{error.message} {error.why}")
        except ClusterGoneError as error:  # meanwhile
            return Sight(Standing.GONE, f"{error.message} {error.why}")
        return Sight(standing, words, status)

    def end(self, record: NamedCluster) -> None:
        """End a cluster, wait until it has stopped, and forget its record."""
        if record.server_name:
            try:
                self.connect(record, asynchronous=False).shut_down()
            except ClusterGoneError:
                pass
            except GatewayUnreachableError:  # the scheduler, perhaps: the server is asked alone
                with open_door(record.load_site()) as gateway:
                    gateway.stop_cluster(record.server_name)
        if "/" not in record.name:
            record.remove()

    def find(self, site: Site) -> list[NamedCluster]:
        """The user's clusters there, whoever started them, as records that are not written."""
        with open_door(site) as gateway:
            reports = gateway.list_clusters(status=["pending", "running", "stopping"])
        return [
            NamedCluster(
                name=f"{site.name}/{each.name}",
                site=site.name,
                profile=write_profile(site),
                state=_STANDINGS[each.status.name],
                address=each.scheduler_address or "",
                dashboard=each.dashboard_link or "",
                began_at=each.start_time.timestamp(),
                provider=site.provider,
                server_name=each.name,
            )
            for each in reports
        ]


def _follow(cluster: Any, wish: Wish) -> None:
    if wish.maximum is None:
        cluster.scale(wish.workers)
    else:
        cluster.adapt(minimum=wish.minimum, maximum=wish.maximum)


def _ask(gateway: Any, record: NamedCluster) -> tuple[Standing, str]:
    """What the server says of a cluster."""
    try:
        report = gateway.get_cluster(record.server_name)
    except ValueError as error:
        if "not found" not in str(error).lower():
            raise
        return Standing.GONE, f"the gateway of site '{record.site}' says: {error}"
    standing = _STANDINGS.get(report.status.name, Standing.UNKNOWN)
    is_well = standing in {Standing.STARTING, Standing.RUNNING}
    status = report.status.name.lower()
    return standing, "" if is_well else f"the gateway of site '{record.site}' says: {status}"


def _not_there(record: NamedCluster) -> ClusterGoneError:
    return ClusterGoneError(
        f"Cluster '{record.name}' is not there.",
        why=record.words or "it was never started to the end",
        fix=f"`beampipe cluster up {record.name}` starts it; `beampipe cluster down {record.name}` "
        "forgets it",
        log="",
    )
