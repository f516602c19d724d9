"""A driver put together for what is missing of a run."""

from __future__ import annotations

from collections.abc import Iterator

from beampipe.datasets.model import Chunk, Plan
from beampipe.execution.accounting import Tally, account
from beampipe.execution.blocks import Blocks
from beampipe.execution.budgets import BudgetTally, FailureBudget
from beampipe.execution.committing import Committer
from beampipe.execution.dispatch import Dispatcher
from beampipe.execution.driver import Driver, DriverOptions
from beampipe.execution.groups import FileGroups
from beampipe.execution.holdings import GroupedHoldings, Holdings, TreeHoldings
from beampipe.execution.ledger import Ledger
from beampipe.execution.meter import Meter
from beampipe.execution.pace import Pace
from beampipe.execution.pool import Pool
from beampipe.execution.progress import Notify, ignore
from beampipe.execution.strikes import Strikes

_SHORT_ROUNDS = 4


def assemble_driver(
    plan: Plan,
    tally: Tally,
    *,
    pool: Pool,
    ledger: Ledger,
    options: DriverOptions,
    notify: Notify = ignore,
) -> Driver:
    """Put a driver together.

    Parameters
    ----------
    plan : Plan
        The whole run.
    tally : mapping
        What is done of it.
    """
    n_done = sum(len(dataset.done) for dataset in tally.values())
    missing = missing_chunks(plan, tally)
    pace = Pace()
    holdings: Holdings
    if options.reproducible:
        blocks = Blocks(plan)
        holdings = TreeHoldings(pool, blocks)
        group_of = blocks.group_of
    else:
        groups = FileGroups(plan, pace)
        holdings = GroupedHoldings(pool, groups)
        group_of = groups.group_of
    meter = Meter(events_planned=plan.n_events, events_before=account(plan, tally).events_processed)
    return Driver(
        dispatcher=Dispatcher(
            missing,
            plan.n_chunks - n_done,
            pace,
            group_of=group_of,
            is_whole=options.reproducible,
            short_rounds=_SHORT_ROUNDS,
        ),
        pool=pool,
        committer=Committer(pool, ledger, holdings, meter),
        options=options,
        notify=notify,
        meter=meter,
        strikes=Strikes(options.on_error, make_budget(plan, options)),
    )


def missing_chunks(plan: Plan, tally: Tally) -> Iterator[Chunk]:
    """Go through the chunks of a plan that no segment holds."""
    for dataset in plan.datasets:
        done = tally[dataset.name].done.parts_of_files() if dataset.name in tally else {}
        for file in dataset.files:
            parts = done.get(file.file.uuid, frozenset())
            yield from (Chunk(file, k) for k in range(file.used_chunks) if k not in parts)


def make_budget(plan: Plan, options: DriverOptions) -> BudgetTally | None:
    """What may fail of each dataset; None where nothing may be left out anyway."""
    if options.on_error != "skip":
        return None
    return BudgetTally.of_plan(plan, FailureBudget.from_text(options.max_failed))
