"""The run's context on every worker: once, also on those that come later, and not for ever."""

import sys

import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.protocol import deserialize, serialize

from beampipe.environments.version_gate import versions_here
from beampipe.errors import VersionMismatchError, WorkersLostError
from beampipe.execution.bundles import Bundle, RunContext
from beampipe.execution.context_plugin import ContextPlugin, pack_bundle, run_with_plugin
from beampipe.execution.manifest import Manifest
from beampipe.execution.partials import Partial


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


def test_a_partial_is_sent_from_where_it_lies_also_by_way_of_the_scheduler():
    values = np.arange(100_000.0)
    partial = Partial(Manifest("data"), values, {"wall_s": 1.5})
    header, frames = serialize(partial, context={"pickle-protocol": 4})  # as the scheduler asks
    assert [memoryview(frame).nbytes for frame in frames[1:]] == [values.nbytes]
    assert np.shares_memory(np.frombuffer(frames[1]), values)
    found = deserialize(header, frames)
    assert (found.manifest, found.metrics) == (partial.manifest, partial.metrics)
    assert np.array_equal(found.value, values)
    assert found.value.flags.writeable


def test_a_partial_that_pickle_cannot_have_is_sent_all_the_same():
    partial = Partial(Manifest("data"), {"of": lambda: 42})
    assert deserialize(*serialize(partial)).value["of"]() == 42
