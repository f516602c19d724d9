"""Named clusters seen from outside. On a batch system: test_launching.py."""

from __future__ import annotations

import asyncio
import operator
import time
from dataclasses import replace

import pytest

from beampipe.clusters.cluster_folder import ClusterFolder
from beampipe.clusters.connecting import connect
from beampipe.clusters.launching import launch
from beampipe.clusters.named import Wish, find_named
from beampipe.clusters.reaping import take_down
from beampipe.clusters.site_files import load_site
from beampipe.errors import ClusterGoneError

PATIENCE_S = 90


@pytest.fixture
def record(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state µ"))
    made = launch("here", load_site("local", memory="400 MiB"), Wish(workers=1))
    yield made
    take_down(made)


def test_it_is_one_of_dasks_and_stays_when_one_leaves(record):
    with connect() as cluster, cluster.get_client() as client:
        assert client.submit(operator.neg, 3).result() == -3
        assert cluster.name == "here"
        assert cluster.jobs() == []
        assert cluster.job_log("7") == ""
        assert cluster.scheduler_address.startswith("tls://127.0.0.1")
        assert cluster.dashboard_link == record.dashboard

    async def story():
        async with connect("here", asynchronous=True) as again:
            await again.adapt(minimum=0, maximum=2)
            status = await again.ask_status()
            return status["wish"], await again.jobs(), await again.get_logs()

    wish, jobs, logs = asyncio.run(story())
    assert wish == {"workers": 0, "minimum": 0, "maximum": 2}
    assert jobs == []
    assert "Scheduler" in logs
    assert find_named("here").wish == Wish(minimum=0, maximum=2)
    with connect() as cluster, cluster.get_client() as client:
        assert client.submit(operator.neg, 4).result(timeout=PATIENCE_S) == -4
        cluster.scale(1)
        give_up = time.monotonic() + PATIENCE_S
        while len(client.scheduler_info(-1)["workers"]) != 1:
            assert time.monotonic() < give_up
            time.sleep(0.05)


def test_nobody_gets_in_without_the_keys(record):
    ClusterFolder(record.folder).remove_keys()
    with pytest.raises(ClusterGoneError, match="keys cannot be read"):
        connect("here")


def test_a_place_where_nobody_answers_is_told(record):
    away = replace(record, address="tls://127.0.0.1:1")
    away.write()
    with pytest.raises(ClusterGoneError, match="does not answer"):
        connect("here")
    record.write()
