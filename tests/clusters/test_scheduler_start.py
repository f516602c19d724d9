from __future__ import annotations

import asyncio
import socket

import pytest
from distributed.security import Security
from tornado.httpclient import AsyncHTTPClient

from beampipe.clusters.scheduler_start import add_dashboard, find_contact, start_scheduler
from beampipe.clusters.site import Site
from beampipe.errors import ClusterStartError

# Tornado leaves a socket to the garbage collector whose port was taken.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def start(security=None, **values):
    async def story():
        site = Site.model_validate({"batch_system": "slurm", **values})
        scheduler = await start_scheduler(site, security)
        try:
            return scheduler.address, find_contact(site, scheduler)
        finally:
            await scheduler.close()

    return asyncio.run(story())


def taken_port():
    """A port that is taken, with room for a range behind it."""
    while True:
        holder = socket.socket()
        holder.bind(("", 0))
        holder.listen()
        port = holder.getsockname()[1]
        if port < 65_000:
            return holder, port
        holder.close()


def test_the_next_port_of_the_range_is_taken():
    holder, port = taken_port()
    with holder:
        address, contact = start(scheduler_ports=f"{port}:{port + 50}")
    assert address == contact
    assert port < int(address.rpartition(":")[2]) <= port + 50


def test_a_range_that_is_taken_is_an_error():
    holder, port = taken_port()
    with holder, pytest.raises(ClusterStartError, match="scheduler_ports"):
        start(scheduler_ports=port)


def test_an_interface_that_is_not_there_is_an_error():
    with pytest.raises(ClusterStartError, match="interface"):
        start(interface="no-such0")


def test_the_dashboard_follows():
    async def ask(scheduler, page):
        answer = await AsyncHTTPClient().fetch(
            f"http://127.0.0.1:{scheduler.http_server.port}/{page}", raise_error=False
        )
        return answer.code, answer.effective_url.rpartition("/")[2]

    async def story():
        scheduler = await start_scheduler(Site.model_validate({"batch_system": "slurm"}), None)
        try:
            before = await ask(scheduler, "status")
            await add_dashboard(scheduler)
            return before, await ask(scheduler, "status"), await ask(scheduler, "")
        finally:
            await scheduler.close()

    assert asyncio.run(story()) == ((404, "status"), (200, "status"), (200, "status"))


def test_workers_may_be_told_another_address():
    address, contact = start(Security.temporary(), contact_address="login.example.org")
    assert address.startswith("tls://")
    assert contact == f"tls://login.example.org:{address.rpartition(':')[2]}"
