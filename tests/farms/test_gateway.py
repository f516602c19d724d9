"""Clusters of a real dask-gateway-server, with its own proxy, two users and a database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import operator
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import dask
import pytest
from click.testing import CliRunner
from tests.farms.daemons import PATIENCE_S, wait_until
from tests.farms.gateway import (
    GatewayServer,
    end_all,
    ids,
    played_hub,
    running_gateway,
    signed_in,
)

import beampipe as bp
from beampipe.cli.main import cli
from beampipe.clusters.gateway_door import open_door
from beampipe.clusters.launching import launch
from beampipe.clusters.named import Standing, Wish, find_named, list_named
from beampipe.clusters.site_files import load_site
from beampipe.errors import (
    ClusterAmbiguousError,
    ClusterExistsError,
    ClusterGoneError,
    ClusterStartError,
    ClusterUnknownError,
    GatewayAccessError,
    GatewayLimitError,
    GatewayOptionError,
    GatewayStartError,
    GatewayUnreachableError,
)

SLOW = {"BEAMPIPE_SITE_CONDA": "slow"}


@pytest.fixture(scope="module")
def server():
    with running_gateway() as server:
        yield server


@pytest.fixture
def site(server: GatewayServer, tmp_path, monkeypatch):
    """A site there, for its user Alice; no cluster outlives the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state µ"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    server.write_profile(tmp_path / "config" / "beampipe" / "sites")
    with signed_in("alice"):
        yield load_site("gate")
        end_all()
    with signed_in("bob"):
        end_all()


def call(*args):
    done = CliRunner().invoke(cli, ["cluster", *args])
    return done.exit_code, done.output


