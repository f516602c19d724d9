"""Clusters of a real dask-gateway-server whose schedulers and workers are jobs of a real Slurm."""

from __future__ import annotations

import json
import operator
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.farms.daemons import PATIENCE_S, wait_until
from tests.farms.farm import SECOND_USER, USER
from tests.farms.gateway import ALL, PASSWORD, end_all, ids, running_gateway, signed_in

import beampipe as bp
from beampipe.cli.main import cli
from beampipe.clusters.launching import launch
from beampipe.clusters.named import Wish
from beampipe.clusters.site_files import load_site
from beampipe.errors import (
    ClusterGoneError,
    ClusterUnknownError,
    GatewayLimitError,
    GatewayOptionError,
    GatewayStartError,
)

SLOW = f"{Path(__file__).with_name('slow_processor.py')}:process"


@pytest.fixture(scope="module")
def server(slurm_farm):
    with running_gateway(farm=slurm_farm) as server:
        yield server


@pytest.fixture
def site(server, tmp_path, monkeypatch):
    """A site there, for the farm's first user; no cluster and no job outlives the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state µ"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    server.write_profile(tmp_path / "config" / "beampipe" / "sites")
    with signed_in(USER):
        yield load_site("gate")
        end_all()
    with signed_in(SECOND_USER):
        end_all()
    wait_until(lambda: not jobs(server), "the end of all jobs")


@pytest.fixture
def shared(server, tmp_path):
    """A folder that jobs see, with this Slurm's user as its owner."""
    folder = server.farm.shared / tmp_path.name
    folder.mkdir()
    user = pwd.getpwnam(USER)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def jobs(server, *columns):
    """Jobs of the gateway that Slurm has, as lists of columns: by default their ids and users."""
    form = " ".join(columns or ("%i", "%u"))
    told = server.farm.run("squeue", "-h", "-t", "PD,R,CF", "-n", "dask-gateway", "-o", form).stdout
    return [line.split() for line in told.splitlines()]


def call(*args):
    done = CliRunner().invoke(cli, ["cluster", *args])
    assert done.exit_code == 0, done.output
    return done.output


def compute(cluster, n=5):
    with cluster.get_client() as client:
        return sum(client.gather(client.map(operator.neg, range(n))))


def test_its_jobs_are_the_users_own_with_what_was_asked_for(site, server):
    launch("mine", load_site("gate", queue="batch", memory="768 MiB"), Wish(workers=1))
    with bp.connect("mine") as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE_S)
        found = sorted(jobs(server, "%u", "%P", "%m", "%C"))
        assert found == [[USER, "batch", "400M", "1"], [USER, "batch", "768M", "1"]]
        with cluster.get_client() as client:
            (who,) = client.run(lambda: (os.geteuid(), os.environ["SLURM_JOB_ID"])).values()
        assert who[0] == pwd.getpwnam(USER).pw_uid
        logs = {name: str(text) for name, text in cluster.get_logs().items()}
        own = sorted(name for name in logs if name.endswith(".log"))
        assert [name.split("-")[:2] for name in own] == [["dask", "scheduler"], ["dask", "worker"]]
        assert "distributed.scheduler - INFO" in logs[own[0]]
        assert "distributed.worker - INFO" in call("logs", "mine", "--job", own[1])
        # A worker whose job is ended behind our back is replaced.
        (first,) = cluster.scheduler_info["workers"]
        server.farm.run("scancel", who[1])
        wait_until(
            lambda: {first} != set(cluster.scheduler_info["workers"]) != set(),
            "another worker",
        )
        assert compute(cluster) == -10
        cluster.scale(2)
        cluster.wait_for_workers(2, timeout=PATIENCE_S)
        cluster.adapt(0, 2)
        wait_until(lambda: len(jobs(server)) == 1, "the end of all workers' jobs")
        assert compute(cluster, 6) == -15  # a new one comes
    assert "is down" in call("down", "mine")
    assert ids(ALL) == []
    wait_until(lambda: not jobs(server), "the end of all jobs")


