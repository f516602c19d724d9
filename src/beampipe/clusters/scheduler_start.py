"""Starts a Dask scheduler in this process, on ports and addresses of a site."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
from typing import Any

import dask
from distributed import Scheduler
from distributed.security import Security

from beampipe.clusters.descriptors import make_room
from beampipe.clusters.site import Ports, Site
from beampipe.errors import ClusterStartError

# Beampipe finds out itself who is to blame for a worker's death; and Dask's own saturation lets
# workers wait between small tasks.
_SETTINGS = {
    "distributed.scheduler.worker-saturation": 10.0,
    "distributed.scheduler.allowed-failures": 5,
}


async def start_scheduler(site: Site, security: Security | None, *, first: str = "") -> Scheduler:
    """Start a scheduler.

    Parameters
    ----------
    site : Site
    security : Security or None
    first : str
        An address whose port is tried before all others.

    Raises
    ------
    ClusterStartError
        ``cluster-start``: no port of the range is free, or the interface does not exist.
    """
    why = "all ports of the range are taken"
    old = first.rpartition(":")[2]
    preferred = [int(old)] if old.isdecimal() and _is_free(int(old)) else []
    for port in [*preferred, *_candidates(site.scheduler_ports)]:
        try:
            scheduler = _make_scheduler(site, port, security)
        except ValueError as error:  # the interface is not there
            why = str(error)
            break
        try:
            await scheduler
        except (OSError, RuntimeError, ValueError) as error:
            why = str(error.__cause__ or error)
            with contextlib.suppress(OSError, RuntimeError):
                await scheduler.close()
            continue
        return scheduler
    raise ClusterStartError(
        "The scheduler cannot be started here.",
        why=why,
        fix=f"see `scheduler_ports` (from {site.origin('scheduler_ports')}) and `interface` (from "
        f"{site.origin('interface')}) of site '{site.name}'",
    )


def _make_scheduler(site: Site, port: int, security: Security | None) -> Scheduler:
    with dask.config.set(_SETTINGS):
        scheduler = Scheduler(
            port=port,
            protocol="tls://" if security else "tcp://",
            interface=site.interface or None,
            security=security,
            dashboard_address=f":{_free_port(site.dashboard_ports)}",
            dashboard=False,  # it follows
        )
    make_room(scheduler)
    return scheduler


async def add_dashboard(scheduler: Scheduler) -> None:
    """Put the dashboard's pages on the scheduler's web server.

    Importing them takes half a second, in which workers can be on their way already.
    """
    pages = await asyncio.to_thread(importlib.import_module, "distributed.dashboard.scheduler")
    pages.connect(scheduler.http_application, scheduler.http_server, scheduler, prefix="/")


def find_contact(site: Site, scheduler: Any) -> str:
    """The address by which workers call the scheduler."""
    address = str(scheduler.address)
    if not site.contact_address:
        return address
    protocol, _, rest = address.partition("://")
    return f"{protocol}://{site.contact_address}:{rest.rpartition(':')[2]}"


def _candidates(ports: Ports) -> list[int]:
    first, last = ports
    return [port for port in range(first, last + 1) if not port or _is_free(port)]


def _free_port(ports: Ports) -> int:
    """A port of the range that nobody has just now, else any; its link is shown."""
    return next((port for port in range(ports[0], ports[1] + 1) if _is_free(port)), 0)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
