from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from beampipe.cli.json_output import (
    datasets_json,
    failed_json,
    is_wanted,
    plain_failure,
    print_json,
    remember_arguments,
)
from beampipe.errors import RunStorageError
from beampipe.execution.accounting import Accounting, DatasetAccounting


def printed(data, charset="utf-8"):
    @click.command()
    def command():
        print_json(data)

    done = CliRunner(charset=charset).invoke(command)
    assert done.exit_code == 0, done.output
    return done.stdout


def refuse(name):
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("charset", ["utf-8", "ascii"])
def test_everything_that_a_run_holds_becomes_json(charset):
    data = {
        "name": "Z → µµ 'x' \"q\"",
        "not UTF-8": "\udcff.root",
        "path": Path("a b"),
        "numbers": (1.5, float("nan"), float("inf"), {"deep": float("-inf")}),
    }
    text = printed(data, charset)
    assert text.count("\n") == 1
    assert json.loads(text, parse_constant=refuse) == {
        "name": "Z → µµ 'x' \"q\"",
        "not UTF-8": "\udcff.root",
        "path": "a b",
        "numbers": [1.5, None, None, {"deep": None}],
    }


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["show", "--json"], True),
        (["show"], False),
        (["show", "--", "--json"], False),
        (["show", "--json", "--", "x"], True),
    ],
)
def test_whether_json_is_wanted_is_known_before_anything_parses(args, wanted):
    with click.Context(click.Command("x")) as ctx:
        remember_arguments(ctx, args)
        assert is_wanted(ctx) is wanted


def test_one_object_is_enough():
    with click.Context(click.Command("x")) as ctx:
        remember_arguments(ctx, ["--json"])
        print_json({})
        assert not is_wanted(ctx)


def test_a_failure_without_a_run_has_the_keys_of_a_run():
    described = plain_failure("failed", code="usage", message="no")
    assert list(described)[:6] == [
        *("status", "run_dir", "wall_s", "datasets", "failures", "metrics")
    ]
    assert described["error"] == {"code": "usage", "message": "no", "why": "", "fix": ""}


def test_a_run_that_cannot_be_read_does_not_hide_the_error(tmp_path):
    error = RunStorageError("Cannot write.", why="full", fix="free", run_dir=tmp_path / "gone µ")
    described = failed_json(error)
    assert described["run_dir"] == str(tmp_path / "gone µ")
    assert described["datasets"] == {}
    assert described["error"] == {
        "code": "run-storage",
        "message": "Cannot write.",
        "why": "full",
        "fix": "free",
    }


def test_the_accounting_by_dataset():
    row = DatasetAccounting("DY µ", 4, 1, 100, 70, 20, 10, 8, 6, 1, 3)
    assert datasets_json(Accounting((row,))) == {
        "DY µ": {
            "files": 4,
            "files_uncounted": 1,
            "events_planned": 100,
            "events_processed": 70,
            "events_failed": 20,
            "events_not_reached": 10,
            "chunks_planned": 8,
            "chunks_processed": 6,
            "chunks_failed": 1,
            "chunks_reused": 3,
            "missing_share": pytest.approx(1 - 70 / (100 * 4 / 3)),
        }
    }
