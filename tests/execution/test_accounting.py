import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.model import Chunk, DatasetPlan, FileEntry, FilePlan, Plan, UncountedFile
from beampipe.errors import FileMissingError, LedgerError
from beampipe.execution.accounting import (
    Accounting,
    DatasetAccounting,
    DatasetTally,
    account,
    list_failures,
    tally_manifests,
)
from beampipe.execution.manifest import DoneChunk, FailedChunk, Manifest


def fail_chunk(chunk, boundaries=None, **others):
    start, stop = chunk_range(chunk, boundaries)
    facts = {"url": "/a.root", "code": "c", "error_type": "E", "message": "m"} | others
    uuid = chunk.plan.file.uuid
    return FailedChunk(uuid, chunk.k, chunk.plan.n_chunks, start, stop, **facts)


def do_chunk(chunk, boundaries=None):
    start, stop = chunk_range(chunk, boundaries)
    return DoneChunk(chunk.plan.file.uuid, chunk.k, chunk.plan.n_chunks, start, stop)


def tally_of(plan, done=(), failed=()):
    return tally_manifests([Manifest(plan.datasets[0].name, tuple(done), tuple(failed))])


@st.composite
def file_plans(draw, uuid):
    entries = draw(st.integers(0, 60))
    n = draw(st.integers(1, 7))
    used = draw(st.integers(0, n))
    file = FileEntry("DY", ("/a.root",), "Events", uuid, entries)
    if draw(st.booleans()):
        cuts = sorted(draw(st.sets(st.integers(0, entries), max_size=6)))
        steps = tuple(pairwise(cuts))
        return FilePlan(file, len(steps), min(used, len(steps)), entries, steps)
    border = used * entries // n
    stop = draw(st.integers(max(0, border - 3), border)) if used else 0
    return FilePlan(file, n, used, stop)


@st.composite
def ledgers(draw):
    """A plan, and for every chunk: done, failed where the file did or did not open, or nothing."""
    plans = [draw(file_plans(uuid)) for uuid in ("u", "v")[: draw(st.integers(1, 2))]]
    plan = Plan((DatasetPlan("DY", tuple(plans)),), 10)
    manifests = []
    events = {"done": set(), "failed": set()}
    for cut in plans:
        inner = st.sets(st.integers(0, cut.file.entries), max_size=6)
        borders = tuple(sorted({0, cut.file.entries} | draw(inner)))
        for k in range(cut.used_chunks):
            chunk = Chunk(cut, k)
            fate = draw(st.sampled_from(["done", "failed", "unopened", "failed, then done", ""]))
            if "failed" in fate or fate == "unopened":
                where = None if fate == "unopened" else borders
                manifests.append(Manifest("DY", failed=(fail_chunk(chunk, where),)))
            if "done" in fate:
                manifests.append(Manifest("DY", (do_chunk(chunk, borders),)))
            if fate:
                held = chunk_range(chunk, None if fate == "unopened" else borders)
                kind = "done" if "done" in fate else "failed"
                events[kind] |= {(cut.file.uuid, event) for event in range(*held)}
    return plan, draw(st.permutations(manifests)), events


@given(ledgers())
def test_whatever_happened_it_adds_up(ledger):
    plan, manifests, events = ledger
    tally = tally_manifests(manifests)
    (sums,) = account(plan, tally).datasets
    assert sums.balances
    assert sums.events_planned == plan.n_events
    assert sums.events_processed == len(events["done"])
    assert sums.events_failed == len(events["failed"] - events["done"])
    assert sums.events_not_reached >= 0
    assert sums.is_complete == (len(events["done"]) == plan.n_events)
    assert sums.chunks_processed + sums.chunks_failed <= sums.chunks_planned
    assert len(list_failures(plan, tally)) == sums.chunks_failed


@given(ledgers(), st.data())
def test_a_chunk_twice_is_always_found(ledger, data):
    _, manifests, _ = ledger
    done = [manifest for manifest in manifests if manifest.done]
    if done:
        again = data.draw(st.sampled_from(done))
        with pytest.raises(LedgerError, match="in two segments"):
            tally_manifests([*manifests, again])


def test_overlapping_chunks_are_refused(make_plan):
    plan = make_plan()
    done = [DoneChunk("u", 0, 4, 0, 26), DoneChunk("u", 1, 4, 25, 50)]
    with pytest.raises(LedgerError, match="same events"):
        account(plan, tally_of(plan, done))


@pytest.mark.parametrize(
    "wrong",
    [
        {"uuid": "other"},
        {"k": 4},
        {"k": -1},
        {"n": 5},
        {"start": -1},
        {"start": 26, "stop": 25},
        {"stop": 101},
    ],
)
def test_what_is_not_in_the_plan_is_refused(make_plan, make_failed, wrong):
    plan = make_plan()
    done = DoneChunk("u", 0, 4, 0, 25)
    account(plan, tally_of(plan, [done]))
    with pytest.raises(LedgerError, match="not in the plan"):
        account(plan, tally_of(plan, [done._replace(**wrong)]))
    with pytest.raises(LedgerError, match="not in the plan"):
        account(plan, tally_of(plan, failed=[replace(make_failed(), **wrong)]))


def test_a_dataset_that_is_not_in_the_plan_is_refused(make_plan):
    tally = tally_manifests([Manifest("TT", (DoneChunk("u", 0, 4, 0, 25),))])
    with pytest.raises(LedgerError, match="datasets.*TT"):
        account(make_plan(), tally)


