"""Ports that are judged; closed ones, on a real farm: tests/farms/test_doctor_ports.py."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from beampipe.clusters import ways
from beampipe.clusters.site_files import load_site
from beampipe.clusters.ways import NO_WAY
from beampipe.errors import JobsFailError
from beampipe.runs import doctor_ports
from beampipe.runs.doctor_ports import examine_ports, find_deaf_worker, wait_for_worker


class Client:
    """A client of one worker, which is this process."""

    def __init__(self, address="tls://127.0.0.1:1"):
        self.address = address

    def scheduler_info(self, **_):
        return {"workers": {self.address: {}}}

    def run(self, function, *arguments):
        return {self.address: function(*arguments)}


@pytest.fixture
def site():
    free = []
    for _ in range(4):
        with socket.socket() as probe:
            probe.bind(("", 0))
            free.append(probe.getsockname()[1])
    return load_site("slurm", scheduler_ports=(free[0], free[0]), nanny_ports=(free[1], free[1]))


def look(site):
    return {f.code: f for f in examine_ports(site, "tls://127.0.0.1:8786", Client())}


def test_open_ports_are_fine_and_none_stays_open(site):
    found = look(site)
    assert {code: f.status for code, f in found.items()} == {
        "scheduler-ports": "ok", "worker-ports": "ok", "nanny-ports": "ok",
    }  # fmt: skip
    assert f"1 ports (of {site.scheduler_ports[0]})" in found["scheduler-ports"].fact
    assert "3 ports (any)" in found["worker-ports"].fact
    assert ways._OPEN == {}


def test_closed_ports_are_named_with_what_to_set(site, monkeypatch):
    monkeypatch.setattr(doctor_ports, "choose_ports", lambda ports: list(range(*ports)) or [0, 0])
    site = load_site("slurm", scheduler_ports="21400:21410")
    monkeypatch.setattr(doctor_ports, "open_ports", lambda _: list(range(21400, 21410)))
    monkeypatch.setattr(
        doctor_ports, "try_ports", lambda _, ports: dict.fromkeys(list(ports)[6:], "refused")
    )
    finding = look(site)["scheduler-ports"]
    assert finding.status == "error"
    assert "4 of 10 ports cannot be reached from worker node 127.0.0.1" in finding.fact
    assert "21406-21409 (refused)" in finding.fact
    assert 'set `scheduler_ports = "21400:21405"` of site' in finding.remedy
    monkeypatch.setattr(doctor_ports, "try_ports", lambda _, ports: dict.fromkeys(ports, "no"))
    assert "ask the site to open them" in look(site)["scheduler-ports"].remedy
    assert "ask the site which ports" in look(site)["worker-ports"].remedy
    monkeypatch.setattr(doctor_ports, "open_ports", lambda _: [])
    assert look(site)["scheduler-ports"].status == "warning"


def test_a_worker_that_hears_nothing(site):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tls://127.0.0.1:{server.getsockname()[1]}"
        assert find_deaf_worker(site, Client(address)) is None
    finding = find_deaf_worker(site, Client(address))
    assert (finding.code, finding.status) == ("worker-ports", "error")
    assert "cannot be reached itself" in finding.fact


def cluster(tail="", failure=None, workers=()):
    return SimpleNamespace(
        jobs=lambda: [SimpleNamespace(job_id="7")],
        job_tail=lambda _: tail,
        failure=failure,
        scheduler_info={"workers": dict.fromkeys(workers)},
        describe_jobs=lambda: "1 pending (Resources)",
    )


def test_what_comes_of_waiting_for_a_worker():
    told = []
    assert wait_for_worker(cluster(workers=["a"]), 9, told.append) is None
    assert wait_for_worker(cluster(), 0.3, told.append) == "1 pending (Resources)"
    assert told == ["1 pending (Resources)"]
    found = wait_for_worker(cluster(f"x\n{NO_WAY}n1 to login port 8786: dropped"), 9, told.append)
    assert found.fact == "no way from n1 to login port 8786: dropped"
    assert "contact_address" in found.remedy
    with pytest.raises(JobsFailError):
        wait_for_worker(cluster(failure=JobsFailError("they fail")), 9, told.append)
    assert wait_for_worker(SimpleNamespace(scheduler_info={"workers": {}}), 0, told.append) == ""
