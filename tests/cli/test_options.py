from __future__ import annotations

import datetime as dt
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.cli.hand_made_run import call

from beampipe.cli.options import (
    max_failed_option,
    one_or_many,
    parse_params,
    parse_value,
    processor_options,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("2.5e3", 2500.0),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ("'2018'", "2018"),
        ("{a = 1}", {"a": 1}),
        ("2018-05-01", dt.date(2018, 5, 1)),
        ("2018A", "2018A"),
        ("µ 'x' \"q\"", "µ 'x' \"q\""),
        ("", ""),
        ("1\nother = 2", "1\nother = 2"),  # no smuggling of a second value
    ],
)
def test_values_are_typed_as_in_toml_and_else_are_text(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_params_are_keyword_arguments():
    assert parse_params(("era=2018A", " cut = 3.5", "label=a=b", "cut=4")) == {
        "era": "2018A",
        "cut": 4,
        "label": "a=b",
    }


@pytest.mark.parametrize("text", ["era", "=3", "a b=3", "3x=1", ""])
def test_what_is_no_pair_is_wrong_usage(text):
    with pytest.raises(click.BadParameter, match="is not key=value"):
        parse_params((text,))


def test_a_shell_that_expanded_a_glob_gives_a_list():
    assert one_or_many(("data",)) == "data"
    assert one_or_many(("a.root", "b.root")) == ["a.root", "b.root"]


def test_run_and_try_take_the_same_options():
    seen = {}

    @click.command()
    @processor_options
    def command(**given):
        seen.update(given)

    done = CliRunner().invoke(
        command,
        ["p.py:f", "a", "b", "--chunksize", "7", "--treename", "T", "--param", "x=1"],
    )
    assert done.exit_code == 0, done.output
    assert seen == {
        "processor": "p.py:f",
        "fileset": ("a", "b"),
        "schema": "NanoAODSchema",
        "treename": "T",
        "chunksize": 7,
        "params": ("x=1",),
    }


@pytest.fixture
def shared_run(workplace):
    """A run whose output needs pickle, in a directory that others may write to."""
    Path("boxes.py").write_text(
        "class Box:\n"
        "    def __init__(self, n):\n        self.n = n\n"
        "    def __add__(self, other):\n        return Box(self.n + other.n)\n\n\n"
        "def process(events):\n    return {'n': len(events), 'box': Box(len(events))}\n"
    )
    done = call(
        *("run", "boxes.py:process", "data", "--schema", "none", "--workers", "0", "--quiet"),
        *("--run-dir", "shared 'run'"),
    )
    assert done.exit_code == 0, done.output
    Path("shared 'run'").chmod(0o777)
    return "shared 'run'"


@pytest.mark.parametrize("command", ["show", "report", "plot", "export --format=json"])
def test_pickles_of_others_are_loaded_only_if_they_are_trusted(shared_run, command):
    command, *options = command.split()
    done = call(command, shared_run, *options)
    assert done.exit_code == 1
    assert "[run-trust]" in done.stderr
    assert "`--trust`" in done.stderr
    done = call(command, shared_run, *options, "--trust")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("text", "code"), [("1%", 0), ("100", 0), ("0.5 %", 0), ("0.5", 2), ("x", 2)]
)
def test_a_budget_is_checked_before_anything_is_done(text, code):
    @click.command()
    @max_failed_option("all of it")
    def command(max_failed):
        click.echo(max_failed)

    result = CliRunner().invoke(command, ["--max-failed", text])
    assert result.exit_code == code
    assert (text in result.stdout) is (code == 0)
    assert ("like '1%'" in result.output) is (code == 2)
