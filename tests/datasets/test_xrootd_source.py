"""The source against a real server that anybody may ask."""

from __future__ import annotations

import queue
import subprocess
import sys

import numpy as np
import pytest
import uproot
from tests.farms.xrootd import XRootD

from beampipe.datasets import xrootd_source
from beampipe.datasets.counting import read_metadata
from beampipe.datasets.file_errors import explain_file_error
from beampipe.datasets.file_states import read_file_state
from beampipe.datasets.remote_source import source_of
from beampipe.datasets.xrootd_client import XRootDError
from beampipe.datasets.xrootd_source import Limits, XRootDSource, plan_requests
from beampipe.error_kinds import classify_error
from beampipe.errors import FileEmptyError, NotRootError
from beampipe.testing import tiny_files

SIZE = 5_000_000

AGAIN = """
import sys, time
from beampipe.datasets.xrootd_client import XRootDError
from beampipe.datasets.xrootd_source import XRootDSource

give_up = time.monotonic() + 120
while time.monotonic() < give_up:
    try:
        XRootDSource(sys.argv[1]).close()
    except XRootDError:
        print("no", flush=True)
        time.sleep(0.5)
    else:
        print("yes")
        break
"""


@pytest.fixture(scope="module")
def server():
    with XRootD() as running:
        content = np.random.default_rng(1).integers(0, 256, SIZE, dtype=np.uint8)
        (running.data / "a").write_bytes(content.tobytes())
        tiny_files.write_tree_file(running.data / "tree.root", events=1000)
        (running.data / "empty.root").touch()
        (running.data / "page.root").write_text("<html>")
        yield running


@pytest.fixture
def content(server):
    return (server.data / "a").read_bytes()


def read(source, *ranges):
    notifications = queue.Queue()
    chunks = source.chunks(list(ranges), notifications)
    assert notifications.qsize() == len(chunks)
    return [bytes(chunk.raw_data) for chunk in chunks]


def test_as_many_ranges_as_one_likes_of_any_size(server, content):
    many = [(1500 * number, 1500 * number + 7) for number in range(3000)]
    large = [(0, SIZE), (17, 17 + 2_097_136), (18, 18 + 2_097_137)]
    with source_of(f"{server.url}/a")(f"{server.url}/a") as source:
        assert isinstance(source, XRootDSource)
        assert read(source, *many) == [content[start:stop] for start, stop in many]
        assert source.num_requests == 3  # of at most 1024 ranges, as the server wants it
        assert read(source, *large, (1, 2)) == [content[slice(*one)] for one in (*large, (1, 2))]
        assert source.num_requests == 6
        assert read(source) == []
        assert bytes(source.chunk(3, 9).raw_data) == content[3:9]
        assert source.num_bytes == SIZE
        assert source.num_requested_bytes == 3000 * 7 + sum(b - a for a, b in large) + 1 + 6
    assert source.closed
    with pytest.raises(OSError, match="is closed"):
        source.chunk(0, 1)


def test_the_servers_limits_hold(server, monkeypatch):
    monkeypatch.setattr(xrootd_source, "_LIMITS", {})
    with XRootDSource(f"{server.url}/a"):
        (found,) = xrootd_source._LIMITS.values()
    assert found == Limits(1024, 2097136)


def test_no_request_has_more_than_fits():
    spans = [(10 * number, 10 * number + 4) for number in range(10)] + [(500, 600)]
    requests = list(plan_requests(spans, Limits(ranges=4, range_bytes=50)))
    assert sorted(map(len, requests)) == [1, 2, 4, 4]
    assert sorted(span for request in requests for span in request) == spans


def test_many_bytes_are_several_requests(monkeypatch):
    monkeypatch.setattr(xrootd_source, "_VECTOR_BYTES", 10)
    spans = [(0, 6), (6, 10), (10, 11)]
    assert list(plan_requests(spans, Limits())) == [[(0, 6), (6, 10)], [(10, 11)]]


@pytest.mark.parametrize(
    "ranges", [[(SIZE - 5, SIZE + 5)], [(0, 10), (SIZE - 5, SIZE + 5)]], ids=["one", "several"]
)
def test_a_file_that_ends_too_early_is_called_so(server, ranges):
    """Of several ranges the server says: illegal seek, which would be tried again and again."""
    with (
        XRootDSource(f"{server.url}/a") as source,
        pytest.raises(OSError, match="length") as caught,
    ):
        read(source, *ranges)
    assert "length 10," in str(caught.value)
    assert "received 5 bytes" in str(caught.value)
    explained = explain_file_error(f"{server.url}/a", caught.value)
    explained.__cause__ = caught.value
    assert classify_error(explained).rule == "short-read"


def test_a_file_that_is_not_there(server):
    with pytest.raises(XRootDError, match=r"\[3011\]"):
        XRootDSource(f"{server.url}/none")


def test_files_are_looked_at_without_fsspec(server, monkeypatch):
    monkeypatch.setattr("fsspec.core.url_to_fs", None)
    url = f"{server.url}/tree.root"
    state = read_file_state(url)
    found = (server.data / "tree.root").stat()
    assert state.size_bytes == found.st_size
    assert state.stamp == f"mtime={int(found.st_mtime)}"
    assert read_metadata(url, None, state).entries == 1000
    with pytest.raises(FileEmptyError):
        read_file_state(f"{server.url}/empty.root")
    with pytest.raises(NotRootError, match="page"):
        read_file_state(f"{server.url}/page.root")
    with pytest.raises(NotRootError, match="is a folder"):
        read_metadata(server.url, None, state)


def test_uproot_reads_through_it(server):
    options = {"handler": XRootDSource, "array_cache": None}
    with uproot.open({f"{server.url}/tree.root": "Events"}, **options) as tree:
        assert tree["x"].array(library="np")[-1] == 999


def test_a_server_that_was_started_anew_is_no_trouble(content):
    with XRootD() as own:
        (own.data / "a").write_bytes(content)
        with XRootDSource(f"{own.url}/a") as source:
            assert read(source, (5, 9)) == [content[5:9]]
            own.restart()
            assert read(source, (0, 10), (20, 30)) == [content[:10], content[20:30]]


def test_a_server_that_was_not_there_is_asked_again_soon():
    """The client by itself would not for half an hour."""
    with XRootD() as own:
        (own.data / "a").touch()
        own.kill()
        with subprocess.Popen(
            [sys.executable, "-c", AGAIN, f"{own.url}/a"], stdout=subprocess.PIPE, text=True,
            env=own.environment(XRD_CONNECTIONWINDOW="1"),
        ) as asking:  # fmt: skip
            assert asking.stdout.readline() == "no\n"
            own.start()
            assert asking.communicate(timeout=100)[0].endswith("yes\n")


def test_a_file_is_opened_again_after_an_error(server, content):
    class Status:
        ok, message = False, "[ERROR] Invalid session"

    class Lost:
        """A file whose server is gone, and for which the client does not look for another."""

        def read(self, *_, callback):
            return Status() if callback else None

        vector_read = close = read

    with XRootDSource(f"{server.url}/a") as source:
        source._file = Lost()
        assert read(source, (0, 10), (20, 30)) == [content[:10], content[20:30]]
        assert not isinstance(source._file, Lost)
