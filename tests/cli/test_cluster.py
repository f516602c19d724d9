from __future__ import annotations

import json
import os
import signal
import time

import pytest
from click.testing import CliRunner

from beampipe.cli.main import cli
from beampipe.clusters import detection
from beampipe.clusters.job_leases import JobLease
from beampipe.clusters.named import Standing, find_named, list_named
from beampipe.clusters.reaping import Orphans, take_down


def call(*args, stdin=""):
    done = CliRunner().invoke(cli, ["cluster", *args], input=stdin)
    return done.exit_code, done.output


def read(*args):
    done = CliRunner().invoke(cli, ["cluster", *args, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state µ"))
    yield
    for record in list_named():
        take_down(record)


def test_a_preview_shows_what_would_be_submitted():
    code, output = call("preview", "--on", "slurm")
    assert code == 0
    assert "#SBATCH --time=01:00:00" in output
    assert "sbatch --parsable" in output


def test_the_site_of_this_host_is_said(monkeypatch):
    monkeypatch.setattr(detection.socket, "getfqdn", lambda: "cmslpc3.fnal.gov")
    code, output = call("preview")
    assert code == 0
    assert output.startswith("# site 'lpc'")
    assert "condor_submit" in output


def test_an_unknown_site_is_an_error():
    assert call("preview", "--on", "slrum")[0] == 1


@pytest.mark.usefixtures("state")
def test_a_cluster_lives_from_up_to_down():
    assert "no clusters" in call("ls")[1]
    code, output = call("up", "one", "--on", "local", "--workers", "1")
    assert code == 0, output
    assert "beampipe.connect('one')" in output
    (listed,) = read("ls")
    assert (listed["name"], listed["standing"], listed["site"]) == ("one", "running", "local")
    assert listed["status"]["wish"]["workers"] == 1
    assert "running" in call("ls")[1]
    code, output = call("dashboard")
    assert code == 0
    assert output.startswith(listed["dashboard"])
    assert "ssh -N -L" in output
    assert call("scale", "2")[0] == 0
    assert call("scale", "one", "1")[0] == 0
    assert read("ls")[0]["status"]["wish"]["workers"] == 1
    assert "0 to 1 workers" in call("adapt", "0", "1")[1]
    assert read("jobs", "one") == []
    assert "no jobs" in call("jobs")[1]
    assert "Scheduler" in call("logs")[1]
    assert "wrote nothing" in call("logs", "--job", "7")[1]
    assert "is there already" in call("up", "one", "--on", "local")[1]

    os.kill(find_named("one").owner["pid"], signal.SIGKILL)
    give_up = time.monotonic() + 120
    while find_named("one").standing is not Standing.GONE:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    assert "takes it over" in call("ls")[1]
    assert call("logs")[0] == 0
    code, output = call("scale", "1")
    assert code == 1
    assert "does not answer" in output
    assert call("up", "one")[0] == 0
    assert "is down" in call("down")[1]
    assert list_named() == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("up", "a b", "--on", "local"), "cannot name a cluster"),
        (("up", "x", "--on", "local", "--workers", "1", "--adapt", "0", "1"), "exclude each other"),
        (("up", "x", "--on", "local", "--adapt", "2", "1"), "smaller number"),
        (("scale", "x"), "a number of workers"),
        (("adapt", "1"), "two numbers"),
        (("adapt", "3", "1"), "smaller number"),
        (("scale", "1"), "There is no cluster"),
        (("jobs", "none"), "There is no cluster"),
        (("down",), "There is no cluster"),
        (("dashboard",), "There is no cluster"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("state")
def test_mistakes_are_explained(args, words):
    code, output = call(*args)
    assert code in {1, 2}
    assert words in output
    assert list_named() == []


@pytest.mark.usefixtures("state")
def test_only_jobs_of_clusters_that_are_known_are_reaped_unless_one_says_so(monkeypatch):
    known = Orphans(system="slurm", tag="bp-dead-00000001", job_ids=("1", "2"), cluster="dead")
    unknown = Orphans(system="slurm", tag="bp-x-00000002", job_ids=("3",))
    ended = []
    monkeypatch.setattr(
        "beampipe.clusters.reaping.find_orphans", lambda: ["sge: no answer", known, unknown]
    )
    monkeypatch.setattr("beampipe.clusters.reaping.end_orphans", lambda o: not ended.append(o))
    code, output = call("reap", stdin="n\n")
    assert code == 1
    assert ended == []
    assert "2 jobs of cluster 'dead'" in output
    assert "left alone without --all" in output
    assert "sge: no answer" in output
    assert call("reap", "--yes")[0] == 0
    assert ended == [known]
    assert call("reap", "--yes", "--all")[0] == 0
    assert ended == [known, known, unknown]


@pytest.mark.usefixtures("state")
def test_a_lease_alone_is_no_cluster():
    JobLease.of_this_process(tag="bp-x-00000001", name="x", site="slurm", system="slurm").write()
    assert read("ls") == []
