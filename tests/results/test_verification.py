import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.results.handmade_run import (
    HOSTILE,
    RUN_ID,
    UUIDS,
    HandmadeRun,
    done,
    failure,
    file_row,
    plan_of,
)

from beampipe.errors import NotARunError, RunFormatError
from beampipe.results import verification
from beampipe.results.verification import verify_run

QUARTERS = [(0, 25), (25, 50), (50, 75), (75, 100)]
WHOLE = [done(0, k, *range_) for k, range_ in enumerate(QUARTERS)]
COMPLETE = (1, 0, 100, 100, 0, 0, 4, 4, 0)


@pytest.fixture
def run(tmp_path):
    return HandmadeRun(tmp_path / HOSTILE, plan_of(Z=[file_row(0)]))


def test_a_complete_run_is_proved(run):
    run.commit(1, "Z", WHOLE[:3]).commit(2, "Z", WHOLE[3:]).end("complete", Z=COMPLETE)
    run.claim(3)
    proof = verify_run(run.path)
    assert proof.errors == ()
    assert proof.notes == ()
    assert proof.is_proved
    assert proof.is_complete
    assert proof.segments == 2
    assert proof.status == "complete"
    assert "PROVED, COMPLETE: all 100 events" in proof.sentence


def test_borders_may_lie_where_workers_put_them(run):
    snapped = [(0, 31), (31, 31), (31, 90), (90, 100)]
    run.commit(1, "Z", [done(0, k, *range_) for k, range_ in enumerate(snapped)])
    assert verify_run(run.path).is_complete


def test_every_event_is_in_one_place(run):
    # Part 1 failed to open (nominal 25 to 50) beside a part 0 whose end was snapped to 31.
    run.commit(1, "Z", [done(0, 0, 0, 31)], [failure(0, 1, 25, 50)])
    run.end("incomplete", Z=(1, 0, 100, 31, 19, 50, 4, 1, 1))
    proof = verify_run(run.path)
    assert proof.is_proved, proof.errors
    assert not proof.is_complete
    assert "31 were processed exactly once, 19 failed, 50 were not reached" in proof.sentence


def test_a_failure_that_was_done_later_or_before_is_done(run):
    run.commit(1, "Z", WHOLE[:1], [failure(0, k, *QUARTERS[k]) for k in (1, 2)])
    run.commit(2, "Z", WHOLE[1:2], [failure(0, 0, 0, 25), failure(0, 3, 75, 100)])
    (dataset,) = verify_run(run.path).datasets
    assert dataset.events_processed == 50
    assert dataset.events_failed == 50
    assert dataset.chunks_failed == 2


def test_datasets_are_counted_apart(tmp_path):
    run = HandmadeRun(
        tmp_path / "r",
        plan_of(Z=[file_row(0), file_row(1, used=2, stop=40)], TT=[file_row(0)], empty=[3]),
    )
    run.commit(1, "Z", [*WHOLE, done(1, 0, 0, 25)]).commit(2, "TT", WHOLE[:1])
    run.end(
        "interrupted",
        Z=(2, 0, 140, 125, 0, 15, 6, 5, 0),
        TT=(1, 0, 100, 25, 0, 75, 4, 1, 0),
        empty=(3, 3, 0, 0, 0, 0, 0, 0, 0),
    )
    proof = verify_run(run.path)
    assert proof.is_proved, proof.errors
    assert "3 file(s) could not be counted" in proof.sentence
    assert proof.to_json()["datasets"][HOSTILE]["events_processed"] == 125
    json.dumps(proof.to_json())


def test_steps_are_taken_as_they_stand(tmp_path):
    steps = [[0, 10], [20, 40]]
    run = HandmadeRun(tmp_path / "r", plan_of(Z=[file_row(0, n=2, steps=steps)]))
    run.commit(1, "Z", [done(0, 0, 0, 10, 2), done(0, 1, 20, 40, 2)])
    assert verify_run(run.path).is_complete
    run.commit(1, "Z", [done(0, 0, 0, 10, 2), done(0, 1, 20, 39, 2)])
    assert "not the step" in verify_run(run.path).errors[0]


