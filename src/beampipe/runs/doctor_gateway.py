"""The doctor's look at a gateway: whether it lets us in, what it would be sent, what runs there."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from beampipe.checks import Finding
from beampipe.clusters.gateway_door import find_address, open_door
from beampipe.clusters.gateway_options import choose_options, read_offer
from beampipe.clusters.site import Site
from beampipe.errors import BeampipeError


def examine_gateway(site: Site) -> Iterator[Finding]:
    """Ask a site's gateway what can be asked without starting anything.

    Yields
    ------
    Finding
        ``gateway``: whether it answers and lets us in, and which clusters are there;
        ``gateway-version`` and ``gateway-options``: whether its version is ours, and whether it
        takes the options of the profile.
    """
    try:
        with open_door(site) as gateway:
            server = str(gateway.get_versions()["server"].get("version", "unknown"))
            options = gateway.cluster_options(use_local_defaults=False)
            configured = gateway._config_cluster_options()  # noqa: SLF001 (there is no other)
            mine = [each.name for each in gateway.list_clusters()]
    except BeampipeError as error:
        yield Finding("gateway", "error", f"{error.message} {error.why}", error.fix)
        return
    names = ", ".join(f"{site.name}/{name}" for name in mine)
    yours = f"yours there: {names}" if mine else "none of your clusters is there"
    yield Finding("gateway", "ok", f"{find_address(site)} lets us in; {yours}")
    yield _compare_versions(server)
    try:
        chosen = choose_options(site, read_offer(options), configured)
    except BeampipeError as error:
        yield Finding("gateway-options", "error", f"{error.message} {error.why}", error.fix)
        return
    sent = ", ".join(chosen) or "none; its defaults hold"
    yield Finding("gateway-options", "ok", f"it takes what would be sent: {sent}")


def _compare_versions(server: str) -> Finding:
    try:
        ours = version("dask-gateway")
    except PackageNotFoundError:
        ours = "unknown"
    if server == ours:
        return Finding("gateway-version", "ok", f"dask-gateway {ours} on both sides")
    return Finding(
        "gateway-version",
        "warning",
        f"dask-gateway is {ours} here, and {server} there",
        f"if clusters cannot be reached: pip install 'dask-gateway=={server}'",
    )
