"""uproot makes a TypeError of every failure of a request for several ranges; ours does not."""

from __future__ import annotations

import aiohttp
import pytest
import uproot
from tests.faults.http_server import FaultyServer

from beampipe.datasets import remote_options
from beampipe.datasets.remote_source import RemoteSource
from beampipe.testing import tiny_files


@pytest.fixture
def server(tmp_path):
    tiny_files.write_tree_file(tmp_path / "a.root", events=10_000)
    with FaultyServer(tmp_path) as server:
        yield server


def read(server, fault, **options):
    """Open the tree in peace, then let the server fail while the basket is read."""
    with uproot.open({f"{server.url}/a.root": "Events"}, array_cache=None, **options) as tree:
        server.fault = lambda *_: fault
        return tree["x"].array(library="np")


def test_what_is_read_is_what_is_there(server):
    array = read(server, None, handler=RemoteSource)
    assert len(array) == 10_000
    assert array[-1] == 9999


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (503, aiohttp.ClientResponseError),
        (404, FileNotFoundError),
        ("cut", aiohttp.ClientPayloadError),
        ("reset", aiohttp.ClientConnectionError),
        ("hangup", aiohttp.ServerDisconnectedError),
        ("short", OSError),
    ],
)
def test_what_went_wrong_is_raised(server, fault, expected):
    with pytest.raises(expected):
        read(server, fault, handler=RemoteSource)


def test_a_server_that_stalls_is_given_up(server, monkeypatch):
    monkeypatch.setattr(remote_options, "SILENCE_S", 0.5)
    with pytest.raises(TimeoutError):
        read(server, "stall", handler=RemoteSource)


def test_uproot_still_needs_it(server):
    """When this fails, uproot has learned it, and our source may go."""
    with pytest.raises(TypeError, match="not subscriptable"):
        read(server, 503)
