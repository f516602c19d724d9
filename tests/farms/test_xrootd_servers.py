"""Servers behind a redirector, one of them killed in mid-run; proxies and tokens that end."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import uproot
from tests.environments import grid
from tests.farms.daemons import wait_until
from tests.farms.token_issuer import TokenIssuer
from tests.farms.xrootd import XRootD

import beampipe as bp
from beampipe.datasets.samples import make_data
from beampipe.execution.record_reader import read_failures

PATIENCE_S = 200
PROJECT = Path(__file__).resolve().parents[2]
STORY = Path(__file__).with_name("proxy_story.py")
EVENTS, CHUNK = 6000, 1000
LIVES_S = (12, 60, 150)
FILE = "events_000.root"
MODULE = [sys.executable, "-m", "beampipe"]
ANALYSIS = """
import numpy as np

def process(events):
    return {"n": len(events), "sum": float(np.sum(events.MET.pt))}
"""


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
        self.signs.mkdir(parents=True)
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

    def comes_to(self, sign):
        """Whether it does, or ends before."""
        path = self.signs / sign
        wait_until(lambda: path.exists() or self._process.poll() is not None, sign, PATIENCE_S)
        return path.exists()

    def wait_for(self, sign):
        assert self.comes_to(sign), self._process.communicate()
        return (self.signs / sign).read_text()

    def give(self, sign):
        (self.signs / sign).touch()

    def end(self):
        _, told = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, told


def call(argv, folder, environment):
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


@dataclass
class HalfWay:
    """A run on a blind worker that has come half way, with a proxy that ends soon."""

    story: Story
    run_dir: Path
    proxy: Path
    there: Path
    ends_at: float

    def outlive(self):
        """Wait until the first proxy is over."""
        left_s = self.ends_at - time.time()
        wait_until(lambda: time.time() > self.ends_at + 1, "the proxy's end", left_s + 60)


@contextlib.contextmanager
def half_way(server, tmp_path):
    """Come so far: where the machine is too slow for a proxy's life, with a longer one."""
    url = serve(server)
    for life_s in LIVES_S:
        here = tmp_path / f"{life_s} s"
        proxy = here / "mine" / "x509up µ"
        for folder in (proxy.parent, here / "scratch"):
            folder.mkdir(parents=True)
        argv = [sys.executable, STORY, here / "scratch", url, here / "run", here / "signs"]
        with Story(argv, here, server.environment(X509_USER_PROXY=str(proxy))) as story:
            story.wait_for("ready")
            ends_at = time.time() + life_s
            make_proxy(proxy, end_h=life_s / 3600)
            story.give("begin")
            if story.comes_to("half way"):
                there = Path(story.wait_for("half way"))
                yield HalfWay(story, here / "run", proxy, there, ends_at)
                return
    pytest.fail("no proxy lived long enough")


def test_a_proxy_renewed_in_mid_run_is_used_by_live_workers(tmp_path):
    with XRootD("proxy") as server, half_way(server, tmp_path) as run:
        made = make_proxy(run.proxy).read_bytes()
        wait_until(lambda: run.there.read_bytes() == made, "the new proxy on the worker")
        run.outlive()
        server.restart()  # who comes again has to show a proxy
        run.story.give("go on")
        code, told = run.story.end()
        assert code == 0, told
        check_result(run.run_dir, server)


def test_a_proxy_that_ends_in_mid_run_is_named_and_the_run_resumed(tmp_path):
    with XRootD("proxy") as server, half_way(server, tmp_path) as run:
        run.outlive()
        server.restart()
        run.story.give("go on")
        code, told = run.story.end()
        assert code != 0
        assert "RunStoppedError" in told
        reason = told.rpartition("why:")[2]
        assert reason.strip().startswith("the proxy")
        assert "has expired" in reason
        # Asking again would be of no use.
        assert {failure.attempt for failure in read_failures(run.run_dir)} == {1}
        make_proxy(run.proxy)
        here = run.story.folder
        done = call([*MODULE, "resume", "run", "--workers", "0"], here, run.story.environment)
        assert done.returncode == 0, done.stderr
        check_result(run.run_dir, server)


@pytest.fixture(scope="module")
def trusting():
    """A server that takes tokens, and their issuer."""
    server = XRootD("token")
    with TokenIssuer(server.folder) as issuer:
        server.trust_issuer(issuer.url)
        with server:
            serve(server)
            yield server, issuer


def run_with_token(trusting, tmp_path, text, mode=0o600):
    server, _ = trusting
    (tmp_path / "a.py").write_text(ANALYSIS)
    variables = {}
    if text is not None:
        path = grid.write(tmp_path / "token µ", text.encode(), mode)
        variables = {"BEARER_TOKEN_FILE": str(path)}
    argv = [*MODULE, "run", "a.py:process", f"{server.url}/{FILE}", "--workers", "0"]
    return call([*argv, "--run-dir", "run"], tmp_path, server.environment(**variables))


@pytest.mark.parametrize("scope", ["storage.read:/", f"openid storage.read:/{FILE}"])
def test_reading_with_a_token(trusting, tmp_path, scope):
    done = run_with_token(trusting, tmp_path, trusting[1].make(scope))
    assert done.returncode == 0, done.stderr
    check_result(tmp_path / "run", trusting[0])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (None, "there is neither a proxy"),
        ({"left_s": -100}, "has expired"),
        ({"scope": "storage.read:/other"}, "is storage.read:/other, not to read"),
        ({"scope": "storage.modify:/"}, "is storage.modify:/, not to read"),
    ],
    ids=["none", "expired", "elsewhere", "other right"],
)
def test_a_token_that_will_not_do_is_named(trusting, tmp_path, how, words):
    text = None if how is None else trusting[1].make(**how)
    done = run_with_token(trusting, tmp_path, text)
    assert done.returncode == 1, done.stderr
    assert words in done.stderr.partition("why:")[2]
    assert text is None or text.rpartition(".")[2] not in done.stdout + done.stderr