def test_a_run_that_has_not_begun_is_proved_and_not_complete(run):
    proof = verify_run(run.path)
    assert proof.is_proved
    assert not proof.is_complete
    assert "no outcome.json" in proof.notes[0]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([done(0, 0, 0, 30), done(0, 1, 25, 50)], "events counted twice"),
        ([done(0, 0, 0, 25), done(0, 0, 25, 50)], "counted twice"),
        ([done(0, 0, 0, 101)], "outside of what was planned"),
        ([done(0, 0, 0, 20, 5)], "not a part of the plan"),
        ([done(1, 0, 0, 25)], "not in the plan"),
        ([*WHOLE[:3], done(0, 3, 80, 100)], "entries 75 to 80 are in none of them"),
    ],
)
def test_contradictions_are_errors(run, rows, reason):
    run.commit(1, "Z", rows)
    proof = verify_run(run.path)
    assert not proof.is_proved
    assert any(reason in error for error in proof.errors), proof.errors
    assert "NOT PROVED" in proof.sentence
    # the same, told apart by nothing but the segment that it is in
    run.commit(1, "Z", rows[:1]).commit(2, "Z", rows[1:])
    assert any(reason in error for error in verify_run(run.path).errors)


def test_a_part_that_is_not_used_is_not_in_the_plan(tmp_path):
    run = HandmadeRun(tmp_path / "r", plan_of(Z=[file_row(0, used=1, stop=25)]))
    run.commit(1, "Z", [done(0, 1, 0, 25)])
    assert "not a part of the plan" in verify_run(run.path).errors[0]


def test_a_segment_counted_under_two_numbers_is_an_error(run):
    run.commit(1, "Z", WHOLE[:1]).commit(2, "Z", WHOLE[:1])
    errors = verify_run(run.path).errors
    assert "segment 000001" in errors[0]
    assert "segment 000002" in errors[0]


def test_a_dataset_that_nobody_planned_is_an_error(run):
    run.commit(1, "TT", WHOLE)
    assert "'TT', which is not in the plan" in verify_run(run.path).errors[0]


def test_two_datasets_of_one_name_are_an_error(run):
    plan = {**run.plan, "datasets": run.plan["datasets"] * 2}
    run.write("plan.json", plan)
    assert any("one name" in error for error in verify_run(run.path).errors)


def test_segments_that_do_not_count_are_noted_and_their_events_not_reached(run):
    run.commit(1, "Z", WHOLE[:1])
    run.commit(2, "Z", WHOLE[1:2], run_id="another")
    run.commit(3, "Z", WHOLE[2:3])
    (run.path / "claims" / "000003.void").touch()
    run.commit(4, "Z", WHOLE[3:])
    (run.path / "claims" / "000004").unlink()
    shutil.copy(run.segment_path(1), run.segment_path(5))
    run.claim(5)
    run.commit(6, "Z", WHOLE[1:2])
    run.segment_path(6).write_bytes(run.segment_path(6).read_bytes()[:-1])
    proof = verify_run(run.path)
    assert proof.is_proved
    assert len([note for note in proof.notes if note.startswith("segment")]) == 5
    assert proof.datasets[0].events_processed == 25
    assert proof.datasets[0].events_not_reached == 75


def test_a_torn_segment_contradicts_an_outcome_that_counted_it(run):
    run.commit(1, "Z", WHOLE).end("complete", Z=COMPLETE)
    whole = run.segment_path(1).read_bytes()
    for length in range(0, len(whole), 7):
        run.segment_path(1).write_bytes(whole[:length])
        proof = verify_run(run.path)
        assert "the segments say 'incomplete'" in proof.errors[0]
        assert "torn" in proof.notes[0]
    run.segment_path(1).unlink()
    assert not verify_run(run.path).is_proved


