"""Runs on a real server of S3 (moto's), and of one for the web that knows no byte ranges."""

from __future__ import annotations

import functools
import http.client
import http.server
import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.farms.daemons import PATIENCE_S, Daemons, free_port, wait_until
from tests.faults.http_server import FaultyServer

import beampipe as bp
from beampipe.datasets.samples import make_data

EVENTS = 4000
KEY = "planted 'secret' key of s3"
ANALYSIS = """
import numpy as np

def process(events):
    return {"n": len(events), "sum": float(np.sum(events.MET.pt)), "muons": len(events.Muon.pt)}
"""


class Server(NamedTuple):
    port: int
    variables: dict[str, str]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    make_data(folder, files=2, events=EVENTS // 2, seed=5)
    return folder


@pytest.fixture(scope="module")
def s3(samples, tmp_path_factory):
    for module in ("moto", "flask", "s3fs"):
        if importlib.util.find_spec(module) is None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{module} is not installed: make env")
            pytest.skip(f"{module} is not installed")
    daemons, port = Daemons(tmp_path_factory.mktemp("s3")), free_port()
    daemons.start("s3", [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)])
    try:
        wait_until(lambda: answers(port), "moto's server")
        put(port, "/bucket")
        for path in samples.iterdir():
            put(port, f"/bucket/nano/{path.name}", path.read_bytes())
        here = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }
        yield Server(port, here)
    finally:
        daemons.stop()


def answers(port):
    door = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        door.request("GET", "/")
        return door.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        door.close()


def put(port, path, body=b""):
    door = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    door.request("PUT", path, body, {"x-amz-acl": "public-read"})
    assert door.getresponse().status == http.client.OK
    door.close()


def run(url, folder, **variables):
    (folder / "a.py").write_text(ANALYSIS)
    plain = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    argv = [sys.executable, "-m", "beampipe", "run", "a.py:process", url, "--workers", "0"]
    return subprocess.run(
        [*argv, "--chunksize", "1000", "--run-dir", "run"], text=True, capture_output=True,
        check=False, cwd=folder, env=plain | variables, timeout=PATIENCE_S,
    )  # fmt: skip


@pytest.fixture
def due(samples, tmp_path):
    """What a run on the files themselves gives."""
    folder = tmp_path / "local"
    folder.mkdir()
    assert run(str(samples), folder).returncode == 0
    return bp.load(folder / "run").output


@pytest.mark.parametrize("url", ["s3://bucket/nano/", "s3://bucket/nano/events_*.root"])
def test_a_run_on_s3_gives_what_one_on_files_does(s3, due, tmp_path, url):
    keys = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": KEY}
    done = run(url, tmp_path, **s3.variables, **keys)
    assert done.returncode == 0, done.stderr
    result = bp.load(tmp_path / "run")
    assert result.is_complete
    assert result.output == pytest.approx(due)
    kept = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("s3://bucket/nano/none.root", "dataset-file-missing", "bucket/nano/none.root"),
        ("s3://none/a.root", "dataset-file-missing", "The specified bucket does not exist"),
        ("s3://bucket/none/", "dataset-no-files", "the server lists none"),
    ],
    ids=["file", "bucket", "folder"],
)
def test_what_is_not_there_on_s3(s3, tmp_path, url, code, words):
    done = run(url, tmp_path, **s3.variables, FSSPEC_S3_ANON="true")
    assert done.returncode == 1, done.stderr
    assert f"[{code}]" in done.stderr
    assert words in done.stderr


def test_without_keys_it_is_said_what_s3_asks_for(s3, tmp_path):
    done = run("s3://bucket/nano/events_000.root", tmp_path, **s3.variables)
    assert done.returncode == 1, done.stderr
    assert "[dataset-file-access]" in done.stderr
    assert "AWS_ACCESS_KEY_ID" in done.stderr.partition("fix:")[2]
    assert run("s3://bucket/nano/", tmp_path, **s3.variables, FSSPEC_S3_ANON="true").returncode == 0


@pytest.fixture
def rangeless(samples):
    """A web server that sends whole files, as Python's own does."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def copyfile(self, source, outputfile):
            try:
                super().copyfile(source, outputfile)
            except ConnectionError:  # nobody wants all of it
                self.close_connection = True

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=str(samples))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_web_server_that_sends_whole_files_is_named_and_what_helps(rangeless, due, tmp_path):
    done = run(f"{rangeless}/*.root", tmp_path)
    assert done.returncode == 1, done.stderr
    assert "it does not know byte ranges" in done.stderr
    assert "simplecache::" in done.stderr.partition("fix:")[2]
    urls = [f"simplecache::{rangeless}/events_00{number}.root" for number in range(2)]
    (tmp_path / "files.toml").write_text(f"[data]\nfiles = {urls}\n")
    done = run("files.toml", tmp_path)
    assert done.returncode == 0, done.stderr
    assert bp.load(tmp_path / "run").output == pytest.approx(due)


def test_a_web_server_that_is_slow_is_waited_for(samples, due, tmp_path):
    with FaultyServer(samples) as server:
        wait = threading.Event()
        server.fault = lambda *_: wait.wait(0.3) or None
        urls = [f"{server.url}/events_00{number}.root" for number in range(2)]
        (tmp_path / "files.toml").write_text(f"[data]\nfiles = {urls}\n")
        done = run(str(Path("files.toml")), tmp_path)
        n_requests = len(server.requests)
    assert done.returncode == 0, done.stderr
    assert bp.load(tmp_path / "run").output == pytest.approx(due)
    # A few for each chunk, not one for each column.
    assert n_requests < 60
