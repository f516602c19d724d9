from __future__ import annotations

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from beampipe.cli.completion import known_runs, known_schemas
from beampipe.cli.main import cli
from beampipe.reading.schemas import schema_names


def complete(*words):
    """What the shell is told for the last word."""
    found = ShellComplete(cli, {}, "beampipe", "_BEAMPIPE_COMPLETE").get_completions(
        list(words[:-1]), words[-1]
    )
    return [(item.type, item.value) for item in found]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_RUN_ROOT", str(tmp_path / "runs µ"))
    for name in ("20261120-a", "20261121-b 'x'"):
        (tmp_path / "runs µ" / name).mkdir(parents=True)
        (tmp_path / "runs µ" / name / "run.json").touch()


@pytest.mark.parametrize(
    "command", ["show", "report", "plot", "export", "verify", "resume", "reproduce"]
)
def test_runs_are_offered_the_newest_first(runs, command):
    assert complete(command, "") == [
        ("plain", "latest"),
        ("plain", "20261121-b 'x'"),
        ("plain", "20261120-a"),
        ("dir", ""),
    ]
    assert complete(command, "202611") == [
        ("plain", "20261121-b 'x'"),
        ("plain", "20261120-a"),
        ("dir", "202611"),
    ]


def test_where_there_are_no_runs_nothing_is_offered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert known_runs() == []
    assert complete("show", "x") == [("dir", "x")]


def test_broken_settings_are_no_matter_for_a_prompt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beampipe.toml").write_text("nonsense =")
    assert complete("show", "") == [("dir", "")]


@pytest.mark.parametrize("command", ["run", "try"])
def test_files_are_offered_for_processors_and_filesets(command):
    assert complete(command, "dim") == [("file", "dim")]
    assert complete(command, "dimuon.py:process", "da") == [("file", "da")]
    assert complete(command, "dimuon.py:process", "a.root", "b") == [("file", "b")]


def test_schemas_are_those_of_coffea():
    assert set(known_schemas()) == {*schema_names(), "none"}
    assert complete("run", "p", "f", "--schema", "nano") == [("plain", "NanoAODSchema")]


def test_a_prompt_does_not_wait_for_coffea():
    code = (
        "import sys; from beampipe.cli import completion as c; c.known_schemas(); c.known_runs();"
        "sys.exit(bool({'coffea', 'awkward', 'uproot', 'hist', 'distributed'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_commands_are_offered():
    assert complete("re") == [("plain", "resume"), ("plain", "report"), ("plain", "reproduce")]
