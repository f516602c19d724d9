"""Drivers that come, commit, die at any operation, sleep and wake up, in any order (hypothesis)."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.durability.small_run import (
    DATASETS,
    N_CHUNKS,
    RUN_ID,
    check_exact,
    counted_chunks,
    lay_out_small_run,
    make_partial,
    work,
    write_source,
)
from tests.durability.tap import tapped

from beampipe.errors import RunHeldError
from beampipe.execution.ledger import Ledger
from beampipe.execution.run_directory import RunDirectory

ALL = [(name, k) for name in DATASETS for k in range(N_CHUNKS)]


class Killed(BaseException):
    """The driver does nothing any more."""


class Drivers(RuleBasedStateMachine):
    """Each driver commits what it saw missing when it came, as the real one does."""

    ledgers = Bundle("ledgers")

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.base = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.path, self.source = self.base / "run", self.base / "000012.zip"
        write_source(self.source)
        lay_out_small_run(self.path)
        self.directory = RunDirectory(self.path)
        self.holder: Ledger | None = None
        self.left: dict[str, list] = {}
        self.promised: set[str] = set()
        self.number = 0

    def teardown(self) -> None:
        self.directory.lease_file.unlink(missing_ok=True)
        work(self.path, self.source)
        check_exact(self.path)
        shutil.rmtree(self.base)

    def do(self, act, kill_at):
        """Run something that dies before its operation `kill_at`; whether it lived."""
        counter = iter(range(10_000))
        is_dead = False

        def see(_):
            nonlocal is_dead
            if is_dead or next(counter) == kill_at:
                is_dead = True
                raise Killed

        try:
            with tapped(self.base, see):
                act()
        except Killed:
            return False
        return True

    @rule(target=ledgers, kill_at=st.none() | st.integers(0, 25))
    def take(self, kill_at):
        self.directory.lease_file.unlink(missing_ok=True)
        self.number += 1
        name, made = f"driver {self.number}", []

        def act():
            made.append(Ledger.take(self.directory, run_id=RUN_ID, driver=name))

        if not self.do(act, kill_at):
            self.holder = None  # the one before may be fenced, or not
            return None
        (self.holder,) = made
        done = {
            (one.manifest.dataset, chunk.k)
            for one in self.holder.segments()
            for chunk in one.manifest.done
        }
        self.left[name] = [chunk for chunk in ALL if chunk not in done]
        return self.holder

    def commit_some(self, ledger, count, kill_at):
        left = self.left[ledger.driver]
        chunks, self.left[ledger.driver] = left[:count], left[count:]
        entries = [make_partial(*chunk) for chunk in chunks]
        try:
            is_alive = self.do(lambda: ledger.commit_all(entries), kill_at)
        except RunHeldError:
            assert ledger is not self.holder
            return
        if is_alive and chunks:
            # Only who holds the run gets through, whoever tries.
            assert self.holder in (None, ledger)
            self.holder = ledger
            self.promised |= {f"{dataset}/{k}" for dataset, k in chunks}
            assert ledger.segments() == Ledger.segments(
                Ledger(self.directory, RUN_ID, "reader", ledger._lease)
            )

    @rule(ledger=ledgers, count=st.integers(1, 4))
    def commit(self, ledger, count):
        if ledger is not None:
            self.commit_some(ledger, count, None)

    @rule(ledger=consumes(ledgers), count=st.integers(1, 4), kill_at=st.integers(0, 40))
    def commit_and_die(self, ledger, count, kill_at):
        if ledger is not None:
            self.commit_some(ledger, count, kill_at)

    @invariant()
    def everything_promised_is_there_once(self):
        self.directory.lease_file.unlink(missing_ok=True)
        assert counted_chunks(self.path)[1] >= self.promised


def test_drivers_in_any_order_lose_nothing_and_count_nothing_twice():
    run_state_machine_as_test(
        Drivers,
        settings=settings(
            max_examples=40,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
