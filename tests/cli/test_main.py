from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points

import click
import pytest
from click.testing import CliRunner
from tests.cli.hand_made_run import call

from beampipe.cli import main
from beampipe.cli.main import COMMANDS, cli
from beampipe.errors import NotARunError, RunInterruptedError, RunStoppedError

HOSTILE = "a 'run' µ"


@pytest.fixture
def broken(monkeypatch):
    """Let `beampipe runs` raise what a test likes."""

    def use(error):
        @click.command("runs")
        @click.option("--json", is_flag=True)
        def command(**_):
            raise error

        monkeypatch.setattr("beampipe.cli.runs.command", command)

    return use


def test_every_command_is_listed_with_a_whole_sentence():
    output = call("--help").stdout
    for name in COMMANDS:
        (line,) = [line for line in output.splitlines() if line.startswith(f"  {name} ")]
        assert line.rstrip().endswith("."), line
        assert "..." not in line


def test_the_first_page_names_the_first_steps_and_the_exit_codes():
    output = call("--help").stdout
    for text in ("beampipe make-data data", "beampipe report latest", "130 interrupted"):
        assert text in output
    assert call("-h").stdout == output


def test_a_mistyped_command_gets_the_closest():
    done = call("rn")
    assert done.exit_code == 2
    assert "Did you mean 'run'?" in done.stderr
    assert "Did you mean" not in call("xyzzy").stderr


def test_no_command_shows_the_help():
    assert "Usage: beampipe" in call().output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotARunError("No run.", why="w", fix="f"), 1),
        (RunInterruptedError("Ended.", fix="go on"), 130),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 0),
        (ZeroDivisionError("by 'µ'"), 3),
        (click.UsageError("wrong"), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_has_its_exit_code_and_its_object(broken, monkeypatch, error, code):
    monkeypatch.setattr(main, "drop_output", lambda: None)
    broken(error)
    done = call("runs")
    assert done.exit_code == code
    assert done.stdout == ""
    assert ("Traceback" in done.stderr) == (code == 3)
    done = call("runs", "--json")
    assert done.exit_code == code
    if code:
        told = json.loads(done.stdout)
        assert told["status"] == ("interrupted" if code == 130 else "failed")
        assert told["error"]["message"]
    assert call("runs", "--", "--json").stdout == ""


def test_a_defect_is_reported_with_its_traceback(broken):
    broken(ZeroDivisionError("by 'µ'"))
    done = call("runs")
    assert "ZeroDivisionError: by 'µ'" in done.stderr
    assert "[unexpected] This is a defect of Beampipe" in done.stderr


def test_the_run_that_ended_is_named_in_a_form_that_can_be_pasted(broken, tmp_path):
    broken(RunStoppedError("Stopped.", run_dir=tmp_path / HOSTILE))
    lines = call("runs").stderr.splitlines()
    assert lines[-1].startswith("What was done is kept: beampipe show '")
    words = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {lines[-1].partition(': ')[2]}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert words.splitlines() == ["beampipe", "show", str(tmp_path / HOSTILE)]


def test_options_of_coffea_are_translated_and_others_get_the_closest():
    assert "--on-error skip" in call("run", "p.py:f", "x.root", "--skipbadfiles").stderr
    assert "--chunksize" in call("run", "p.py:f", "x.root", "--chunksiz", "3").stderr


def run_beampipe(*program, **environment):
    return subprocess.run(
        program,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | environment,
    )


def test_it_is_a_module_too():
    done = run_beampipe(sys.executable, "-m", "beampipe", "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("beampipe ")


def test_help_is_there_at_once():
    begin = os.times()
    done = run_beampipe(sys.executable, "-m", "beampipe", "--help")
    assert done.returncode == 0
    # 0.1 s; of a processor, not of a clock that goes on where others have it. What is heavy is
    # named in tests/test_house.py.
    end = os.times()
    spent_s = end.children_user + end.children_system
    assert spent_s - begin.children_user - begin.children_system < 2


def test_dask_lists_it_under_its_name():
    (point,) = entry_points(group="dask_cli", name="beampipe")
    group = click.Group("dask")
    group.add_command(point.load())  # as Dask does, under the command's own name
    done = CliRunner().invoke(group, ["beampipe", "run", "--help"])
    assert done.exit_code == 0, done.output
    assert "Usage: dask beampipe run" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_a_script(shell):
    done = run_beampipe(sys.executable, "-m", "beampipe", _BEAMPIPE_COMPLETE=f"{shell}_source")
    assert done.returncode == 0
    assert "beampipe" in done.stdout
    assert "complet" in done.stdout


def test_a_terminal_that_knows_no_greek_gets_something(tmp_path):
    done = run_beampipe(
        *(sys.executable, "-m", "beampipe", "runs", str(tmp_path / "µ")),
        PYTHONIOENCODING="ascii:strict",
        PYTHONUTF8="0",
    )
    assert done.returncode == 0, done.stderr
    assert "There are no runs in" in done.stdout


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    program = f"'{sys.executable}' -m beampipe runs --json '{tmp_path}' | true"
    done = run_beampipe("bash", "-c", f"{program}; echo ${{PIPESTATUS[0]}}")
    assert done.stdout.strip() == "0"
    assert done.stderr == ""


def test_the_group_is_what_pyproject_points_to():
    assert cli.name == "beampipe"