def read(*args):
    done = CliRunner().invoke(cli, ["cluster", *args, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def compute(cluster, n=5):
    with cluster.get_client() as client:
        return sum(client.gather(client.map(operator.neg, range(n))))


@pytest.mark.usefixtures("site")
def test_a_cluster_is_there_for_a_block_and_gone_after_it():
    with bp.cluster(
        "gate", n_workers=1, queue="short", variables={"HELLO": "wörld 'x'"}
    ) as cluster:
        assert ids() == [cluster.name]
        assert compute(cluster) == -10
        cluster.wait_for_workers(1, timeout=PATIENCE_S)
        assert cluster.ask_status()["threads"] == 1
        with cluster.get_client() as client:
            names = ("HELLO", "BEAMPIPE_TEST_QUEUE")
            (found,) = client.run(lambda: [os.environ[name] for name in names]).values()
        assert found == ["wörld 'x'", "short"]
        logs = cluster.get_logs()
        assert {"Scheduler", *cluster.scheduler_info["workers"]} <= set(logs)
        assert "Scheduler at" in logs["Scheduler"]
        assert cluster.dashboard_link.endswith(f"/clusters/{cluster.name}/status")
        assert cluster.failure is None
        cluster.adapt(minimum=0, maximum=2)
        assert compute(cluster, 6) == -15
    assert ids(("pending", "running", "stopping")) == []
    assert cluster.status == "closed"


@pytest.mark.usefixtures("site")
def test_from_asynchronous_code():
    async def story():
        async with bp.cluster("gate", n_workers=1, asynchronous=True) as cluster:
            await cluster.wait_for_workers(1, timeout=PATIENCE_S)
            async with cluster.get_client() as client:
                total = await client.submit(operator.neg, 3)
            await cluster.scale(0)
            return total, await cluster.get_logs()

    total, logs = asyncio.run(story())
    assert total == -3
    assert "Scheduler" in logs
    assert ids(("pending", "running", "stopping")) == []


@pytest.mark.usefixtures("site")
def test_an_analysis_is_the_same_as_here(tmp_path):
    bp.make_data(tmp_path / "data", files=2, events=500)
    (tmp_path / "count.py").write_text("def process(events):\n    return {'n': len(events)}\n")
    run = ["run", f"{tmp_path}/count.py:process", str(tmp_path / "data"), "--chunksize", "200"]
    arguments = [*run, "--on", "gate", "--workers", "1", "--run-dir", str(tmp_path / "run")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    result = bp.load(tmp_path / "run")
    here = bp.run(run[1], run[2], client="inline", run_dir=tmp_path / "here", progress=False)
    assert result.output == here.output
    assert result.output["n"] > 0
    assert result.status == "complete"
    assert ids(("pending", "running", "stopping")) == []


@pytest.mark.usefixtures("site")
def test_what_would_be_sent_is_shown_and_nothing_starts(server):
    code, output = call("preview", "--on", "gate")
    assert code == 0, output
    assert server.address in output
    assert "authentication: basic" in output
    assert "worker_memory = 0.5  # Memory of a worker (GiB); 0.25 to 8; from `memory`" in output
    assert '# queue = "batch"  # Partition; one of' in output
    assert ids() == []


@pytest.mark.usefixtures("site")
def test_a_named_cluster_lives_at_the_server():
    code, output = call("up", "top", "--on", "gate", "--workers", "1")
    assert code == 0, output
    assert "beampipe.connect('top')" in output
    record = find_named("top")
    assert ids() == [record.server_name]
    assert not record.log.exists()
    assert (record.folder / "cluster.json").stat().st_mode & 0o777 == 0o600
    with bp.connect("top") as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE_S)
        assert compute(cluster) == -10
    (listed,) = read("ls")
    assert (listed["name"], listed["standing"], listed["site"]) == ("top", "running", "gate")
    assert listed["status"]["workers"] == 1
    assert "1 workers of 1" in call("ls")[1]
    assert "is there already" in call("up", "top", "--on", "gate")[1]
    assert call("scale", "0")[0] == 0
    assert find_named("top").wish == Wish(workers=0)
    assert "0 to 3 workers" in call("adapt", "top", "0", "3")[1]
    assert str(find_named("top").wish) == "0 to 3"
    assert "a gateway tells nothing of its jobs" in call("jobs")[1]
    assert read("jobs") == []
    code, output = call("logs")
    assert "Scheduler at" in output
    assert "its operators have" in output
    assert "wrote nothing" in call("logs", "--job", "7")[1]
    code, output = call("dashboard")
    assert output.startswith(record.dashboard)
    assert "ssh" not in output
    assert "cluster 'top' is down" in call("down")[1]
    assert ids(("pending", "running", "stopping")) == []
    assert list_named() == []


def test_clusters_of_others_are_found_by_the_servers_names(site):
    mine = launch("mine", site, Wish())
    with open_door(site) as gateway:
        other = gateway.submit(worker_cores=1)
    assert [each["name"] for each in read("ls")] == ["mine"]
    names = [each["name"] for each in read("ls", "--on", "gate")]
    assert names == ["mine", f"gate/{other}"]
    assert read("ls", "--on", "slurm") == []
    with bp.connect(f"gate/{other[:12]}") as cluster:
        assert cluster.name == other
    with bp.connect(f"gate/{mine.server_name}") as cluster:
        assert cluster.name == mine.server_name
    with pytest.raises(ClusterAmbiguousError, match="give more of its ID"):
        bp.connect("gate/")
    with pytest.raises(ClusterUnknownError, match=f"gate/{other}"):
        bp.connect("gate/none")
    with pytest.raises(ClusterUnknownError, match="its provider is 'batch'"):
        bp.connect("slurm/none")
    assert call("down", f"gate/{other}")[0] == 0
    assert [each["name"] for each in read("ls", "--on", "gate")] == ["mine"]
    with signed_in("bob"):  # who may not even look
        assert ids() == []
        with pytest.raises(GatewayAccessError, match="belongs to the user who"):
            bp.connect("mine")


@pytest.mark.usefixtures("site")
def test_the_doctor_looks_at_a_gateway(server):
    done = CliRunner().invoke(cli, ["doctor", "--on", "gate", "--json"])
    found = {each["code"]: each for each in json.loads(done.stdout)}
    assert done.exit_code == 0, [each for each in found.values() if each["status"] == "error"]
    codes = ("gateway", "gateway-version", "gateway-options", "worker", "versions", "clock")
    assert [found[code]["status"] for code in codes] == ["ok"] * len(codes)
    assert f"{server.address} lets us in; none of your clusters" in found["gateway"]["fact"]
    assert "worker_cores, worker_memory" in found["gateway-options"]["fact"]
    late = CliRunner().invoke(cli, ["doctor", "--on", "gate", "--json", "--wait", "1"], env=SLOW)
    found = {each["code"]: each for each in json.loads(late.stdout)}
    assert found["worker"]["status"] == "warning"
    assert "nothing was checked there" in found["worker"]["fact"]
    with signed_in("alice", "wrong secret"):
        done = CliRunner().invoke(cli, ["doctor", "--on", "gate"])
    assert done.exit_code == 1
    assert "error    gateway          The gateway of site 'gate' does not let us in" in done.output
    assert "not checked: no worker can be had from here" in done.output
    assert ids(("pending", "running", "stopping")) == []


def test_a_name_for_the_scheduler_as_a_job_makes_no_sense(site):
    with pytest.raises(ClusterStartError, match="leave out `--scheduler job`"):
        launch("x", site, Wish(), as_job=True)
    assert list_named() == []


@pytest.mark.usefixtures("site")
def test_a_wrong_password_is_told():
    with (
        signed_in("alice", "wrong secret"),
        pytest.raises(GatewayAccessError, match=r"gateway.auth.kwargs") as caught,
    ):
        bp.cluster("gate")
    assert "wrong secret" not in str(caught.value)
    assert "401" in caught.value.why


@pytest.mark.usefixtures("site")
def test_options_that_the_server_does_not_take():
    with pytest.raises(GatewayOptionError, match="takes 1 to 4"):
        bp.cluster("gate", cores=9)
    with pytest.raises(GatewayOptionError, match="did you mean 'preemptible'"):
        bp.cluster("gate", gateway_options={"preemptable": True})
    with pytest.raises(GatewayOptionError, match="no such environment"):
        bp.cluster("gate", conda="refused")
    assert ids() == []


@pytest.mark.usefixtures("site")
def test_a_user_with_one_cluster_gets_no_second_and_then_one_again():
    with signed_in("bob"):
        with bp.cluster("gate") as cluster:
            with pytest.raises(GatewayLimitError, match="only have 1 active cluster") as caught:
                bp.cluster("gate")
            assert caught.value.clusters == [f"gate/{cluster.name}"]
            assert f"beampipe.connect('gate/{cluster.name}')" in caught.value.fix
            assert cluster.failure is None
        with bp.cluster("gate"):  # at once: the block was left when the server had ended it
            pass


@pytest.mark.usefixtures("site")
def test_a_cluster_that_does_not_start():
    with pytest.raises(GatewayStartError, match="did not start") as caught:
        bp.cluster("gate", conda="broken")
    assert caught.value.status == "failed"
    assert ids() == []


@pytest.mark.usefixtures("site")
def test_a_cluster_that_is_not_ready_in_time_is_ended():
    with pytest.raises(GatewayStartError, match=r"not ready within 1 s") as caught:
        bp.cluster("gate", conda="slow", start_timeout="1 s")
    assert caught.value.status == "pending"
    assert ids(("pending", "running", "stopping")) == []
    slow = load_site("gate", conda="slow", start_timeout="1 s")
    with pytest.raises(GatewayStartError):
        launch("late", slow, Wish())
    assert list_named() == []


def test_a_wrong_way_to_schedulers_is_told(site, server, tmp_path):
    folder = tmp_path / "config" / "beampipe" / "sites"
    server.write_profile(folder, "wrong", gateway_proxy_address='"127.0.0.1:1"')
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "3s"}),
        pytest.raises(GatewayUnreachableError, match="set `gateway_proxy_address`"),
    ):
        bp.cluster("wrong")
    assert ids() == []


