"""What is asked of a gateway, played here; the real one is in tests/farms/test_gateway.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from beampipe.clusters.gateway_keeper import GatewayKeeper
from beampipe.clusters.launching import launch
from beampipe.clusters.named import Standing, Wish, list_named, new_named
from beampipe.clusters.reaping import take_down
from beampipe.clusters.site_files import load_site
from beampipe.errors import ClusterGoneError, GatewayStartError, GatewayUnreachableError


@pytest.fixture
def record(gateway):
    made = new_named("top", load_site("gate"), Wish(workers=2), began_at=1.0)
    made = replace(made, state="running", server_name="x")
    made.write()
    return made


def look(record):
    sight = GatewayKeeper().look(record)
    return sight.standing, sight.words


@pytest.mark.parametrize(
    ("state", "standing", "words"),
    [
        ("PENDING", Standing.STARTING, ""),
        ("STOPPING", Standing.GONE, "says: stopping"),
        ("STOPPED", Standing.GONE, "says: stopped"),
        ("FAILED", Standing.FAILED, "says: failed"),
    ],
)
def test_how_a_cluster_is(gateway, record, state, standing, words):
    gateway.clusters["x"] = state
    found = look(record)
    assert found[0] is standing
    assert words in found[1]


@pytest.mark.usefixtures("gateway")
def test_one_that_is_forgotten_is_gone(record):
    standing, words = look(record)
    assert standing is Standing.GONE
    assert "Cluster x not found" in words
    GatewayKeeper().end(record)
    assert list_named() == []


@pytest.mark.usefixtures("gateway")
def test_a_gateway_that_cannot_be_asked_makes_it_unknown(record):
    away = record.profile.replace("http://127.0.0.1:", "http://127.0.0.1:1#")
    standing, words = look(replace(record, profile=away))
    assert standing is Standing.UNKNOWN
    assert "does not answer" in words


def test_what_was_never_there_is_told_and_forgotten(record):
    nothing = replace(record, server_name="", words="the power went", began_at=0.0)
    assert look(nothing) == (Standing.GONE, "the power went")
    with pytest.raises(ClusterGoneError, match="the power went"):
        GatewayKeeper().connect(nothing, asynchronous=False)
    GatewayKeeper().end(nothing)
    assert list_named() == []


def test_clusters_there_are_found_as_records_that_are_not_written(gateway):
    gateway.clusters |= {"a": "PENDING", "b": "STOPPED", "ns.c": "RUNNING"}
    found = GatewayKeeper().find(load_site("gate"))
    assert [each.name for each in found] == ["gate/a", "gate/ns.c"]
    assert [each.standing for each in found] == [Standing.STARTING, Standing.RUNNING]
    assert found[1].dashboard == f"{gateway.address}/clusters/ns.c/status"
    assert found[1].address.endswith("/ns.c")
    assert found[0].load_site().gateway_address == gateway.address
    assert list_named() == []


def test_one_without_a_name_here_has_nothing_here_to_forget(gateway, record):
    gateway.clusters["y"] = "PENDING"
    gateway.next_states = ["BROKEN"]
    kept = record.folder.with_name("gate") / "y" / "of somebody else"
    kept.mkdir(parents=True)
    GatewayKeeper().end(replace(record, name="gate/y", server_name="y"))
    assert gateway.clusters["y"] == "STOPPED"
    assert kept.exists()


def test_a_start_that_fails_leaves_no_name(gateway):
    gateway.next_states = ["FAILED"]
    with pytest.raises(GatewayStartError):
        launch("new", load_site("gate"), Wish(workers=1))
    assert list_named() == []


def test_an_end_is_told_to_the_server_also_when_nothing_else_works(gateway, record):
    gateway.clusters["x"] = "PENDING"
    gateway.next_states = ["BROKEN"]
    assert take_down(record) == []
    assert gateway.clusters["x"] == "STOPPED"
    assert list_named() == []


@pytest.mark.usefixtures("gateway")
def test_an_end_that_cannot_be_told_keeps_the_name(record):
    away = record.profile.replace("http://127.0.0.1:", "http://127.0.0.1:1#")
    with pytest.raises(GatewayUnreachableError):
        take_down(replace(record, profile=away))
    assert [each.name for each in list_named()] == ["top"]
