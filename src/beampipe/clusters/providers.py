"""Every kind of cluster, by the name that a site's profile gives as its `provider`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from beampipe.clusters.gateway import GatewayProvider
from beampipe.clusters.site import Site
from beampipe.errors import ProviderError

if TYPE_CHECKING:
    from distributed.deploy import Cluster

    from beampipe.clusters.batch_cluster import Predecessor

ENTRY_POINTS: Final = "beampipe.providers"


class Provider(Protocol):
    """Opens clusters of one kind. A package adds one under `beampipe.providers`."""

    def describe(self, site: Site) -> str:
        """What it is, in one line."""

    def preview(self, site: Site) -> str:
        """What would be started, without starting anything."""

    def open(
        self,
        site: Site,
        *,
        name: str | None,
        asynchronous: bool,
        predecessor: Predecessor | None = None,
    ) -> Cluster:
        """Start a cluster without workers, or with the jobs of one whose process died."""


@dataclass(frozen=True, slots=True)
class LocalProvider:
    """Worker processes on this machine."""

    def describe(self, site: Site) -> str:
        """What it is."""
        return f"worker processes on this machine, {site.threads_per_worker} thread each"

    def preview(self, site: Site) -> str:
        """What would be started."""
        return f"# {self.describe(site)}; nothing is submitted\n"

    def open(
        self,
        site: Site,
        *,
        name: str | None,
        asynchronous: bool,
        predecessor: Predecessor | None = None,  # noqa: ARG002 (its workers died with it)
    ) -> Cluster:
        """Start Dask's own local cluster; nobody gets in without the keys in its memory."""
        from distributed import LocalCluster
        from distributed.security import Security

        from beampipe.clusters.local_cluster import keep_workers

        cluster = LocalCluster(
            name=name,
            n_workers=0,
            threads_per_worker=site.threads_per_worker,
            memory_limit=site.memory_per_worker_bytes,
            host="127.0.0.1",
            dashboard_address=":0",
            security=Security.temporary() if site.tls else None,
            asynchronous=asynchronous,
        )
        keep_workers(cluster)
        return cluster


@dataclass(frozen=True, slots=True)
class BatchProvider:
    """Jobs of a batch system."""

    def describe(self, site: Site) -> str:
        """What it is."""
        return f"jobs of {site.batch_system}, {site.processes_per_job} workers each"

    def preview(self, site: Site) -> str:
        """The job's script and the command that submits it."""
        from beampipe.batch.model import preview
        from beampipe.clusters.cluster_folder import find_folder
        from beampipe.clusters.condor_bindings import describe_way
        from beampipe.clusters.strategies import describe_strategy
        from beampipe.clusters.worker_job import describe_job, find_dialect

        tag = f"bp-{site.name}-00000000"
        folder = find_folder(site, tag)
        protocol = "tls" if site.tls else "tcp"
        port = site.scheduler_ports[0] or "PORT"
        address = f"{protocol}://{site.contact_address or 'SCHEDULER'}:{port}"
        job = describe_job(site, tag=tag, folder=folder, scheduler=address, name=site.name)
        dialect = find_dialect(site)
        text = preview(dialect, job, folder.script)
        return f"# {describe_way(dialect)}\n# environment: {describe_strategy(site)}\n{text}"

    def open(
        self,
        site: Site,
        *,
        name: str | None,
        asynchronous: bool,
        predecessor: Predecessor | None = None,
    ) -> Cluster:
        """Start a scheduler here, and what submits jobs for it."""
        from beampipe.clusters.batch_cluster import BatchCluster

        return BatchCluster(site, name=name, asynchronous=asynchronous, predecessor=predecessor)


PROVIDERS: Final[Mapping[str, Callable[[], Provider]]] = MappingProxyType(
    {"local": LocalProvider, "batch": BatchProvider, "gateway": GatewayProvider}
)


def find_provider(name: str) -> Provider:
    """Find a kind of cluster: ours, or one that an installed package adds.

    Raises
    ------
    ProviderError
        ``cluster-provider``: there is none of this name.
    """
    if name in PROVIDERS:
        return PROVIDERS[name]()
    added = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in added:
        provider: Any = added[name].load()
        return provider()  # type: ignore[no-any-return]
    known = (*PROVIDERS, *added)
    raise ProviderError(
        f"There is no kind of cluster '{name}'.",
        why=f"neither Beampipe nor an installed package has it (entry points '{ENTRY_POINTS}')",
        fix=f"set `provider` to one of {', '.join(known)}",
        known=known,
    )