def test_a_cluster_that_the_server_dropped(site):
    record = launch("lost", site, Wish(workers=1))
    with bp.connect("lost") as cluster:
        with open_door(site) as gateway:
            gateway.stop_cluster(record.server_name)
        wait_until(lambda: not ids(("running", "stopping")), "its end")
        assert "is stopped" in str(cluster.failure)
        with pytest.raises(ClusterGoneError):
            cluster.scale(3)
    (listed,) = read("ls")
    assert (listed["standing"], listed["workers"]) == ("gone", "")
    assert "says: stopped" in listed["words"]
    with pytest.raises(ClusterGoneError, match="it is stopped"):
        bp.connect("lost")
    forgotten = replace(record, server_name="f" * 32)
    forgotten.write()
    with pytest.raises(ClusterGoneError, match="not found"):
        bp.connect("lost")
    assert read("ls")[0]["standing"] == "gone"
    record.write()
    again = launch("lost", None, None)  # under the same name, as it was
    assert again.server_name != record.server_name
    assert again.wish == Wish(workers=1)
    assert call("down", "lost")[0] == 0
    assert list_named() == []


def test_a_server_that_is_killed_finds_its_clusters_again(site, server):
    record = launch("kept", site, Wish(workers=1))
    with bp.connect("kept") as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE_S)
    server.kill()
    assert read("ls")[0]["standing"] == "unknown"
    assert "does not answer" in read("ls")[0]["words"]
    with pytest.raises(GatewayUnreachableError, match="does not answer"):
        bp.connect("kept")
    with pytest.raises(ClusterExistsError, match="it is unknown"):
        launch("kept", None, None)
    assert call("down", "kept")[0] == 1
    code, output = call("preview", "--on", "gate")
    assert code == 0
    assert "cannot be asked now" in output
    server.start()
    assert find_named("kept").standing is Standing.RUNNING
    with bp.connect("kept") as cluster:
        assert cluster.name == record.server_name
        assert compute(cluster) == -10
        cluster.scale(2)
        cluster.wait_for_workers(2, timeout=PATIENCE_S)
    assert call("down", "kept")[0] == 0
    assert ids(("pending", "running", "stopping")) == []


