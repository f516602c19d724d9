"""The provider of clusters at a gateway: a facility's server that starts them for its users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from beampipe.clusters.gateway_door import find_address, find_auth, import_gateway, open_door
from beampipe.clusters.gateway_options import choose_options, describe_choices, read_offer
from beampipe.clusters.site import Site
from beampipe.errors import GatewayAccessError, GatewayAnswerError, GatewayUnreachableError

if TYPE_CHECKING:
    from distributed.deploy import Cluster

    from beampipe.clusters.batch_cluster import Predecessor


@dataclass(frozen=True, slots=True)
class GatewayProvider:
    """Clusters that a server of dask-gateway starts."""

    def describe(self, site: Site) -> str:
        """What it is."""
        address = site.gateway_address or "the address in dask-gateway's configuration"
        return f"a cluster of the gateway at {address}"

    def preview(self, site: Site) -> str:
        """The address, and the options that would be sent, by what the gateway offers.

        Raises
        ------
        ProviderError, SiteInvalidError
            The package dask-gateway is not installed, or no address is known.
        GatewayOptionError
            ``gateway-option``: an option cannot be sent.
        """
        import_gateway()
        head = (
            f"# {self.describe(site)}\n"
            f"# address: {find_address(site)}; schedulers through "
            f"{site.gateway_proxy_address or 'the same, or as dask-gateway is configured'}; "
            f"authentication: {find_auth(site)}\n"
        )
        try:
            with open_door(site) as gateway:
                server = gateway.get_versions()["server"].get("version", "unknown")
                options = gateway.cluster_options(use_local_defaults=False)
                configured = gateway._config_cluster_options()  # noqa: SLF001 (there is no other)
        except (GatewayUnreachableError, GatewayAnswerError, GatewayAccessError) as error:
            told = "\n".join(f"# {line}" for line in str(error).splitlines())
            return f"{head}# What it offers cannot be asked now:\n{told}\n"
        offered = read_offer(options)
        chosen = choose_options(site, offered, configured)
        return f"{head}# dask-gateway-server {server}\n{describe_choices(chosen, offered)}"

    def open(
        self,
        site: Site,
        *,
        name: str | None,  # noqa: ARG002 (the gateway names it)
        asynchronous: bool,
        predecessor: Predecessor | None = None,  # noqa: ARG002 (the gateway keeps its clusters)
    ) -> Cluster:
        """Have a cluster started, and wait until its scheduler is there."""
        import_gateway()
        from beampipe.clusters.gateway_cluster import SiteGatewayCluster

        return SiteGatewayCluster(site, asynchronous=asynchronous)
