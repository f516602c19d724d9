"""Servers behind a redirector, one of them killed in mid-run; proxies and tokens that end."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import uproot
from tests.environments import grid
from tests.farms.daemons import wait_until
from tests.farms.xrootd import XRootD

import beampipe as bp
from beampipe.datasets.samples import make_data
from beampipe.execution.record_reader import read_failures

PATIENCE_S = 200
PROJECT = Path(__file__).resolve().parents[2]
STORY = Path(__file__).with_name("proxy_story.py")
EVENTS, CHUNK = 6000, 1000
LIFE_S = 40
FILE = "events_000.root"
MODULE = [sys.executable, "-m", "beampipe"]
ANALYSIS = (
    "def process(events):\n    return {'n': len(events), 'sum': float(events.MET.pt.sum())}\n"
)
pytestmark = pytest.mark.timeout(300)


def serve(server):
    make_data(server.data, files=1, events=EVENTS, seed=5)
    return f"{server.url}/{FILE}"


def make_proxy(path, **how):
    """Put it there whole, as grid tools do."""
    new = grid.write(
        path.with_name("new"), grid.proxy(grid.user(), "780", oid=grid.RFC, **how).pem()
    )
    return new.replace(path)


class Story:
    """A program that waits in the middle of the data."""

    def __init__(self, argv, tmp_path, environment):
        self.signs, self.folder = tmp_path / "signs", tmp_path
        self.signs.mkdir()
        self.environment = environment | {"PYTHONPATH": str(PROJECT)}
        self._process = subprocess.Popen(
            [*map(str, argv)], text=True, cwd=tmp_path, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def wait_for(self, sign):
        path = self.signs / sign
        wait_until(lambda: path.exists() or self._process.poll() is not None, sign, PATIENCE_S)
        assert path.exists(), self._process.communicate()
        return path.read_text()

    def give(self, sign):
        (self.signs / sign).touch()

    def end(self):
        _, told = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, told


def run(argv, folder, environment):
    return subprocess.run(
        [*map(str, argv)], text=True, cwd=folder, env=environment, capture_output=True,
        check=False, timeout=PATIENCE_S,
    )  # fmt: skip


def check_result(run_dir, server):
    """Every event once: by the accounting, the manifests, and the sums."""
    result = bp.load(run_dir)
    assert result.is_complete
    assert result.output["n"] == EVENTS
    with uproot.open(server.data / FILE) as file:
        due = float(np.sum(file["Events"]["MET_pt"].array()))
    assert result.output["sum"] == pytest.approx(due, rel=1e-5)
    proof = bp.verify(run_dir)
    assert proof.is_proved
    assert proof.is_complete


HALF_WAY = """
import os, time
from pathlib import Path
import numpy as np

def process(events):
    signs = Path(os.environ["SIGNS"])
    total = float(np.sum(events.MET.pt))
    if events.metadata["entrystart"] > 0:
        (signs / "half way").touch()
        while not (signs / "go on").exists():
            time.sleep(0.05)
    return {"n": len(events), "sum": total, "phi": float(np.sum(events.MET.phi))}
"""


def test_a_data_server_that_is_killed_in_mid_run_costs_seconds_and_no_event(tmp_path):
    names = ("127.0.0.1", socket.gethostname())
    with XRootD("proxy", hosts=names, n_servers=2) as server:
        url, proxy = serve(server), make_proxy(tmp_path / "x509up")
        (tmp_path / "a.py").write_text(HALF_WAY)
        here = server.environment(X509_USER_PROXY=str(proxy), SIGNS=str(tmp_path / "signs"))
        argv = [*MODULE, "run", "a.py:process", url, "--workers", "0", "--chunksize", CHUNK]
        with Story([*argv, "--run-dir", "run"], tmp_path, here) as story:
            story.wait_for("half way")
            had = server.serving(FILE)
            assert had
            server.kill(had)
            began = time.monotonic()
            story.give("go on")
            code, told = story.end()
            took_s = time.monotonic() - began
        assert code == 0, told
        check_result(tmp_path / "run", server)
        # The client by itself, through fsspec, was not done after five minutes.
        assert took_s < 60


class Renewing:
    """A run on a blind worker whose proxy ends while it is half way."""

    def __init__(self, server, tmp_path):
        self.run_dir, self.proxy = tmp_path / "run", tmp_path / "mine" / "x509up µ"
        self.proxy.parent.mkdir()
        (tmp_path / "scratch").mkdir()
        environment = server.environment(X509_USER_PROXY=str(self.proxy))
        argv = [sys.executable, STORY, tmp_path / "scratch", serve(server), self.run_dir]
        self.story = Story([*argv, tmp_path / "signs"], tmp_path, environment)

    def begin(self):
        """Come half way with a proxy that lives for a moment; its place on the worker."""
        self.story.wait_for("ready")
        make_proxy(self.proxy, end_h=LIFE_S / 3600)
        self.ends_at = time.time() + LIFE_S
        self.story.give("begin")
        return Path(self.story.wait_for("half way"))

    def outlive(self):
        """Wait until the first proxy is over."""
        wait_until(lambda: time.time() > self.ends_at + 1, "the end of the proxy", 2 * LIFE_S)


def test_a_proxy_renewed_in_mid_run_is_used_by_live_workers(tmp_path):
    with XRootD("proxy") as server:
        renewing = Renewing(server, tmp_path)
        with renewing.story as story:
            there = renewing.begin()
            made = make_proxy(renewing.proxy).read_bytes()
            wait_until(lambda: there.read_bytes() == made, "the new proxy on the worker")
            renewing.outlive()
            server.restart()  # who comes again has to show a proxy
            story.give("go on")
            code, told = story.end()
        assert code == 0, told
        check_result(renewing.run_dir, server)


def test_a_proxy_that_ends_in_mid_run_is_named_and_the_run_resumed(tmp_path):
    with XRootD("proxy") as server:
        renewing = Renewing(server, tmp_path)
        with renewing.story as story:
            renewing.begin()
            renewing.outlive()
            server.restart()
            story.give("go on")
            code, told = story.end()
        assert code != 0
        assert "RunStoppedError" in told
        assert "the proxy" in told
        assert "has expired" in told
        assert "No protocols left" not in told.partition("has expired")[0].rpartition("why:")[2]
        # Asking again would be of no use.
        assert {failure.attempt for failure in read_failures(renewing.run_dir)} == {1}
        make_proxy(renewing.proxy)
        done = run([*MODULE, "resume", "run", "--workers", "0"], tmp_path, story.environment)
        assert done.returncode == 0, done.stderr
        check_result(renewing.run_dir, server)
