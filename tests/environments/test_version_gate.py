"""Versions on both sides."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest
from distributed import Client, LocalCluster

from beampipe.environments import version_gate
from beampipe.environments.version_gate import (
    RULES,
    Mismatch,
    ask_versions,
    check_versions,
    compare,
    find_mismatches,
    sort_out,
    versions_here,
)
from beampipe.errors import VersionMismatchError

HERE = {
    "python": "3.11.7.final.0",
    "beampipe": "0.1.0",
    "dask": "2026.8.0",
    "distributed": "2026.8.0",
    "numpy": "2.3.1",
    "awkward": "2.14.0",
    "numba": "0.68.1",
}


def packages(mismatches):
    return {one.package: one.is_fatal for one in mismatches}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, {}),
        ({"python": "3.11.9.final.0"}, {}),
        ({"python": "3.12.1.final.0"}, {"python": True}),
        ({"beampipe": "0.1.1"}, {"beampipe": True}),
        ({"beampipe": "0.1.0.dev228+g57e33b2"}, {}),
        ({"distributed": "2026.8.1"}, {}),
        ({"distributed": "2025.9.1", "dask": "2025.9.1"}, {"distributed": False, "dask": False}),
        ({"distributed": "2024.9.1", "dask": "2024.9.1"}, {"distributed": True, "dask": True}),
        ({"numpy": "2.0.2"}, {"numpy": False}),
        ({"numpy": "1.26.4"}, {"numpy": True}),
        ({"awkward": "2.9.0"}, {"awkward": False}),
        ({"awkward": "2.8.2"}, {"awkward": True}),
        ({"awkward": None}, {"awkward": True}),
        ({"numba": None}, {"numba": True}),
        ({"coffea": "2026.9.0"}, {}),
    ],
    ids=str,
)
def test_what_a_difference_is(change, found):
    assert packages(compare(HERE, HERE | change)) == found


def test_what_the_processor_imports_must_be_there_and_may_differ():
    ours = HERE | {"correctionlib": "2.6", "toolz": "1.0"}
    assert packages(compare(ours, HERE)) == {"correctionlib": True}
    assert packages(compare(ours, HERE | {"correctionlib": "2.5"})) == {"correctionlib": False}
    assert packages(compare(ours, HERE, "scheduler")) == {}


def test_of_the_scheduler_less_matters():
    other = {"python": "3.12.0", "dask": "2026.8.0", "distributed": "2024.3.0"}
    assert packages(compare(HERE, other, "scheduler")) == {"distributed": True}


def test_workers_that_differ_alike_are_one_finding():
    old = {"packages": HERE | {"awkward": "2.9.0", "numpy": "1.26.4"}}
    versions = {
        "client": {"packages": HERE},
        "scheduler": {"packages": HERE},
        "workers": {"tcp://a": old, "tcp://b": {"packages": HERE}, "tcp://c": old, "tcp://d": None},
    }
    found = find_mismatches(versions)
    assert [str(one) for one in found] == [
        "numpy 2.3.1 here, 1.26.4 on 2 workers (as tcp://a)",
        "awkward 2.14.0 here, 2.9.0 on 2 workers (as tcp://a)",
    ]


def test_what_is_fatal_stops_unless_one_says_otherwise():
    fatal = Mismatch(package="numpy", role="worker", ours="2.3.1", theirs="1.26.4", is_fatal=True)
    python = Mismatch(package="python", role="worker", ours="3.11.7", theirs="none", is_fatal=True)
    mild = Mismatch(package="hist", role="worker", ours="2.8", theirs="2.7")
    assert sort_out([mild], "stop") == ("hist 2.8 here, 2.7 on 1 workers",)
    with pytest.raises(VersionMismatchError) as caught:
        sort_out([fatal, python, mild], "stop")
    assert "numpy 2.3.1 here, 1.26.4 on" in caught.value.why
    assert "hist" not in caught.value.why
    assert "install numpy==2.3.1 there" in caught.value.fix
    assert "same Python" in caught.value.fix
    assert len(sort_out([fatal, mild], "warn")) == 2
    assert sort_out([fatal], "off") == ()


def test_a_real_cluster_of_this_environment_is_the_same(monkeypatch):
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        assert check_versions(client, "stop") == ()
        assert set(RULES) <= {*versions_here()}
        found = ask_versions(client, ["click"])
        assert next(iter(found["workers"].values()))["packages"]["click"]
        here = versions_here() | {"numpy": "0.1"}
        monkeypatch.setattr(version_gate, "versions_here", lambda _=(): here)
        with pytest.raises(VersionMismatchError, match=r"numpy 0\.1 here"):
            check_versions(client, "stop")
        assert check_versions(client, "off") == ()


def test_a_client_without_a_scheduler_is_left_to_who_uses_it_next():
    def fail(**_):
        raise OSError("gone")

    assert check_versions(SimpleNamespace(scheduler_info=fail), "stop") == ()


def test_a_frozen_worker_does_not_hold_up_the_run(monkeypatch):
    monkeypatch.setattr(version_gate, "_ANSWER_S", 0.5)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        (pid,) = client.run(os.getpid).values()
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                ask_versions(client)
            assert check_versions(client, "stop") == ()
        finally:
            os.kill(pid, signal.SIGCONT)
