import pytest

from beampipe.execution.accounting import tally_manifests
from beampipe.execution.assembly import assemble_driver, make_budget, missing_chunks
from beampipe.execution.driver import DriverOptions
from beampipe.execution.holdings import GroupedHoldings, TreeHoldings
from beampipe.execution.manifest import DoneChunk, Manifest
from beampipe.testing.chaos_pool import ChaosPool


@pytest.fixture
def plan(make_plan):
    return make_plan({"u": 100, "v": 100}, dataset="d")


def tally(*keys):
    done = tuple(DoneChunk(uuid, k, 4, 25 * k, 25 * k + 25) for uuid, k in keys)
    return tally_manifests([Manifest("d", done)] if done else [])


def test_only_what_no_segment_holds_is_missing(plan):
    left = missing_chunks(plan, tally(("u", 0), ("u", 1), ("v", 3)))
    assert [chunk.key[1:] for chunk in left] == [("u", 2), ("u", 3), ("v", 0), ("v", 1), ("v", 2)]
    assert list(missing_chunks(plan, tally())) == list(plan.chunks())


@pytest.mark.parametrize("reproducible", [False, True])
def test_a_driver_does_what_is_missing_in_the_order_that_was_asked_for(plan, reproducible):
    driver = assemble_driver(
        plan,
        tally(("u", 0)),
        pool=ChaosPool(),
        ledger=None,
        options=DriverOptions(reproducible=reproducible),
    )
    assert driver.dispatcher.n_left == 7
    assert driver.dispatcher.is_whole == reproducible
    kind = TreeHoldings if reproducible else GroupedHoldings
    assert isinstance(driver.committer.holdings, kind)
    assert driver.meter.events_before == 25
    assert driver.meter.events_planned == 200


def test_a_budget_is_for_runs_that_skip(plan):
    assert make_budget(plan, DriverOptions(on_error="stop")) is None
    assert make_budget(plan, DriverOptions(on_error="skip", max_failed="1%")) is not None
