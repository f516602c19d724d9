from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from beampipe.cli import plan as plan_command
from beampipe.cli.main import cli
from beampipe.testing import tiny_files

HOSTILE = "Z → µµ 'x' \"q\" [red].root"


@pytest.fixture
def fileset(tmp_path):
    """A fileset file with one good dataset and one that has two bad files."""
    tiny_files.write_tree_file(tmp_path / "dy" / "a.root", events=1000)
    tiny_files.write_tree_file(tmp_path / "dy" / HOSTILE, events=500)
    tiny_files.write_empty_file(tmp_path / "empty.root")
    path = tmp_path / "files µ.toml"
    path.write_text(
        "DY = 'dy'\n['[red]']\nfiles = ['dy/a.root', 'gone.root', 'empty.root']\n"
        "metadata = {xsec = 1.5}\n"
    )
    return path


def call(*arguments):
    return CliRunner().invoke(cli, ["plan", *map(str, arguments)])


def test_a_good_fileset(fileset):
    done = call(fileset.parent / "dy", "--chunksize", 300)
    assert done.exit_code == 0, done.output
    header, row = done.stdout.splitlines()
    assert header.split("\t") == list(plan_command.COLUMNS)
    assert row.split("\t")[:5] == ["data", "2", "0", "1,500", "6"]
    assert row.endswith("\tEvents")


def test_bad_files_are_named_with_their_reasons(fileset):
    done = call(fileset)
    assert done.exit_code == 4
    assert "[red]\t3\t2\t1,000\t1" in done.stdout
    assert "total\t5\t2\t2,500\t3" in done.stdout
    assert "2 file(s) cannot be used" in done.stdout
    for text in ("dataset-file-missing", "gone.root", "dataset-file-empty", "zero bytes"):
        assert text in done.stdout


def test_json(fileset):
    done = call(fileset, "--json", "--chunksize", 400)
    assert done.exit_code == 4
    found = json.loads(done.stdout)
    assert found["status"] == "incomplete"
    assert found["datasets"]["DY"] | {"size_bytes": 0} == {
        "files": 2,
        "files_unusable": 0,
        "events": 1500,
        "chunks": 5,
        "size_bytes": 0,
        "trees": ["Events"],
        "metadata": {},
    }
    assert found["datasets"]["[red]"]["metadata"] == {"xsec": 1.5}
    assert [(file["dataset"], file["code"]) for file in found["unusable"]] == [
        ("[red]", "dataset-file-missing"),
        ("[red]", "dataset-file-empty"),
    ]
    assert len(found["digest"]) == 64


@pytest.mark.parametrize(
    ("option", "value", "events", "chunks"),
    [("--maxfiles", 1, 500, 5), ("--maxchunks", 3, 300, 3), ("--maxevents", 250, 250, 3)],
)
def test_limits(fileset, option, value, events, chunks):
    done = call(fileset.parent / "dy", "--chunksize", 100, option, value, "--json")
    found = json.loads(done.stdout)
    assert (found["events"], found["chunks"]) == (events, chunks)


def test_several_files_as_a_shell_expands_them(fileset):
    done = call(fileset.parent / "dy/a.root", fileset.parent / "dy" / HOSTILE, "--json")
    assert json.loads(done.stdout)["events"] == 1500


def test_a_tree_by_name(fileset):
    done = call(fileset.parent / "dy", "--treename", "Runs")
    assert done.exit_code == 4
    assert "dataset-tree-not-found" in done.stdout
    assert "'Events'" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["gone.root"], 1, "dataset-file-missing"),
        (["none/*.root"], 1, "dataset-no-files"),
        (["gone.toml"], 1, "dataset-fileset-file"),
        ([], 2, "FILESET"),
        (["x", "--chunksize", "0"], 2, "chunksize"),
    ],
)
def test_mistakes(tmp_path, monkeypatch, arguments, code, word):
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.exit_code == code
    assert word in done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""


def test_in_a_terminal_there_is_a_table_and_a_bar(fileset, monkeypatch, capsys):
    monkeypatch.setattr(plan_command.sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(plan_command.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as caught:
        cli(["plan", str(fileset)])
    assert caught.value.code == 4
    output = click.unstyle(capsys.readouterr().out)
    assert "[red]" in output  # a name, no markup
    assert output.splitlines()[0].split() == list(plan_command.COLUMNS)
    assert output.splitlines()[3].split()[:5] == ["total", "5", "2", "2,500", "3"]


def test_the_second_plan_comes_from_the_cache(fileset, monkeypatch):
    call(fileset.parent / "dy")
    monkeypatch.setattr("beampipe.datasets.counting.read_metadata", None)
    assert call(fileset.parent / "dy").exit_code == 0


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2e12, "2.0 TB"), (3e15, "3.0 PB")],
)
def test_sizes(size, text):
    assert plan_command.format_size(size) == text
