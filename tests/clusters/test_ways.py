"""Ports between two places; with a firewall between them: tests/farms/test_doctor_ports.py."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from beampipe.clusters import ways
from beampipe.clusters.ways import (
    NO_WAY,
    check_way,
    choose_ports,
    close_ports,
    find_no_way,
    open_ports,
    try_port,
    try_ports,
)


@pytest.fixture(autouse=True)
def _nothing_is_left_open():
    yield
    close_ports()


def test_what_listens_is_reached_and_what_does_not_is_named():
    begun = open_ports(choose_ports((0, 0)))
    assert len(set(begun)) == 3
    assert try_ports("127.0.0.1", begun) == {}
    close_ports()
    assert ways._OPEN == {}
    closed = try_ports("127.0.0.1", begun)
    assert set(closed) == set(begun)
    assert all("refused" in why for why in closed.values())


def test_ports_of_others_are_left_out():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert open_ports([port]) == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "a firewall drops it"),
        (socket.gaierror(-2, "Name or service not known"), "'n1' is not known"),
        (OSError(113, "No route to host"), "no route to that host"),
        (OSError(99, "Cannot assign requested address"), "Cannot assign"),
    ],
    ids=["dropped", "unknown", "unreachable", "other"],
)
def test_why_a_port_is_not_reached(monkeypatch, error, words):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(ways.socket, "create_connection", fail)
    assert words in try_port("n1", 7)


def test_of_a_wide_range_some_are_tried():
    assert choose_ports((10, 12)) == [10, 11, 12]
    some = choose_ports((10000, 20000))
    assert (some[0], some[-1], len(set(some))) == (10000, 20000, 128)


def test_a_job_that_cannot_reach_its_scheduler_says_so_and_ends():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tls://127.0.0.1:{probe.getsockname()[1]}"
        command = [sys.executable, "-m", "beampipe.clusters.worker_start", "--", address]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={"BEAMPIPE_CHECK_WAY": "1"}
        )
    assert done.returncode == 1
    assert done.stderr.startswith(NO_WAY)
    assert "refused" in find_no_way(["else", f"a line\n{done.stderr}"])
    assert find_no_way(["nothing of it"]) == ""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert check_way(f"tcp://127.0.0.1:{server.getsockname()[1]}", "n1") == ""
