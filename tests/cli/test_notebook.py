from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from beampipe.cli.main import cli
from beampipe.clusters import notebooks
from beampipe.clusters.notebooks import Notebook


def call(*args):
    done = CliRunner().invoke(cli, ["notebook", *args])
    return done.exit_code, done.output


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A notebook that runs, as far as its files say."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = Notebook(name="mine", site="lpc", system="htcondor", tag="bp-x-00000001", job_id="7.0")
    (made.folder / "runtime").mkdir(parents=True)
    (made.folder / "token").write_text("SECRET")
    (made.folder / "host").write_text("node7.invalid 192.0.2.7")
    (made.folder / "runtime" / "jpserver-3.json").write_text('{"port": 8899}')
    monkeypatch.setattr(notebooks, "look_at", lambda _: "running")
    return made


def test_a_notebook_is_started_and_shown(book, monkeypatch):
    asked = []

    def open_notebook(name, site, *, work, say):
        asked.append((name, site.name, work.is_absolute()))
        say("waiting for it")
        return book

    monkeypatch.setattr(notebooks, "open_notebook", open_notebook)
    code, output = call("--on", "lpc", "--name", "mine")
    assert code == 0, output
    assert asked == [("mine", "lpc", True)]
    assert "waiting for it" in output
    assert "ssh -N -L 8899:192.0.2.7:8899" in output
    assert "https://localhost:8899/lab?token=SECRET" in output


def test_notebooks_are_listed(book):
    assert "no notebooks" in call("list")[1]
    book.write()
    assert "mine  running, job 7.0 at lpc" in call("list")[1]
    found = json.loads(CliRunner().invoke(cli, ["notebook", "list", "--json"]).stdout)
    assert found[0]["state"] == "running"
    assert "SECRET" not in json.dumps(found)


def test_a_notebook_is_stopped(book, monkeypatch):
    book.write()
    stopped = []
    monkeypatch.setattr(notebooks, "stop_notebook", stopped.append)
    assert call("stop")[0] == 0
    assert stopped == [book]
    assert "There is no notebook" in call("stop", "other")[1]


def test_here_and_there_exclude_each_other():
    code, output = call("--here", "--on", "lpc")
    assert code == 2
    assert "exclude each other" in output


def test_a_gateway_starts_no_notebooks(monkeypatch):
    monkeypatch.setattr(notebooks, "open_notebook", None)  # nothing begins
    code, output = call("--on", "eaf")
    assert code == 2
    assert "'eaf' is a gateway, which starts clusters and no notebooks" in output


def test_where_there_is_none_none_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    code, output = call("stop")
    assert code == 1
    assert "you have none" in output


def test_a_site_without_its_option_is_guessed():
    code, output = call("slurm")
    assert code == 2
    assert "No such command 'slurm'. Did you mean '--on slurm'?" in output
