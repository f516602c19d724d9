"""How much may fail: reading it, checking it, and the driver that stops at it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.execution.test_driver import make_directory, make_small_plan, start_driver

from beampipe.datasets.model import DatasetPlan, FileEntry, FilePlan, Plan, UncountedFile
from beampipe.errors import NotRootError, RunBudgetExceededError
from beampipe.execution.accounting import account, tally_manifests
from beampipe.execution.budgets import BudgetTally, DatasetSize, FailureBudget
from beampipe.execution.ledger import read_segments
from beampipe.execution.manifest import FailedChunk
from beampipe.testing.chaos_pool import ChaosPool, Outcome

HOSTILE = "Z → µµ 'x' \"q\""


def plan_of(sizes, uncounted=0, name=HOSTILE):
    files = tuple(
        FilePlan(FileEntry(name, (f"/{i}.root",), "Events", f"u{i}", events), 1, 1, events)
        for i, events in enumerate(sizes)
    )
    bad = tuple(UncountedFile(name, ("/bad.root",), NotRootError("no")) for _ in range(uncounted))
    return Plan((DatasetPlan(name, files, bad),), 100)


def fail(k, events=10, *, uuid="u0", error="ValueError"):
    return FailedChunk(
        uuid, k, 100, k * events, (k + 1) * events, "/0.root", "processor-failed", error, "m"
    )


@pytest.mark.parametrize(
    ("text", "failed", "size", "is_within"),
    [
        ("1%", 10, DatasetSize(1000, 1), True),
        ("1%", 11, DatasetSize(1000, 1), False),
        ("29 %", 29, DatasetSize(100, 1), True),  # 0.29 * 100 is 28.999999999999996
        ("0", 0, DatasetSize(100, 1), True),
        ("0%", 1, DatasetSize(100, 1), False),
        ("100", 100, DatasetSize(1000, 1), True),
        ("100", 101, DatasetSize(1000, 1), False),
        ("100%", 1000, DatasetSize(1000, 1), True),
        ("100%", 0, DatasetSize(0, 2, 2), True),
        # A file that could not be counted is taken to hold what the others do on average.
        ("25%", 0, DatasetSize(300, 4, 1), True),
        ("25%", 1, DatasetSize(300, 4, 1), False),
        ("100", 0, DatasetSize(300, 4, 1), True),
        ("99", 0, DatasetSize(300, 4, 1), False),
        ("99%", 0, DatasetSize(0, 2, 2), False),
        ("1000000", 0, DatasetSize(0, 2, 2), False),
        ("0%", 0, DatasetSize(0, 0), True),
        ("0%", 0, DatasetSize(0, 3), True),
    ],
)
def test_a_budget_is_of_a_datasets_events(text, failed, size, is_within):
    budget = FailureBudget.from_text(text)
    assert budget.allows(failed, size) is is_within
    assert (budget.check("DY", failed, size) is None) is is_within


def test_the_error_names_the_dataset_the_counts_the_reasons_and_a_way_on():
    reasons = {"ValueError [processor-failed]": 2, "OSError [x]": 7, "A [a]": 1, "B [b]": 1}
    error = FailureBudget.from_text("1%").check(
        HOSTILE, 30, DatasetSize(1000, 4, 1), reasons=reasons
    )
    assert repr(HOSTILE) in error.message
    assert "at most 1 % of a dataset may fail" in error.why
    assert "364 of 1,334 events (27.3 %)" in error.why
    assert "1 of 4 files that could not be counted and are taken to hold 334 events" in error.why
    assert "most often: OSError [x] (7 ×), ValueError [processor-failed] (2 ×)," in error.why
    assert "B [b]" not in error.why
    assert "--max-failed 100%" in error.fix
    assert (error.dataset, error.failed, error.planned, error.budget) == (HOSTILE, 364, 1334, "1%")
    assert error.reasons["B [b]"] == 1


@pytest.mark.parametrize(("lost", "remedy"), [(4, "1%"), (11, "5%"), (100, "20%"), (700, "100%")])
def test_the_remedy_leaves_room(lost, remedy):
    error = FailureBudget.from_text("2").check("DY", lost, DatasetSize(1000, 1))
    assert error.fix.endswith(f"--max-failed {remedy}")
    assert FailureBudget.from_text(remedy).allows(lost, DatasetSize(1000, 1))


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=60))
def test_the_tally_is_what_a_set_would_say(steps):
    """Chunks fail, are reported twice, and come back; the sum is that of the set of them."""
    tally = BudgetTally.of_plan(plan_of([1000]), FailureBudget.from_text("45"))
    failed = set()
    for k, is_failure in steps:
        if is_failure:
            is_new = k not in failed
            failed.add(k)
            error = tally.take(HOSTILE, [fail(k)])
            assert (error is not None) is (is_new and 10 * len(failed) > 45)
            if error is not None:
                assert error.failed == 10 * len(failed)
                assert error.reasons == {"ValueError [processor-failed]": len(failed)}
        else:
            failed.discard(k)
            tally.give_back(HOSTILE, [fail(k)])


def test_a_hundred_thousand_failures_cost_nothing_to_count():
    tally = BudgetTally.of_plan(plan_of([10**7]), FailureBudget.from_text("100%"))
    begun = time.process_time()
    for k in range(100_000):
        assert tally.take(HOSTILE, [fail(k)]) is None
    assert time.process_time() - begun < 20  # 0.3 s here; a sum over all of them each time: hours


def test_files_that_cannot_be_counted_are_looked_at_before_any_work():
    plan = plan_of([50, 50], uncounted=1)
    assert BudgetTally.of_plan(plan, FailureBudget.from_text("34%")).check_files(plan) is None
    error = BudgetTally.of_plan(plan, FailureBudget.from_text("30%")).check_files(plan)
    assert error.reasons == {"NotRootError [dataset-not-root]": 1}
    assert "run anew" in error.fix
    assert "resume" not in error.fix
    none = plan_of([], uncounted=2)
    error = BudgetTally.of_plan(none, FailureBudget.from_text("99%")).check_files(none)
    assert "none of its 2 files could be counted" in error.why


class QuickPool(ChaosPool):
    """Ends every bundle when it is asked; those that `is_failing` fail with all their chunks."""

    def __init__(self, is_failing):
        super().__init__()
        self.is_failing = is_failing

    def wait(self, timeout_s):
        for key in self.running():
            fails = self.is_failing(self.bundles[key])
            self.finish(key, Outcome(failing=frozenset(range(100)) if fails else frozenset()))
        return super().wait(timeout_s)


def drive(directory, plan, budget, *, is_failing):
    """Run a driver on a pool whose bundles fail for one dataset."""
    driver = start_driver(directory, plan, QuickPool(is_failing), max_failed=budget)
    driver.run()
    return driver


def test_the_driver_stops_over_the_budget_and_keeps_what_was_done(tmp_path):
    plan = make_small_plan(sizes=((50, 50), (60, 40)), chunks=10)
    directory = make_directory(tmp_path / "run")
    with pytest.raises(RunBudgetExceededError) as caught:
        drive(directory, plan, "10%", is_failing=lambda b: b.dataset == "data set 1")
    assert caught.value.dataset == "data set 1"
    assert caught.value.failed > 10
    segments = list(read_segments(directory, "test-run"))
    accounting = account(plan, tally_manifests(one.manifest for one in segments))
    assert accounting.balances
    assert accounting["data set 1"].events_failed > 10
    # and goes on with more
    driver = drive(directory, plan, "100%", is_failing=lambda b: b.dataset == "data set 1")
    segments = list(read_segments(directory, "test-run"))
    accounting = account(plan, tally_manifests(one.manifest for one in segments))
    assert accounting["data set 0"].is_complete
    assert accounting["data set 1"].events_failed == 100
    assert sum(driver.strikes.budget._events.values()) == 100


def test_a_value_that_is_thrown_away_takes_its_failures_with_it(tmp_path):
    plan = make_small_plan(sizes=((40,),), chunks=4)
    pool = ChaosPool()
    driver = start_driver(make_directory(tmp_path / "run"), plan, pool, max_failed="100%")
    driver._fill_window()
    first = pool.running()[0]
    pool.finish(first, Outcome(failing=frozenset({0})))
    for event in pool.wait(0):
        driver._take(event)
    assert sum(driver.strikes.budget._events.values()) == 10
    pool.lose_partial(first)
    driver.commit()
    assert sum(driver.strikes.budget._events.values()) == 0
