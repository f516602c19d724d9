from __future__ import annotations

import time

import pytest

from beampipe.clusters.keepers import (
    find_cluster,
    find_keeper,
    find_standing,
    list_at,
    list_clusters,
)
from beampipe.clusters.named import Standing, Wish, new_named
from beampipe.clusters.site_files import load_site
from beampipe.errors import ClusterAmbiguousError, ClusterUnknownError, SiteUnknownError


def note(name, site, **changes):
    from dataclasses import replace

    record = replace(new_named(name, load_site(site), Wish(), began_at=time.time()), **changes)
    record.write()
    return record


@pytest.fixture
def three(gateway):
    """Three at the gateway, one of them with a name here, and one that is not there."""
    gateway.clusters |= {"3f2a": "RUNNING", "3f9c": "PENDING", "ns.77": "RUNNING"}
    note("mine", "gate", server_name="3f9c", state="running")
    note("farm", "slurm")
    return gateway


def test_a_service_keeps_what_is_its_own(three):
    assert find_keeper(find_cluster("farm")) is None
    assert find_keeper(find_cluster("mine")) is not None
    assert find_standing(find_cluster("farm")) is Standing.STARTING
    assert find_standing(find_cluster("mine")) is Standing.STARTING  # the server says: pending


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("gate/3f2", "gate/3f2a"),
        ("gate/3f9c", "mine"),
        ("gate/77", "gate/ns.77"),
        ("gate/ns", "gate/ns.77"),
        ("mine", "mine"),
    ],
)
def test_a_cluster_is_found_by_name_or_by_site_and_beginning(three, said, meant):
    assert find_cluster(said).name == meant


def test_what_is_not_clear_is_an_error_that_helps(three):
    with pytest.raises(ClusterAmbiguousError, match=r"'3f2a' \(gate/3f2a\), '3f9c' \(mine\)"):
        find_cluster("gate/3f")
    with pytest.raises(ClusterUnknownError, match="gate/3f2a, mine, gate/ns.77"):
        find_cluster("gate/x")
    with pytest.raises(ClusterUnknownError, match="its provider is 'batch'"):
        find_cluster("slurm/x")
    with pytest.raises(SiteUnknownError):
        find_cluster("nowhere/x")
    three.clusters.clear()
    with pytest.raises(ClusterUnknownError, match="you have none there"):
        find_cluster("gate/")


def test_lists(three):
    assert [each.name for each in list_clusters(None)] == ["farm", "mine"]
    assert three.asked == []  # nobody is asked for what is written down
    assert [each.name for each in list_clusters("gate")] == ["mine", "gate/3f2a", "gate/ns.77"]
    assert [each.name for each in list_clusters("slurm")] == ["farm"]
    assert [each.name for each in list_at("gate")] == ["gate/3f2a", "mine", "gate/ns.77"]
