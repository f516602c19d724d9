"""The doctor at real farms: ports behind a firewall, storage, what batch systems say of queues."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil

import pytest
from tests.environments import grid
from tests.farms.conftest import new_farm
from tests.farms.daemons import run, wait_until
from tests.farms.telling import Telling
from tests.farms.xrootd import XRootD
from tests.faults.http_server import FaultyServer

from beampipe.datasets.samples import make_data
from beampipe.datasets.storage_probe import probe_storage
from beampipe.runs.doctor_storage import judge_sample

PORTS = {
    "half_to_here": "21000:21009",
    "closed_to_here": "21010:21014",
    "half_to_there": "21020:21029",
    "closed_to_there": "21030:21034",
}
# A firewall that says nothing, and one that refuses.
RULES = (
    "OUTPUT -p tcp --dport 21005:21014 -j DROP",
    "INPUT -p tcp --dport 21025:21034 -j REJECT --reject-with tcp-reset",
)


@contextlib.contextmanager
def firewall(farm):
    """Rules on all nodes of a farm, which has them for itself."""
    if shutil.which("iptables") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("iptables is not installed: tests/farms/install.sh")
        pytest.skip("iptables is not installed")
    for node in range(1, farm.nodes.count + 1):
        for rule in RULES:
            inside = ("ip", "netns", "exec", farm.nodes.space(node), "iptables")
            run(*inside, "-A", *rule.split())
    yield


@pytest.fixture
def storage(tmp_path):
    """Two kinds of storage that only this host reaches: plain HTTP, and XRootD with a proxy."""
    make_data(tmp_path, files=1, events=50)
    with FaultyServer(tmp_path) as web, XRootD("proxy") as door:
        yield [f"{web.url}/events_000.root", f"{door.url}/events_000.root"]


def test_firewalls_and_storage_are_told_one_by_one(storage):
    with (
        new_farm("slurm", nodes=2, cpus=4) as farm,
        firewall(farm),
        Telling(farm, "doctor_stories:firewalls") as story,
    ):
        story.wait_for("begin")
        (story.folder / "told.json").write_text(json.dumps({**PORTS, "urls": storage}))
        story.go_on("begin")
        found = story.end()
    fine, half, none, deaf = (found[name] for name in ("fine", "half", "none", "deaf"))
    well = ("queue", "worker", "scheduler-ports", "worker-ports", "versions", "clock", "paths")
    assert {code: fine[code].partition(":")[0] for code in well} == dict.fromkeys(well, "ok")
    assert fine["queue"] == "ok: partition 'batch' is up, for jobs of up to 2 h"
    # XRootD is asked without a proxy from here, and cannot be reached from a worker at all.
    assert "neither a proxy" in fine["storage"]
    assert fine["storage-worker"].startswith("error: root://localhost")
    # The scheduler has one of ten; others may be in use by anybody on this machine.
    closed = r"error: [2-5] of [5-9] ports cannot be reached from .*: {} \({}"
    here, there = half["scheduler-ports"], half["worker-ports"]
    assert re.match(closed.format(r"2100[-\d, ]+", "no answer: a firewall drops it"), here), here
    assert re.match(closed.format(r"2102[-\d, ]+", "refused"), there), there
    assert "no answer: a firewall drops it" in none["scheduler-ports"]
    assert none["scheduler-ports"].startswith("error: no way from n")
    assert "worker" not in none
    assert "a worker is connected, and cannot be reached itself" in deaf["worker-ports"]
    assert deaf["worker"] == "warning: not checked: it cannot be asked anything"
    assert [each["exit"] for each in found.values()] == [1] * 4


def test_xrootd_with_a_proxy_that_is_good_and_one_that_is_over(tmp_path, monkeypatch):
    with XRootD("proxy") as door:
        make_data(door.data, files=1, events=50)
        for name, lifetime in (("good", {}), ("over", {"begin_h": -3, "end_h": -1})):
            made = grid.proxy(grid.user(), "777", oid=grid.RFC, **lifetime)
            path = grid.write(tmp_path / name, made.pem())
            for variable, text in door.environment(X509_USER_PROXY=str(path)).items():
                monkeypatch.setenv(variable, text)
            (sample,) = probe_storage([f"{door.url}/events_000.root"], patience_s=60)
            finding = judge_sample("storage", sample)
            if name == "good":
                assert finding.fact.startswith(f"root://localhost:{door.port}: first bytes after")
                assert sample.read_bytes == (door.data / "events_000.root").stat().st_size
            else:
                assert finding.status == "error"
                assert "has expired" in finding.fact


ASKED = {
    "slurm": ({}, ["queue ok: partition 'batch', the default, is up, for jobs of up to 2 h"]),
    "htcondor": ({}, ["queue ok: the pool has "]),
    "sge": ({"queue": "all.q"}, ["queue ok: queue 'all.q' is there"]),
    "oar": ({}, ["queue warning: not checked: 'oarnotify' is not on PATH"]),  # not for users
}
REFUSED = {
    "slurm": ({"queue": "closed"}, ["queue error: partition 'closed' is DOWN: its jobs wait"]),
    "htcondor": (
        {"account": "nobody"},
        [
            "queue ok: the pool has ",
            ("account warning: there is no accounting group with a quota 'nobody'"),
        ],
    ),
    "sge": (
        {"queue": "al.q", "account": "nobody"},
        [
            "queue error: there is no queue 'al.q'; those that there are: all.q",
            "account error: there is no project 'nobody'; those that there are: none",
        ],
    ),
    "oar": ({"queue": "x"}, ["queue warning: not checked: 'oarnotify' is not on PATH"]),
}


@pytest.mark.parametrize("farm", ["slurm", "htcondor", "sge", "oar"], indirect=True)
def test_queues_and_accounts_are_asked_for(farm):
    if farm.system == "htcondor":  # its nodes tell the pool of themselves a little later
        ask = ("condor_status", "-startd", "-af", "State")
        wait_until(lambda: len(farm.run(*ask).stdout.split()) > 0, "slots")
    for values, words in (ASKED[farm.system], REFUSED[farm.system]):
        told = {f"BEAMPIPE_SITE_{key.upper()}": text for key, text in values.items()}
        with Telling(farm.with_environment(told), "doctor_stories:admission") as story:
            found = story.end()
        assert len(found) >= len(words)
        assert all(map(str.startswith, found, words)), found
