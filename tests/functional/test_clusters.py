"""Runs on Dask clusters of all kinds: embedded, given, adaptive from nothing, losing workers."""

import os
import signal
import time

import dask
import hist
import pytest
from distributed import Client, LocalCluster

import beampipe as bp
from beampipe.environments import version_gate

CHUNK = 250


def spectrum(events):
    return {
        "n": len(events),
        "met": hist.Hist.new.Reg(50, 0, 200, name="met").Int64().fill(events.MET.pt),
    }


@pytest.fixture(scope="module")
def expected(samples, tmp_path_factory):
    return bp.run(
        spectrum,
        samples,
        client="inline",
        run_dir=tmp_path_factory.mktemp("inline") / "run",
        progress=False,
    ).output


@pytest.fixture
def cluster():
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=":0",
        silence_logs=50,
    ) as cluster:
        yield cluster


def run_on(client, samples, tmp_path, processor=spectrum, **options):
    return bp.run(
        processor,
        samples,
        client=client,
        chunksize=CHUNK,
        run_dir=tmp_path / "a run",
        progress=False,
        **options,
    )


def test_a_given_client_is_used_and_left_alone(cluster, samples, expected, tmp_path):
    with Client(cluster) as client:
        mine = client.submit(lambda: 42, key="mine")
        result = run_on(client, samples, tmp_path)
        assert result.status == "complete"
        assert result.output == expected
        assert mine.result() == 42
        assert client.status == "running"
        left = client.run_on_scheduler(lambda dask_scheduler: set(dask_scheduler.tasks))
        for _ in range(50):  # releases travel to the scheduler
            left = client.run_on_scheduler(lambda dask_scheduler: set(dask_scheduler.tasks))
            if left == {"mine"}:
                break
            time.sleep(0.1)
        assert left == {"mine"}


def test_workers_with_several_threads(samples, expected, tmp_path):
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=3, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        assert run_on(client, samples, tmp_path).output == expected


def test_adapt_scales_up_from_nothing(samples, expected, tmp_path):
    with (
        LocalCluster(
            n_workers=0, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        cluster.adapt(minimum=0, maximum=2, interval="200ms")
        assert run_on(client, samples, tmp_path).output == expected


def slow_spectrum(events):
    time.sleep(0.15)
    return spectrum(events)


def test_a_worker_that_is_killed_costs_time_and_no_event(cluster, samples, expected, tmp_path):
    with Client(cluster) as client:
        pids = list(client.run(os.getpid).values())

        def kill_one(progress):
            if len(pids) > 1 and progress.chunks_done > 4:
                os.kill(pids.pop(), signal.SIGKILL)

        result = run_with(kill_one, client, samples, tmp_path)
        assert len(pids) == 1
        assert result.status == "complete"
        assert result.output == expected
        assert bp.verify(result.run_dir).is_proved


def run_with(notify, client, samples, tmp_path):
    """As `bp.run`, with an ear for the progress."""
    import contextlib
    from unittest import mock

    @contextlib.contextmanager
    def show(**_):
        yield notify

    with mock.patch("beampipe.runs.run.show_progress", show):
        return bp.run(
            slow_spectrum,
            samples,
            client=client,
            chunksize=CHUNK,
            run_dir=tmp_path / "a run",
            checkpoint=0.5,
        )


def suicidal(events):
    if events.metadata["entrystart"] == 500 and "events_001" in events.metadata["filename"]:
        os._exit(1)
    return spectrum(events)


def test_a_chunk_that_kills_its_worker_is_named_and_the_rest_is_there(samples, expected, tmp_path):
    with (
        # One death is enough here; every further one costs the start of a worker.
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        result = run_on(client, samples, tmp_path, suicidal, on_error="skip")
    assert result.status == "incomplete"
    assert result.accounting["data"].events_failed == CHUNK
    (failure,) = result.failures
    assert failure.code == "run-worker-died"
    assert (failure.start, failure.stop) == (500, 750)
    assert result.output["n"] == expected["n"] - CHUNK


def test_workers_that_a_local_cluster_gives_up_are_replaced(samples, expected, tmp_path):
    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 0,
                # As where a worker needs longer than that to start, or dies once more meanwhile.
                "distributed.deploy.lost-worker-timeout": "1ms",
            }
        ),
        LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        result = run_on(client, samples, tmp_path, suicidal, on_error="skip")
        assert not cluster.periodic_callbacks
    assert result.status == "incomplete"
    assert result.output["n"] == expected["n"] - CHUNK


def test_the_embedded_cluster_is_gone_afterwards(samples, expected, tmp_path):
    import psutil

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    result = bp.run(spectrum, samples, workers=2, run_dir=tmp_path / "run", progress=False)
    assert result.output == expected
    assert result.metrics["n_workers"] == 2
    after = {
        child.pid
        for child in psutil.Process().children(recursive=True)
        if "resource_tracker" not in " ".join(child.cmdline())
    }
    assert after <= before


def test_what_is_no_client_is_refused(samples, tmp_path, cluster):
    with pytest.raises(bp.BeampipeError, match="cluster.get_client"):
        run_on(cluster, samples, tmp_path)
    with pytest.raises(bp.BeampipeError, match="distributed.Client"):
        run_on(3, samples, tmp_path)
    closed = Client(cluster)
    closed.close()
    with pytest.raises(bp.BeampipeError, match="closed"):
        run_on(closed, samples, tmp_path)
    assert not (tmp_path / "a run").exists()


def test_versions_that_would_break_a_run_are_named_before_it_begins(
    cluster, samples, expected, tmp_path, monkeypatch
):
    with Client(cluster) as client:
        real = version_gate.ask_versions

        def other(*which):
            found = real(*which)
            for worker in found["workers"].values():
                worker["packages"] |= {"numpy": "1.26.4"}
            return found

        monkeypatch.setattr(version_gate, "ask_versions", other)
        with pytest.raises(bp.BeampipeError, match=r"numpy .* here, 1\.26\.4 on 2 workers"):
            run_on(client, samples, tmp_path)
        assert not (tmp_path / "a run").exists()
        monkeypatch.setenv("BEAMPIPE_VERSION_GATE", "warn")
        result = run_on(client, samples, tmp_path)
    assert result.output == expected
    assert any("Versions differ: numpy" in note for note in result.notes)