@pytest.mark.usefixtures("site")
def test_two_users_keep_out_of_each_others_clusters(server):
    with bp.cluster("gate") as mine, signed_in(SECOND_USER):
        assert ids() == []
        with pytest.raises(ClusterUnknownError, match="you have none there"):
            bp.connect(f"gate/{mine.name}")
        with bp.cluster("gate"):
            with pytest.raises(GatewayLimitError, match="only have 1 active cluster"):
                bp.cluster("gate")
            assert {user for _, user in jobs(server)} == {USER, SECOND_USER}
        with bp.cluster("gate"):  # at once: the block was left when the server had ended it
            pass


@pytest.mark.usefixtures("site")
def test_options_are_checked_by_the_servers_own_list(server):
    with pytest.raises(GatewayOptionError, match="did you mean 'short'"):
        bp.cluster("gate", queue="shor")
    with pytest.raises(GatewayOptionError, match="takes 1 to 4"):
        bp.cluster("gate", cores=9)
    assert jobs(server) == []
    assert "one of 'batch', 'short'" in call("preview", "--on", "gate")


def test_a_scheduler_that_was_cancelled_behind_our_back(site, server):
    launch("lost", site, Wish())
    with bp.connect("lost") as cluster:
        server.farm.run("scancel", *(job for job, _ in jobs(server)))
        wait_until(lambda: cluster.failure is not None, "the gateway to notice")
        with pytest.raises(ClusterGoneError):
            cluster.scale(2)
    with pytest.raises(ClusterGoneError, match="is there no more"):
        bp.connect("lost")
    assert "gone" in call("ls")
    assert "is down" in call("down", "lost")


@pytest.mark.usefixtures("site")
def test_a_scheduler_that_cannot_start_is_told_in_its_own_words(server):
    with pytest.raises(GatewayStartError, match="conda: no environment of this name") as caught:
        bp.cluster("gate", conda="broken")
    assert "its operators" not in caught.value.fix
    with pytest.raises(GatewayStartError, match="not ready within 3 s"):
        bp.cluster("gate", conda="slow", start_timeout="3 s")
    assert ids(ALL) == []
    wait_until(lambda: not jobs(server), "the end of all jobs")


def test_a_run_outlives_a_server_that_is_killed(site, server, shared, tmp_path):
    """The server and its proxy die in mid-run, and come back; every event is counted once."""
    bp.make_data(shared / "data", files=30, events=100)
    traces = shared / "traces"
    traces.mkdir()
    traces.chmod(0o777)
    run = [sys.executable, "-m", "beampipe", "run", SLOW, str(shared / "data"), "--on", "gate"]
    run += ["--workers", "2", "--run-dir", str(tmp_path / "run")]
    run += ["--param", f"traces={traces}", "--param", "pause_s=0.4"]
    shown = json.dumps({"username": USER, "password": PASSWORD})
    who = {"DASK_GATEWAY__AUTH__TYPE": "basic", "DASK_GATEWAY__AUTH__KWARGS": shown}
    output = tmp_path / "output"
    with (
        output.open("wb") as stream,
        subprocess.Popen(run, env=os.environ | who, stdout=stream, stderr=stream) as process,
    ):
        try:
            wait_until(lambda: len(list(traces.iterdir())) >= 8, "a part of the run")
            server.kill()
            server.start()
            code = process.wait(2 * PATIENCE_S)
        finally:
            process.kill()
    assert code == 0, output.read_text()
    result = bp.load(tmp_path / "run")
    here = bp.run(
        SLOW, shared / "data", client="inline", run_dir=tmp_path / "here", progress=False,
        params={"traces": str(traces), "pause_s": 0},
    )  # fmt: skip
    assert result.is_complete
    assert result.output["events"] == here.output["events"] == 3000
    assert (result.output["pt"].values() == here.output["pt"].values()).all()
    assert (result.output["big"] == here.output["big"]).all()
    assert ids(ALL) == []
    wait_until(lambda: not jobs(server), "the end of all jobs")