def test_a_step_is_done_as_it_stands_or_not_at_all(make_file_plan):
    cut = make_file_plan(n=2, used=2, steps=((0, 10), (50, 60)))
    plan = Plan((DatasetPlan("DY", (cut,)),), 10)
    sums = account(plan, tally_of(plan, [DoneChunk("u", 1, 2, 50, 60)]))["DY"]
    assert (sums.events_planned, sums.events_processed, sums.events_not_reached) == (20, 10, 10)
    with pytest.raises(LedgerError, match="not in the plan"):
        account(plan, tally_of(plan, [DoneChunk("u", 1, 2, 50, 59)]))


def test_events_of_a_failed_chunk_that_its_neighbours_did_are_not_failed(make_plan):
    """Chunk 1 was never opened and failed where it lies nominally; the others were snapped."""
    plan = make_plan()
    borders = (0, 20, 60, 100)
    chunks = list(plan.chunks())
    done = [do_chunk(chunks[k], borders) for k in (0, 2, 3)]
    sums = account(plan, tally_of(plan, done, [fail_chunk(chunks[1])])).datasets[0]
    covered = {event for chunk in done for event in range(chunk.start, chunk.stop)}
    assert sums.events_failed == len(set(range(25, 50)) - covered)
    assert sums.balances


def test_a_later_failure_takes_the_place_of_an_earlier_one_and_success_of_both(
    make_plan, make_failed
):
    plan = make_plan()
    name = plan.datasets[0].name
    first, second = make_failed(message="first"), make_failed(message="second")
    manifests = [Manifest(name, failed=(first,)), Manifest(name, failed=(second,))]
    (failure,) = list_failures(plan, tally_manifests(manifests))
    assert failure.message == "second"
    done = Manifest(name, (DoneChunk("u", 0, 4, 0, 25),))
    for order in ([*manifests, done], [done, *manifests]):
        tally = tally_manifests(order)
        assert list_failures(plan, tally) == ()
        assert account(plan, tally).datasets[0].events_failed == 0


def test_what_was_there_before_is_counted_as_reused(make_plan, make_partial):
    plan = make_plan()
    tally = tally_manifests([make_partial(2).manifest], reused=[make_partial(0, 1).manifest])
    (sums,) = account(plan, tally).datasets
    assert (sums.chunks_reused, sums.chunks_processed) == (2, 3)


def test_a_file_that_was_not_counted_leaves_a_hole_and_a_reason(make_file_plan, make_failed):
    url = "https://me:hunter2@host/µ 'x'.root?token=abc"
    error = FileMissingError("gone", why="404", fix="look")
    uncounted = UncountedFile("DY", (url,), error)
    plan = Plan((DatasetPlan("DY", (make_file_plan(),), (uncounted,)),), 25)
    done = [DoneChunk("u", k, 4, 25 * k, 25 * k + 25) for k in range(3)]
    tally = tally_of(plan, done, [make_failed(k=3, start=75, stop=100)])
    sums = account(plan, tally)["DY"]
    assert sums.files_uncounted == 1
    assert not sums.is_complete
    missing, failed = list_failures(plan, tally)
    assert (missing.number, missing.code, missing.n) == (1, "dataset-file-missing", 0)
    assert (missing.message, missing.why, missing.fix) == ("gone", "404", "look")
    assert "hunter2" not in missing.url
    assert "abc" not in missing.url
    assert (failed.number, failed.k, failed.dataset) == (2, 3, "DY")


def test_everything_done_is_not_complete_with_a_file_uncounted(make_file_plan):
    uncounted = UncountedFile("DY", (), FileMissingError("gone"))
    plan = Plan((DatasetPlan("DY", (make_file_plan(),), (uncounted,)),), 25)
    done = [DoneChunk("u", k, 4, 25 * k, 25 * k + 25) for k in range(4)]
    assert not account(plan, tally_of(plan, done)).is_complete
    assert list_failures(plan, tally_of(plan, done))[0].url == ""


def test_accounting_survives_json_and_finds_datasets(make_plan):
    plan = make_plan()
    accounting = account(plan, {})
    assert Accounting.from_json(json.loads(json.dumps(accounting.to_json()))) == accounting
    assert accounting[plan.datasets[0].name].events_not_reached == 100
    with pytest.raises(KeyError):
        accounting["nothing"]
    assert (accounting.events_planned, accounting.events_processed) == (100, 0)
    assert accounting.balances
    assert not replace(accounting.datasets[0], events_failed=1).balances


def test_a_dataset_of_which_the_ledger_knows_nothing_is_not_reached(make_plan):
    plan = make_plan()
    assert account(plan, {plan.datasets[0].name: DatasetTally()}) == account(plan, {})


def test_what_is_missing_counts_files_that_nobody_could_count():
    whole = DatasetAccounting("DY", 4, 0, 300, 300, 0, 0, 4, 4, 0)
    holed = DatasetAccounting("TT", 4, 1, 300, 300, 0, 0, 4, 4, 0)
    gone = DatasetAccounting("WW", 2, 2, 0, 0, 0, 0, 0, 0, 0)
    assert (whole.missing_share, holed.missing_share, gone.missing_share) == (0.0, 0.25, 1.0)
    assert Accounting((whole,)).missing_share == 0.0
    assert Accounting((whole, holed)).missing_share == pytest.approx(100 / 700)
    assert Accounting((gone,)).missing_share == 1.0
    assert Accounting((whole, gone)).files_uncounted == 2
    assert Accounting(()).missing_share == 0.0