@pytest.mark.parametrize("status", ["complete", "incomplete"])
def test_a_status_that_lies_is_an_error(run, status):
    rows = WHOLE[:3] if status == "complete" else WHOLE
    numbers = (1, 0, 100, 75, 0, 25, 4, 3, 0) if status == "complete" else COMPLETE
    run.commit(1, "Z", rows).end(status, Z=numbers)
    (error,) = verify_run(run.path).errors
    assert "the segments say" in error


def test_a_file_that_was_not_counted_leaves_a_run_incomplete(tmp_path):
    run = HandmadeRun(tmp_path / "r", plan_of(Z=[file_row(0), 1]))
    run.commit(1, "Z", WHOLE).end("complete", Z=(2, 1, 100, 100, 0, 0, 4, 4, 0))
    assert "the segments say 'incomplete'" in verify_run(run.path).errors[0]


@pytest.mark.parametrize("place", range(9))
def test_every_number_of_the_outcome_is_compared(run, place):
    numbers = list(COMPLETE)
    numbers[place] += 1
    run.commit(1, "Z", WHOLE).end("complete", Z=numbers)
    (error,) = verify_run(run.path).errors
    assert f"= {numbers[place]}" in error


def test_an_outcome_that_says_nothing_of_a_dataset_is_an_error(run):
    run.commit(1, "Z", WHOLE).end("complete", TT=COMPLETE)
    assert not verify_run(run.path).is_proved
    run.write("outcome.json", {"status": "complete"})
    proof = verify_run(run.path)
    assert proof.is_proved
    assert "no accounting" in proof.notes[0]


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "null"])
def test_a_damaged_outcome_is_an_error(run, text):
    run.commit(1, "Z", WHOLE)
    (run.path / "outcome.json").write_text(text)
    assert "outcome.json cannot be read" in verify_run(run.path).errors[0]


def test_the_outcome_of_an_earlier_driver_is_not_held_against_a_later_one(run):
    run.commit(1, "Z", WHOLE[:1]).end("interrupted", Z=(1, 0, 100, 25, 0, 75, 4, 1, 0))
    run.commit(2, "Z", WHOLE[1:2])
    run.claim(3, driver="another")
    proof = verify_run(run.path)
    assert proof.is_proved
    assert proof.status is None
    assert "earlier driver" in proof.notes[0]


def test_a_claim_with_nothing_in_it_is_still_a_claim(run):
    run.commit(1, "Z", WHOLE).end("complete", Z=COMPLETE)
    (run.path / "claims" / "000001").write_bytes(b"")
    assert verify_run(run.path).is_complete


def test_without_a_plan_nothing_is_proved(run):
    run.commit(1, "Z", WHOLE).end("complete", Z=COMPLETE)
    (run.path / "plan.json").unlink()
    proof = verify_run(run.path)
    assert not proof.is_proved
    assert not proof.is_complete
    assert proof.datasets == ()


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"format": "beampipe-run", "version": 1}'])
def test_a_directory_without_a_run_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(NotARunError):
        verify_run(tmp_path)


def test_a_newer_run_is_refused(run):
    run.write(
        "run.json", {"format": "beampipe-run", "version": 2, "run_id": RUN_ID, "beampipe": "9"}
    )
    with pytest.raises(RunFormatError, match="version 2") as caught:
        verify_run(run.path)
    assert "Beampipe 9" in caught.value.why


def test_what_the_engine_writes_is_proved(tmp_path):
    from beampipe.execution.manifest import DoneChunk, Manifest
    from beampipe.execution.partials import Partial
    from beampipe.execution.segments import write_segment

    run = HandmadeRun(tmp_path / "r", plan_of(Z=[file_row(0)]))
    chunks = tuple(DoneChunk(UUIDS[0], k, 4, *range_) for k, range_ in enumerate(QUARTERS))
    partial = Partial(Manifest(HOSTILE, chunks), {"n": 100})
    write_segment(run.segment_path(1), run_id=RUN_ID, number=1, partial=partial)
    run.claim(1)
    proof = verify_run(run.path)
    assert proof.is_complete, (proof.errors, proof.notes)


