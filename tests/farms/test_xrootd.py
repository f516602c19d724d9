"""Reading with a proxy from a real XRootD server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import uproot
from tests.environments import grid
from tests.farms.xrootd import XRootD

from beampipe.datasets.samples import make_data

PATIENCE_S = 250
PROJECT = Path(__file__).resolve().parents[2]
STORY = PROJECT / "tests" / "farms" / "proxy_story.py"
ANALYSIS = "def process(events):\n    return {'n': len(events)}\n"
RENEWAL = """
import os, sys
from XRootD import client

base, path, newer = sys.argv[1:]


def opens(user):  # another user's name makes another connection
    file = client.File()
    status, _ = file.open(base.replace("root://", f"root://{user}@") + "/events_000.root")
    return bool(status.ok)


print(opens("a"))
os.replace(newer, path)
print(opens("b"))
os.environ["X509_USER_PROXY"] = "/none"
print(opens("c"))
"""


@pytest.fixture(scope="module")
def server():
    with XRootD("proxy") as running:
        make_data(running.data, files=2, events=500, seed=5)
        yield running


@pytest.fixture
def proxy(tmp_path):
    """A function that makes the user's proxy, alone in its folder."""
    folder = tmp_path / "mine µ"
    folder.mkdir()

    def make(**how):
        made = grid.proxy(grid.user(), "777", oid=grid.RFC, **how)
        return grid.write(folder / "proxy", made.pem())

    return make


def start(argv, server, proxy, tmp_path):
    environment = server.environment(X509_USER_PROXY=str(proxy)) | {"PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        [sys.executable, *map(str, argv)],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=environment,
        cwd=tmp_path,
    )  # fmt: skip


def test_a_worker_that_does_not_see_the_proxy_reads_with_it(server, proxy, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    url = f"{server.url}/events_000.root"
    done = start([STORY, scratch, url, tmp_path / "run"], server, proxy(), tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    with uproot.open(server.data / "events_000.root") as file:
        expected = float(np.sum(file["Events"]["MET_pt"].array()))
    assert told["complete"]
    assert told["output"]["n"] == 500
    assert told["output"]["sum"] == pytest.approx(expected)
    (place,) = told["output"]["places"]
    assert Path(place).is_relative_to(scratch)
    ((was_there, _),), ((is_there, _),) = told["before"], told["after"]
    assert not was_there  # the worker was blind indeed
    assert not is_there
    assert not Path(place).exists()


@pytest.mark.parametrize(
    ("how", "words", "name"),
    [
        ({"begin_h": -5, "end_h": -0.05}, "has expired", "events_001.root"),
        (None, "there is neither a proxy", "events_001.root"),
        (None, "there is neither a proxy", ""),
    ],
    ids=["expired", "none", "none for a folder"],
)
def test_a_refusal_says_what_is_wrong_with_the_proxy(server, proxy, tmp_path, how, words, name):
    (tmp_path / "a.py").write_text(ANALYSIS)
    path = proxy(**how) if how else tmp_path / "none"
    url = f"{server.url}/{name}"
    argv = ["-m", "beampipe", "run", "a.py:process", url, "--workers", "0", "--run-dir", "r"]
    done = start(argv, server, path, tmp_path)
    assert done.returncode == 1, done.stderr
    assert words in done.stderr


def test_the_client_takes_a_new_proxy_at_the_same_path_and_asks_for_the_path_once(
    server, proxy, tmp_path
):
    """Why a worker's file keeps its place, from run to run and when it is renewed."""
    newer = grid.write(tmp_path / "newer", grid.proxy(grid.user(), "778", oid=grid.RFC).pem())
    path = proxy(begin_h=-5, end_h=-0.05)
    done = start(["-c", RENEWAL, server.url, path, newer], server, path, tmp_path)
    assert done.stdout.split() == ["False", "True", "True"], done.stderr


def test_a_proxy_that_ends_soon_is_told_at_once(server, proxy, tmp_path):
    (tmp_path / "a.py").write_text(ANALYSIS)
    url = f"{server.url}/events_001.root"
    argv = ["-m", "beampipe", "run", "a.py:process", url, "--workers", "0", "--run-dir", "r"]
    done = start(argv, server, proxy(end_h=0.5), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning: The proxy" in done.stderr
    assert "which is too early" in done.stderr