def test_tokens_of_a_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "config" / "beampipe" / "sites"
    with played_hub() as hub, running_gateway(hub) as behind:
        behind.write_profile(folder, gateway_auth='"jupyterhub"')
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "good")
        assert ids() == []
        with bp.cluster("gate") as cluster:
            assert ids() == [cluster.name]
        for bad, words in (("narrow", "scope .* 401"), ("stale", "wrong or has expired")):
            monkeypatch.setenv("JUPYTERHUB_API_TOKEN", bad)
            with pytest.raises(GatewayAccessError, match=words) as caught:
                bp.cluster("gate")
            assert "JUPYTERHUB_API_TOKEN" in caught.value.fix


PROGRAM = """
import signal, sys, time
import dask
signal.signal(signal.SIGINT, signal.default_int_handler)  # CI may have started us without it
import beampipe as bp
dask.config.set({"gateway.auth.kwargs": {"username": "alice", "password": sys.argv[1]}})
cluster = bp.cluster("gate", conda=sys.argv[3])
print("up", flush=True)
if sys.argv[2] == "wait":
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("how", "conda", "number", "code"),
    [
        ("end", "here", None, 0),
        ("wait", "here", signal.SIGTERM, 143),
        ("wait", "slow", signal.SIGINT, None),
    ],
    ids=["end", "SIGTERM", "Ctrl-C in the start"],
)
@pytest.mark.usefixtures("site")
def test_a_process_that_goes_leaves_no_cluster(how, conda, number, code):
    from tests.farms.gateway import PASSWORD

    argv = [sys.executable, "-c", PROGRAM, PASSWORD, how, conda]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        if conda == "slow":
            wait_until(ids, "a cluster that is pending")
        else:
            assert run.stdout.readline() == "up\n", run.stderr.read()
        if number is not None:
            assert ids()
            run.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(PATIENCE_S)
        assert run.returncode == code if code is not None else run.returncode != 0
    give_up = time.monotonic() + PATIENCE_S
    while ids(("pending", "running", "stopping")):
        assert time.monotonic() < give_up
        time.sleep(0.1)
