"""The run's context on every worker: once, also on those that come later, and not for ever."""

import sys

import pytest
from distributed import Client, LocalCluster

from beampipe.environments.version_gate import versions_here
from beampipe.errors import VersionMismatchError, WorkersLostError
from beampipe.execution.bundles import Bundle, RunContext
from beampipe.execution.context_plugin import ContextPlugin, pack_bundle, run_with_plugin


def test_every_worker_has_it_until_it_is_taken_away():
    def which(dask_worker):
        plugin = dask_worker.plugins.get("run 1")
        return plugin and plugin.context.digest

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(ContextPlugin(RunContext("abc", b"", {})), name="run 1")
        cluster.scale(2)
        client.wait_for_workers(2)
        assert list(client.run(which).values()) == ["abc", "abc"]
        client.unregister_worker_plugin("run 1")
        assert list(client.run(which).values()) == [None, None]
        lost = client.submit(run_with_plugin, "run 1", pack_bundle(Bundle(1, "data", (), 1.0)))
        with pytest.raises(WorkersLostError, match="run 1"):
            lost.result()


def test_a_worker_that_comes_later_has_imported_what_the_processor_needs(tmp_path, monkeypatch):
    (tmp_path / "bpearly.py").write_text("thing = (1, 2)")
    monkeypatch.syspath_prepend(str(tmp_path))
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        context = RunContext("abc", b"cbpearly\nthing\n.", {})
        client.register_plugin(ContextPlugin(context), name="run 1")
        assert "bpearly" not in sys.modules  # there is a worker already, with other things to do
        cluster.scale(2)
        client.wait_for_workers(2)
        assert sys.modules.pop("bpearly").thing == (1, 2)


def test_a_worker_that_comes_later_with_other_versions_does_nothing():
    context = RunContext("abc", b"", {}, versions=versions_here() | {"numpy": "1.26.4"})
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(ContextPlugin(context), name="run 1")
        refused = client.submit(run_with_plugin, "run 1", pack_bundle(Bundle(1, "data", (), 1.0)))
        with pytest.raises(VersionMismatchError, match=r"numpy 1\.26\.4 here"):
            refused.result()
