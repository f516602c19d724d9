import json

import pytest
from tests.results.handmade_run import HOSTILE, UUIDS, HandmadeRun, digest_of, file_row, plan_of

from beampipe.datasets.model import DatasetPlan, FileEntry, FilePlan, Plan
from beampipe.datasets.plan_format import plan_digest, plan_to_json
from beampipe.results.plan_proof import read_plan_file


def read(run):
    errors, notes = [], []
    stored = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    return read_plan_file(run.path, stored, errors, notes), errors, notes


def test_a_plan_is_read(tmp_path):
    steps = [[0, 10], [10, 40], [50, 60]]
    run = HandmadeRun(
        tmp_path / "r",
        plan_of(
            Z=[file_row(0), file_row(1, used=2, stop=37), 2],
            TT=[file_row(2, steps=steps, n=3, used=2)],
        ),
    )
    (first, second), errors, notes = read(run)
    assert not errors
    assert not notes
    assert (first.name, first.uncounted) == (HOSTILE, 2)
    assert first.files[UUIDS[0]].ranges == ((0, 100),)
    assert first.files[UUIDS[1]].ranges == ((0, 37),)
    assert second.files[UUIDS[2]].ranges == ((0, 10), (10, 40))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "beampipe-plan"}', "\xff"])
def test_a_damaged_plan_is_an_error(tmp_path, text):
    run = HandmadeRun(tmp_path / "r", plan_of(Z=[file_row(0)]))
    (run.path / "plan.json").write_bytes(text.encode("latin-1"))
    plan, errors, _ = read(run)
    assert plan is None
    assert "nothing can be proved" in errors[0]


def test_a_missing_and_a_newer_plan_are_errors(tmp_path):
    run = HandmadeRun(tmp_path / "r", plan_of(Z=[file_row(0)]))
    run.write("plan.json", {**run.plan, "version": 2})
    assert "not known here" in read(run)[1][0]
    (run.path / "plan.json").unlink()
    assert read(run)[0] is None


@pytest.mark.parametrize(
    "rows",
    [
        [file_row(0), file_row(0)],
        [file_row(0, stop=101)],
        [file_row(0, used=5)],
        [file_row(0, n=2, steps=[[0, 60], [50, 100]])],
        [file_row(0, n=1, steps=[[0, 101]])],
    ],
)
def test_cuts_that_count_twice_or_too_much_are_errors(tmp_path, rows):
    _, errors, _ = read(HandmadeRun(tmp_path / "r", plan_of(Z=rows)))
    assert len(errors) == 1
    assert UUIDS[0] in errors[0]


def test_a_changed_plan_is_noticed(tmp_path):
    run = HandmadeRun(tmp_path / "r", plan_of(Z=[file_row(0)]))
    run.write("plan.json", plan_of(Z=[file_row(0, stop=50)]))
    assert "not the plan" in read(run)[1][0]
    stored = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    run.write("run.json", {**stored, "provenance": {}})
    _, errors, notes = read(run)
    assert not errors
    assert "plan_sha256" in notes[0]


def test_the_digest_is_the_planners(tmp_path):
    entry = FileEntry(HOSTILE, ("/µ.root",), "Events", UUIDS[0], 100)
    plan = Plan(
        (
            DatasetPlan(HOSTILE, (FilePlan(entry, 4, 3, 60),)),
            DatasetPlan("TT", (FilePlan(entry, 2, 2, 100, ((0, 10), (10, 100))),)),
        ),
        25,
    )
    stored = plan_to_json(plan)
    assert digest_of(stored) == plan_digest(plan)
    run = HandmadeRun(tmp_path / "r", stored)
    datasets, errors, _ = read(run)
    assert not errors
    assert len(datasets) == 2
