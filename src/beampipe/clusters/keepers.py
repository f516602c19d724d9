"""Services that keep clusters: one with a name that lives there needs no controller of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from beampipe.clusters.gateway_keeper import GatewayKeeper
from beampipe.clusters.named import NamedCluster, Sight, Standing, find_named, list_named
from beampipe.clusters.site import Site
from beampipe.clusters.site_files import load_site
from beampipe.errors import ClusterAmbiguousError, ClusterUnknownError


class Keeper(Protocol):
    """What keeps clusters of one kind."""

    def start(self, record: NamedCluster, site: Site, say: Callable[[str], None]) -> NamedCluster:
        """Have a cluster started, and write its record when it is there."""

    def connect(self, record: NamedCluster, *, asynchronous: bool) -> Any:
        """A cluster like those of `distributed.deploy`; leaving it leaves it as it is."""

    def look(self, record: NamedCluster) -> Sight:
        """Ask how a cluster is."""

    def end(self, record: NamedCluster) -> None:
        """End a cluster, and forget its record."""

    def find(self, site: Site) -> list[NamedCluster]:
        """The user's clusters there, whoever started them, as records that are not written."""


KEEPERS: Final[Mapping[str, Callable[[], Keeper]]] = MappingProxyType({"gateway": GatewayKeeper})


def find_keeper(record: NamedCluster) -> Keeper | None:
    """What keeps a cluster; None is a controller of ours."""
    return KEEPERS[record.provider]() if record.provider in KEEPERS else None


def find_standing(record: NamedCluster) -> Standing:
    """How a cluster is; a service is asked."""
    keeper = find_keeper(record)
    return keeper.look(record).standing if keeper is not None else record.standing


def find_cluster(name: str | None) -> NamedCluster:
    """Find a cluster by its name, or by ``SITE/ID`` at the service that keeps it.

    Parameters
    ----------
    name : str or None
        None is the one named cluster that there is. Only a name with a ``/`` asks a service.

    Raises
    ------
    ClusterUnknownError
        ``cluster-unknown``: there is none.
    ClusterAmbiguousError
        ``cluster-ambiguous``: there are several.
    """
    if name is None or "/" not in name:
        return find_named(name)
    site, _, wanted = name.partition("/")
    there = list_at(site)
    found = [each for each in there if _is_meant(each.server_name, wanted)]
    names = [each.name for each in there]
    if len(found) > 1:
        raise ClusterAmbiguousError(
            f"{len(found)} clusters at site '{site}' are called '{wanted}...'.",
            why=", ".join(f"'{each.server_name}' ({each.name})" for each in found),
            fix="give more of its ID",
            candidates=[each.name for each in found],
        )
    if not found:
        raise ClusterUnknownError(
            f"There is no cluster '{wanted}' at site '{site}'.",
            why=f"those that there are: {', '.join(names)}" if names else "you have none there",
            fix=f"`beampipe cluster ls --on {site}` lists them",
            known=names,
        )
    return found[0]


def _is_meant(server_name: str, wanted: str) -> bool:
    """Whether a name begins as was said; on Kubernetes a namespace and a dot stand in front."""
    return any(name.startswith(wanted) for name in (server_name, server_name.rpartition(".")[2]))


def list_at(site_name: str) -> list[NamedCluster]:
    """All clusters at a site whose clusters a service keeps; those with a name under that name.

    Raises
    ------
    ClusterUnknownError
        ``cluster-unknown``: no service keeps the clusters of this site.
    """
    site = load_site(site_name)
    maker = KEEPERS.get(site.provider)
    if maker is None:
        raise ClusterUnknownError(
            f"Site '{site_name}' has no service that could be asked for clusters.",
            why=f"its provider is '{site.provider}'",
            fix="`beampipe cluster ls` lists the clusters with a name",
            known=[],
        )
    named = {each.server_name: each for each in list_named() if each.site == site_name}
    return [named.get(each.server_name, each) for each in maker().find(site)]


def list_clusters(site_name: str | None) -> list[NamedCluster]:
    """The named clusters; with a site only those there, and what its service keeps besides."""
    if site_name is None:
        return list_named()
    named = [each for each in list_named() if each.site == site_name]
    if load_site(site_name).provider not in KEEPERS:
        return named
    known = {each.name for each in named}
    return [*named, *(each for each in list_at(site_name) if each.name not in known)]
