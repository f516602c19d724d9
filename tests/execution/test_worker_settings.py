import sys
import types

import dask
import pytest
from distributed import Client, LocalCluster

from beampipe.execution import worker_settings
from beampipe.execution.worker_settings import (
    PROFILE_EVERY_MS,
    SWITCH_EVERY_S,
    THREADS,
    list_unset,
    list_unset_of_scheduler,
    slow_profiler,
    switch_often,
)


def worker_with(interval_ms):
    callbacks = {}
    if interval_ms is not None:
        callbacks["profile"] = types.SimpleNamespace(callback_time=interval_ms)
    return types.SimpleNamespace(periodic_callbacks=callbacks)


@pytest.fixture(autouse=True)
def _all_is_set(monkeypatch):
    monkeypatch.setattr(worker_settings, "tune_allocator", lambda: True)
    monkeypatch.setattr(worker_settings.os, "cpu_count", lambda: 16)
    for name in THREADS:
        monkeypatch.setenv(name, "1")


def test_the_profiler_is_slow_for_as_long_as_the_run_lasts():
    worker = worker_with(10.0)
    restore = slow_profiler(worker)
    assert worker.periodic_callbacks["profile"].callback_time == PROFILE_EVERY_MS
    assert list_unset(worker) == ()
    restore()
    assert worker.periodic_callbacks["profile"].callback_time == 10.0
    assert list_unset(worker) == ("profiler",)


def test_what_others_wish_meanwhile_is_left():
    worker = worker_with(10.0)
    restore = slow_profiler(worker)
    worker.periodic_callbacks["profile"].callback_time = 20.0
    restore()
    assert worker.periodic_callbacks["profile"].callback_time == 20.0


@pytest.mark.parametrize("interval_ms", [None, PROFILE_EVERY_MS, 1000.0])
def test_a_profiler_that_is_off_or_slow_is_left_alone(interval_ms):
    worker = worker_with(interval_ms)
    slow_profiler(worker)()
    assert list_unset(worker) == ()
    if interval_ms is not None:
        assert worker.periodic_callbacks["profile"].callback_time == interval_ms


def test_an_allocator_that_takes_no_settings_is_named(monkeypatch):
    monkeypatch.setattr(worker_settings, "tune_allocator", lambda: False)
    assert list_unset(worker_with(None)) == ("allocator",)


def test_threads_of_libraries_are_named_where_there_are_cores_for_them(monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name)
    assert list_unset(worker_with(None)) == ("threads",)
    monkeypatch.setattr(worker_settings.os, "cpu_count", lambda: 1)
    assert list_unset(worker_with(None)) == ()


def test_a_scheduler_is_asked_and_need_not_answer():
    def refuse(*_args):
        raise ValueError("no pickles here")

    assert list_unset_of_scheduler(types.SimpleNamespace(run_on_scheduler=refuse)) == ()
    for value, unset in ((1.1, ("saturation",)), ("inf", ()), (10, ())):
        client = types.SimpleNamespace(run_on_scheduler=lambda *_, value=value: value)
        assert list_unset_of_scheduler(client) == unset


def test_real_workers_and_a_real_scheduler():
    """What is read of them is there in the version of Dask that is installed."""
    with (
        dask.config.set({"distributed.scheduler.worker-saturation": 1.1}),
        LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        assert list_unset_of_scheduler(client) == ("saturation",)

        def look(dask_worker):
            before = dask_worker.periodic_callbacks["profile"].callback_time
            restore = slow_profiler(dask_worker)
            during = dask_worker.periodic_callbacks["profile"].callback_time
            restore()
            return before, during, dask_worker.periodic_callbacks["profile"].callback_time

        assert set(client.run(look).values()) == {(10.0, PROFILE_EVERY_MS, 10.0)}


@pytest.fixture
def switch_every():
    """Set the interval; it is put back afterwards."""
    before = sys.getswitchinterval()
    yield sys.setswitchinterval
    sys.setswitchinterval(before)


def test_threads_switch_often_for_as_long_as_the_run_lasts(switch_every):
    switch_every(0.005)
    restore, other = switch_often(), switch_often()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_EVERY_S)
    other()  # a run beside it found it set, and leaves it
    assert sys.getswitchinterval() == pytest.approx(SWITCH_EVERY_S)
    restore()
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_who_wants_threads_to_switch_otherwise_has_it(switch_every):
    switch_every(0.0001)
    switch_often()()
    assert sys.getswitchinterval() == pytest.approx(0.0001)
    switch_every(0.005)
    restore = switch_often()
    switch_every(0.002)
    restore()
    assert sys.getswitchinterval() == pytest.approx(0.002)
