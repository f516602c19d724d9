"""Where bundles are done, and what is refused as a client."""

import dask
import pytest
from distributed import Client, LocalCluster

from beampipe.clusters.site_files import load_site
from beampipe.errors import ArgumentError
from beampipe.execution.bundles import RunContext
from beampipe.execution.inline_pool import InlinePool
from beampipe.runs import pools
from beampipe.runs.pools import (
    check_client,
    find_dashboard,
    find_differences,
    find_unset,
    gate_level,
    open_pool,
    prepared_workers,
)
from beampipe.settings import load_settings

CONTEXT = RunContext("abc", b"", {})


def test_no_workers_means_this_process():
    assert find_unset(None) == find_unset("inline") == ()
    for client, workers in (("inline", None), (None, 0)):
        with open_pool(client, CONTEXT, workers=workers) as (pool, dashboard):
            assert isinstance(pool, InlinePool)
            assert dashboard == ""


def look_at_profiler(dask_worker):
    return dask_worker.periodic_callbacks["profile"].callback_time


def test_a_given_client_keeps_nothing_of_the_run():
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        plugins = client.run(lambda dask_worker: set(dask_worker.plugins))
        pace = client.run(look_at_profiler)
        with open_pool(client, CONTEXT) as (pool, dashboard):
            assert pool.n_workers() == 1
            assert client.run(look_at_profiler) != pace
            assert dashboard.endswith("/status")
            assert client.run(lambda dask_worker: set(dask_worker.plugins)) != plugins
        assert client.run(lambda dask_worker: set(dask_worker.plugins)) == plugins
        assert client.run(look_at_profiler) == pace
        assert client.status == "running"
        with dask.config.set({"distributed.scheduler.worker-saturation": 1.1}):
            assert find_unset(client) == ("saturation",)
        with dask.config.set({"distributed.scheduler.worker-saturation": "inf"}):
            assert find_unset(client) == ()


def test_workers_are_prepared_only_where_they_are_ours():
    with prepared_workers("inline", None) as nothing:
        assert nothing is None
    with prepared_workers(None, 0) as nothing:
        assert nothing is None


def test_what_is_no_client():
    class Closed(Client):
        status = "closed"
        asynchronous = False

        def __init__(self): ...

        def __del__(self): ...

    check_client(None)
    check_client("inline")
    with pytest.raises(ArgumentError, match="neither|distributed.Client"):
        check_client("tcp://127.0.0.1:8786")
    with pytest.raises(ArgumentError, match="closed"):
        check_client(Closed())


def test_a_dashboard_link_that_cannot_be_made():
    """Facilities set a template with variables of JupyterHub, which a batch job does not have."""
    link = "https://hub.example{JUPYTERHUB_NOWHERE_PREFIX}/proxy/{port}/status"
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster,
        Client(cluster.scheduler_address) as client,
    ):
        assert find_dashboard(client).endswith("/status")
        with dask.config.set({"distributed.dashboard.link": link}):
            assert find_dashboard(client) == ""
            assert find_dashboard(cluster.get_client()) == ""


def test_the_site_of_a_cluster_says_what_other_versions_do(monkeypatch):
    class AtSite:
        def __init__(self, **values):
            self.cluster = type("Cluster", (), {"site": load_site("slurm", **values)})()

    settings = load_settings(version_gate="warn")
    assert gate_level(None, settings) == "warn"
    assert gate_level(object(), settings) == "warn"
    assert gate_level(AtSite(), settings) == "warn"
    assert gate_level(AtSite(version_gate="stop"), settings) == "stop"
    asked = []
    monkeypatch.setattr(pools, "check_versions", lambda *told: asked.append(told) or ("numpy",))
    assert find_differences(AtSite(version_gate="off"), settings, ["x"]) == [
        "Versions differ: numpy."
    ]
    assert asked[0][1:] == ("off", ["x"])