def test_many_segments_are_checked_in_a_time_that_nobody_minds(tmp_path):
    n = 20_000
    run = HandmadeRun(tmp_path / "r", plan_of(Z=[file_row(0, entries=10 * n, n=n)]))
    for number in range(1, 21):
        ks = range((number - 1) * n // 20, number * n // 20)
        run.commit(number, "Z", [done(0, k, 10 * k, 10 * k + 10, n) for k in ks])
    begin = time.process_time()
    assert verify_run(run.path).is_complete
    assert time.process_time() - begin < 5


def test_nothing_of_the_engine_is_used():
    folder = Path(verification.__file__).parent
    for name in ("verification", "segment_proof", "plan_proof", "intervals"):
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not [module for module in imported if module.startswith("beampipe.execution")]
    code = (
        "import sys, beampipe.results.verification;"
        "print([m for m in sys.modules if m.startswith(('beampipe.execution', 'numpy', 'dask'))])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout.strip() == "[]"


def kind(row, name):
    return {**row, "kind": name}


def test_chunks_that_failed_are_told_by_kind(run):
    failed = [failure(0, k, *QUARTERS[k]) for k in (1, 2, 3)]
    run.commit(1, "Z", WHOLE[:1], [kind(failed[0], "worker"), kind(failed[1], "transient")])
    run.commit(2, "Z", [], [kind(failed[1], "data"), failed[2]])
    proof = verify_run(run.path)
    (dataset,) = proof.datasets
    assert proof.is_proved, proof.errors
    assert dataset.chunks_failed == 3
    assert dataset.chunks_failed_by_kind == {"data": 1, "unknown": 1, "worker": 1}
    assert proof.to_json()["datasets"][HOSTILE]["chunks_failed_by_kind"]["worker"] == 1


def test_what_was_taken_over_counts_like_all_else_and_not_twice(run):
    origin = {"run_id": "another", "segment": 1}
    run.commit(1, "Z", WHOLE[:2], origin=origin).commit(2, "Z", WHOLE[2:])
    proof = verify_run(run.path)
    assert proof.is_complete, proof.errors
    assert (proof.segments, proof.adopted) == (2, 1)
    run.commit(3, "Z", WHOLE[:2], origin=origin)
    assert any("counted twice" in error for error in verify_run(run.path).errors)


def test_a_mark_that_a_split_chunk_has_voided_is_a_contradiction(run):
    run.commit(1, "Z", WHOLE, split=[[UUIDS[0], 0, 2]]).end("complete", Z=COMPLETE)
    outcome = json.loads((run.path / "outcome.json").read_text())
    for mark, is_proved in ((None, True), (False, True), (True, False)):
        outcome["metrics"] = {} if mark is None else {"reproducible": mark}
        outcome["incidents"] = [{"what": "split"}]
        run.write("outcome.json", outcome)
        proof = verify_run(run.path)
        assert proof.split == 1
        assert proof.is_proved is is_proved, proof.errors


def test_two_thousand_segments_are_no_trouble(tmp_path):
    """Linear in the number of segments: 2 s on two quiet cores; a quadratic proof took minutes."""
    row = file_row(0, entries=4000, n=4000)
    run = HandmadeRun(tmp_path / "r", plan_of(Z=[row]))
    for number in range(2000):
        parts = [done(0, k, k, k + 1, 4000) for k in (2 * number, 2 * number + 1)]
        run.commit(number + 1, "Z", parts)
    begun = time.process_time()
    proof = verify_run(run.path)
    assert time.process_time() - begun < 60
    assert proof.is_complete
    assert proof.segments == 2000
