from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner
from tests.results.runs_by_hand import HOSTILE, make_record

from beampipe.cli.run_output import finish_run, result_json
from beampipe.errors import NotARunError
from beampipe.results.result import RunResult


def finish(go, **options):
    @click.command()
    def command():
        finish_run(go, **{"as_json": False, "quiet": False} | options)

    return CliRunner().invoke(command)


@pytest.mark.parametrize(("complete", "code"), [(True, 0), (False, 4)])
def test_the_exit_code_tells_whether_events_are_missing(tmp_path, complete, code):
    result = RunResult(make_record(tmp_path, complete=complete))
    done = finish(lambda: result)
    assert done.exit_code == code
    assert "COMPLETE" in done.stdout
    assert finish(lambda: result, quiet=True).stdout == ""
    told = json.loads(finish(lambda: result, as_json=True, quiet=True).stdout)
    assert told["status"] == result.status


def test_the_object_holds_datasets_and_failures_under_their_names(tmp_path):
    described = result_json(RunResult(make_record(tmp_path / "µ", complete=False)))
    assert described["run_dir"] == str(tmp_path / "µ")
    assert described["datasets"][HOSTILE]["events_failed"] == 1500
    assert described["failures"][0]["traceback"].startswith("Traceback")
    assert described["metrics"]["n_workers"] == 2


def test_errors_go_on_to_the_border():
    def go():
        raise NotARunError("No run.")

    done = finish(go, as_json=True)
    assert isinstance(done.exception, NotARunError)
    assert done.stdout == ""
