import json

import pytest
from click.testing import CliRunner
from tests.results.handmade_run import HOSTILE, HandmadeRun, done, failure, file_row, plan_of

from beampipe.cli.main import cli

WHOLE = [done(0, k, 25 * k, 25 * k + 25) for k in range(4)]


@pytest.fixture
def run(tmp_path):
    return HandmadeRun(tmp_path / "runs of Z → µµ 'x'", plan_of(Z=[file_row(0)]))


def verify(*args):
    return CliRunner().invoke(cli, ["verify", *map(str, args)])


def test_a_proved_run_is_said_to_be_so(run):
    run.commit(1, "Z", WHOLE).end("complete", Z=(1, 0, 100, 100, 0, 0, 4, 4, 0))
    result = verify(run.path)
    assert result.exit_code == 0, result.output
    assert HOSTILE in result.stdout
    assert "PROVED, COMPLETE: all 100 events were processed exactly once" in result.stdout


def test_a_hole_is_proved_and_named(run):
    failed = [{**failure(0, 1, 25, 50), "kind": "worker"}, failure(0, 2, 50, 75)]
    run.commit(1, "Z", WHOLE[:1], failed)
    run.commit(
        2, "Z", WHOLE[3:], origin={"run_id": "another", "segment": 1}, split=[[*WHOLE[3][:2], 4]]
    )
    result = verify(run.path)
    assert result.exit_code == 0, result.output
    assert "2 segments, 1 of them taken over from other runs" in result.stdout
    assert "2 chunks (1 unknown, 1 worker)" in result.stdout
    assert "1 chunk(s) were done piece by piece" in result.stdout
    assert "PROVED, INCOMPLETE" in result.stdout
    assert "note: there is no outcome.json" in result.stdout


def test_a_contradiction_exits_with_1(run):
    run.commit(1, "Z", [*WHOLE[:1], done(0, 1, 20, 50)])
    result = verify(run.path)
    assert result.exit_code == 1
    assert "NOT PROVED" in result.stdout
    assert "[result-verification]" in result.stderr
    assert "events counted twice" in result.stderr


def test_json_is_one_object_and_nothing_else(run):
    run.commit(1, "Z", WHOLE)
    found = json.loads(verify(run.path, "--json").stdout)
    assert found["proved"] is True
    assert found["complete"] is True
    assert found["datasets"][HOSTILE]["events_processed"] == 100
    run.commit(2, "Z", WHOLE)
    result = verify(run.path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["proved"] is False


def test_a_directory_that_is_no_run_is_a_known_error(tmp_path):
    result = verify(tmp_path / "nothing 'x'")
    assert result.exit_code == 1
    assert "[run-not-found]" in result.stderr
