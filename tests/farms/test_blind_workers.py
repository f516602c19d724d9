"""Workers that see nothing of the user's: code, inputs and a proxy for real storage go to them."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

from tests.environments import grid
from tests.farms.blind_analysis import facts_for_story
from tests.farms.gateway import PASSWORD, running_gateway
from tests.farms.xrootd import XRootD

from beampipe.datasets.samples import make_data

BLIND = {
    "blind": True, "equal": True, "complete": True, "notes": [],
    "proxies sent": True, "proxies left": [],
}  # fmt: skip
STORY = Path(__file__).with_name("gateway_story.py")
PATIENCE_S = 250


def make_proxy(path: Path, user: str = "root") -> Path:
    grid.write(path, grid.proxy(grid.user(), "779", oid=grid.RFC).pem())
    os.chown(path, pwd.getpwnam(user).pw_uid, -1)
    return path


def test_all_that_an_analysis_needs_reaches_workers_that_see_no_folder_of_ours(request, tell_on):
    systems = ("slurm", "htcondor", "sge")
    farms = [request.getfixturevalue(f"{system}_farm") for system in systems]
    with XRootD("proxy", hosts=[farm.nodes.host for farm in farms]) as server:
        make_data(server.data, files=2, events=10_000, seed=5)
        told = {
            farm.system: facts_for_story(
                server.url_at(farm.nodes.host),
                make_proxy(farm.shared / "x509up", farm.user),
                server.certificates,
            )
            for farm in farms
        }
        for system, found in tell_on("blind_stories:blind", *systems, environments=told).items():
            assert found == BLIND | {"encrypted": True, "secret": False}, system


def test_the_same_through_a_gateway(tmp_path):
    here, seen, config = tmp_path / "here µ", tmp_path / "seen", tmp_path / "config"
    here.mkdir()
    with XRootD("proxy") as server, running_gateway() as gateway:
        make_data(server.data, files=2, events=10_000, seed=5)
        gateway.write_profile(config / "beampipe" / "sites")
        proxy = make_proxy(tmp_path / "x509up")
        told = facts_for_story(server.url, proxy, server.certificates, password=PASSWORD)
        done = subprocess.run(
            [sys.executable, str(STORY), str(seen)],
            capture_output=True, text=True, check=False, timeout=PATIENCE_S, cwd=here,
            env=server.environment(
                XDG_CONFIG_HOME=str(config), XDG_STATE_HOME=str(tmp_path / "state"), **told
            ),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == BLIND
