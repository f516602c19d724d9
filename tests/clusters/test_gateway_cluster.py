"""How starting fails, at a gateway that is played; a real one: tests/farms/test_gateway.py."""

from __future__ import annotations

import asyncio

import pytest

from beampipe.clusters import leaving
from beampipe.clusters.gateway_cluster import SiteGatewayCluster
from beampipe.clusters.site_files import load_site
from beampipe.errors import (
    ClusterGoneError,
    GatewayLimitError,
    GatewayOptionError,
    GatewayStartError,
    GatewayUnreachableError,
)


@pytest.fixture(autouse=True)
def nothing_is_left_open():
    yield
    assert not list(leaving._OPEN)


def start(**overrides):
    return SiteGatewayCluster(load_site("gate", **overrides))


def test_only_what_was_said_goes_over_the_servers_defaults(gateway):
    gateway.next_states = ["FAILED"]
    with pytest.raises(GatewayStartError, match="reported last: failed"):
        start(variables={"A": "b"})
    assert gateway.submitted == [{"worker_cores": 2, "env": {"A": "b"}}]


def test_one_that_fails_is_told_and_ended(gateway):
    gateway.next_states = ["PENDING", "PENDING", "FAILED"]
    told = []
    with pytest.raises(GatewayStartError) as caught:
        SiteGatewayCluster(load_site("gate"), say=told.append)
    assert caught.value.status == "failed"
    assert told == ["cluster c0 at site 'gate': pending"]
    assert "DELETE /api/v1/clusters/c0" in gateway.asked


def test_one_that_is_late_is_ended(gateway):
    with pytest.raises(GatewayStartError, match="not ready within 0.5 s"):
        start(start_timeout="0.5 s")
    assert gateway.clusters == {"c0": "STOPPED"}


def test_a_server_that_is_away_for_a_moment_is_waited_for(gateway):
    gateway.next_states = ["BROKEN", "PENDING", "BROKEN", "BROKEN", "STOPPED"]
    told = []
    with pytest.raises(GatewayStartError, match="reported last: stopped"):
        SiteGatewayCluster(load_site("gate"), say=told.append)
    assert any("does not answer" in each for each in told)


def test_one_that_stays_away_is_told(gateway):
    gateway.next_states = ["BROKEN"]
    with pytest.raises(GatewayUnreachableError):
        start(start_timeout="0.5 s")


def test_a_limit_is_told_from_wrong_options(gateway):
    gateway.refuses = "You may only have 1 active cluster"
    with pytest.raises(GatewayOptionError, match="only have 1"):  # none is there
        start()
    gateway.clusters["old"] = "STOPPING"
    with pytest.raises(GatewayLimitError, match="beampipe cluster down gate/old") as caught:
        start()
    assert caught.value.clusters == ["gate/old"]
    gateway.refuses = "image not allowed"
    with pytest.raises(GatewayOptionError, match="image not allowed"):
        start()


def test_one_that_was_there_and_is_not(gateway):
    site = load_site("gate")
    with pytest.raises(ClusterGoneError, match="Cluster x not found"):
        SiteGatewayCluster(site, server_name="x")
    gateway.clusters["x"] = "STOPPING"
    with pytest.raises(ClusterGoneError, match="it is stopping"):
        SiteGatewayCluster(site, server_name="x")
    assert not any(line.startswith("DELETE") for line in gateway.asked)


@pytest.mark.parametrize("hesitates_s", [0.0, 0.5])
def test_an_interrupted_start_leaves_nothing(gateway, hesitates_s):
    gateway.hesitates_s = hesitates_s

    async def story():
        cluster = SiteGatewayCluster(load_site("gate"), asynchronous=True)
        assert cluster.scale(3) is None  # once it is there
        starting = asyncio.ensure_future(cluster.__aenter__())
        while not gateway.clusters:  # noqa: ASYNC110 (it is in another thread)
            await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(story())
    assert gateway.clusters == {"c0": "STOPPED"}
