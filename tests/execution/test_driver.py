"""The commit protocol under every fault that Dask clusters were seen to have."""

import contextlib
import functools
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from beampipe.datasets.model import DatasetPlan, FileEntry, FilePlan, Plan
from beampipe.errors import (
    AccumulationError,
    PartialLostError,
    RunHeldError,
    RunStoppedError,
    WorkerDiedError,
    WorkersLostError,
)
from beampipe.execution import blocks, committing
from beampipe.execution.accounting import account, tally_manifests
from beampipe.execution.assembly import assemble_driver
from beampipe.execution.driver import DriverOptions
from beampipe.execution.ledger import Ledger, read_segments
from beampipe.execution.pool import Lost
from beampipe.execution.retries import RetryPolicy
from beampipe.execution.run_directory import RunDirectory
from beampipe.execution.summing import sum_segments, why_not_reproducible
from beampipe.execution.window import WINDOW
from beampipe.testing.chaos_pool import ChaosPool, Outcome

RUN_ID = "test-run"


def make_small_plan(sizes=((5, 3), (7, 4)), chunks=3):
    """Two datasets of a few files; sizes are events per file."""
    datasets = []
    for number, files in enumerate(sizes):
        name = f"data set {number}"
        plans = [
            FilePlan(
                FileEntry(name, (f"/{name}/{i}.root",), "Events", f"uuid-{number}-{i}", events),
                chunks,
                chunks,
                events,
            )
            for i, events in enumerate(files)
        ]
        datasets.append(DatasetPlan(name, tuple(plans)))
    return Plan(tuple(datasets), 2)


def make_directory(path: Path) -> RunDirectory:
    directory = RunDirectory(path)
    directory.claims.mkdir(parents=True)
    directory.segments.mkdir()
    return directory


def start_driver(directory, plan, pool, *, name="driver", **options):
    directory.lease_file.unlink(missing_ok=True)
    ledger = Ledger.take(directory, run_id=RUN_ID, driver=name)
    segments = list(read_segments(directory, RUN_ID))
    options = {"on_error": "skip", "checkpoint_s": 1e9} | options
    driver = assemble_driver(
        plan,
        tally_manifests(segment.manifest for segment in segments),
        pool=pool,
        ledger=ledger,
        options=DriverOptions(**options),
    )
    driver.troubles.retries.policy = RetryPolicy(waits_s=(0.0,), jitter=0.0)
    driver.dispatcher.short_rounds = 0
    return driver


def check_counted_once(directory, plan):
    """Whatever is committed: values hold exactly what manifests claim, and nothing twice."""
    segments = list(read_segments(directory, RUN_ID))
    held = Counter()
    for segment in segments:
        value = segment.read_value()
        claimed = Counter((segment.manifest.dataset, c.uuid, c.k) for c in segment.manifest.done)
        if value is not None:
            assert Counter(tuple(key) for key in value["chunks"]) == claimed
            assert value["events"] == segment.manifest.n_events
        held += claimed
    assert all(count == 1 for count in held.values())
    accounting = account(plan, tally_manifests(segment.manifest for segment in segments))
    assert accounting.balances
    return accounting


PLAN = make_small_plan(sizes=((40, 30, 9), (20, 50)), chunks=8)
outcomes = st.builds(
    Outcome,
    n_begun=st.integers(1, 6),
    failing=st.frozensets(st.integers(0, 3), max_size=2),
    passing=st.frozensets(st.integers(0, 3), max_size=2),
)


class CommitProtocol(RuleBasedStateMachine):
    """Bundles end in any order and way; drivers die; at the end everything is there once."""

    reproducible = False

    def check_end(self):
        """What else must hold when all is done."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.plan = PLAN
        self.directory = make_directory(self.folder / "run")
        self.old = []
        self.drivers = 0
        self.new_driver()

    def new_driver(self):
        self.drivers += 1
        self.pool = ChaosPool()
        name = f"driver {self.drivers}"
        self.driver = start_driver(
            self.directory, self.plan, self.pool, name=name, reproducible=self.reproducible
        )
        # As after some bundles of 0.02 s a chunk: the next ones are of several chunks.
        self.driver.dispatcher.pace.learn(0.02, 1)

    def held_bundles(self):
        held = {one.key for one in self.driver.committer.holdings}
        for key in list(held):
            held.update(self.pool.parents.get(key, ()))
        return sorted(key for key in self.pool.partials if key in held)

    def listen(self):
        for event in self.pool.wait(0):
            self.driver._take(event)

    @rule(data=st.data(), outcome=outcomes, is_told=st.booleans())
    def finish(self, data, outcome, is_told):
        self.driver._fill_window()
        if running := self.pool.running():
            self.pool.finish(data.draw(st.sampled_from(running)), outcome)
        if is_told:
            self.listen()

    @rule(data=st.data())
    def finish_and_recompute(self, data):
        """Returned early; then its worker dies, and this time it does everything."""
        self.driver._fill_window()
        if running := self.pool.running():
            key = data.draw(st.sampled_from(running))
            self.pool.finish(key, Outcome(n_begun=1))
            self.listen()
            self.pool.recompute(key, Outcome())

    @precondition(lambda self: self.pool.running())
    @rule(data=st.data())
    def lose(self, data):
        self.pool.lose(data.draw(st.sampled_from(self.pool.running())))
        self.listen()

    @precondition(lambda self: self.pool.partials)
    @rule(data=st.data())
    def say_twice(self, data):
        self.pool.repeat(data.draw(st.sampled_from(sorted(self.pool.partials))))
        self.listen()

    @rule(data=st.data(), outcome=outcomes)
    def answer_wrongly(self, data, outcome):
        """A bundle answers with chunks that it was not asked for."""
        self.driver._fill_window()
        if len(running := self.pool.running()) > 1:
            key, other = data.draw(st.permutations(running))[:2]
            mine = self.pool.bundles[key]
            self.pool.bundles[key] = self.pool.bundles[other]
            self.pool.finish(key, outcome)
            self.pool.bundles[key] = mine
            self.listen()

    @precondition(held_bundles)
    @rule(data=st.data(), outcome=outcomes)
    def recompute(self, data, outcome):
        self.pool.recompute(data.draw(st.sampled_from(self.held_bundles())), outcome)

    @precondition(held_bundles)
    @rule(data=st.data())
    def lose_partial(self, data):
        self.pool.lose_partial(data.draw(st.sampled_from(self.held_bundles())))

    @precondition(lambda self: self.pool.running())
    @rule(
        data=st.data(),
        is_known=st.booleans(),
        is_short=st.booleans(),
        is_expected=st.sampled_from([False, False, True]),
    )
    def kill(self, data, is_known, is_short, is_expected):
        """A worker dies with some bundles, one of which may have begun."""
        keys = data.draw(st.lists(st.sampled_from(self.pool.running()), min_size=1, unique=True))
        begun = None
        if is_known:
            begun = {}
            if data.draw(st.booleans()):
                n_chunks = len(self.pool.bundles[keys[0]].chunks)
                begun = {keys[0]: data.draw(st.integers(0, n_chunks - 1))}
        seen = {"is_out_of_memory": is_short, "signal": 11}
        self.pool.kill(keys, begun=begun, seen=seen, is_expected=is_expected)
        self.listen()

    @rule()
    def lag(self):
        """Nothing comes back: what is out is started again elsewhere."""
        self.driver._fill_window()
        self.driver._out.heard_at -= 1e6
        for key in self.driver._out:
            self.driver._out._out[key].sent_at -= 1e6
        self.driver._sender.start_twins()

    @rule()
    def commit(self):
        self.driver.commit()

    @rule()
    def driver_dies(self):
        self.new_driver()

    @rule()
    def driver_is_overtaken(self):
        """The old driver was only stopped; it wakes up later and wants to commit."""
        self.old.append(self.driver)
        self.new_driver()

    @precondition(lambda self: self.old)
    @rule()
    def old_driver_wakes(self):
        old = self.old.pop()
        for event in old.pool.wait(0):
            old._take(event)
        with contextlib.suppress(RunHeldError):
            old.commit()

    @invariant()
    def nothing_twice(self):
        check_counted_once(self.directory, self.plan)

    def teardown(self):
        """Without further faults, all is done."""
        self.new_driver()
        for _ in range(1000):
            if not self.driver._fill_window():
                self.driver.commit()
                if not self.driver.dispatcher.n_left:
                    break
            for key in self.pool.running():
                self.pool.finish(key, Outcome())
            for event in self.pool.wait(0):
                self.driver._take(event)
        accounting = check_counted_once(self.directory, self.plan)
        assert accounting.is_complete
        self.check_end()
        shutil.rmtree(self.folder)


@functools.cache
def reference_sum():
    """What a run without faults gives."""
    with tempfile.TemporaryDirectory() as folder:
        directory = make_directory(Path(folder) / "run")
        start_driver(directory, PLAN, Obedient(), reproducible=True).run()
        segments = list(read_segments(directory, RUN_ID))
        assert not why_not_reproducible(PLAN, segments)
        return sum_segments(segments, trust=False)


class ReproducibleProtocol(CommitProtocol):
    """The same in blocks; the sum has the same last bits whatever happened."""

    reproducible = True

    def __init__(self):
        self.patch = mock.patch.object(blocks, "_BLOCKS", 10)  # four chunks in each
        self.patch.start()
        super().__init__()

    def teardown(self):
        super().teardown()
        self.patch.stop()

    def check_end(self):
        segments = list(read_segments(self.directory, RUN_ID))
        if any(segment.manifest.failed for segment in segments):
            return  # done again by the last driver, one by one
        if not why_not_reproducible(self.plan, segments):
            assert sum_segments(segments, trust=False) == reference_sum()


PROTOCOL_SETTINGS = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestCommitProtocol = CommitProtocol.TestCase
TestCommitProtocol.settings = PROTOCOL_SETTINGS
TestReproducibleProtocol = ReproducibleProtocol.TestCase
TestReproducibleProtocol.settings = PROTOCOL_SETTINGS


class Obedient(ChaosPool):
    """Ends every bundle at the next wait, one way or another."""

    def __init__(self, outcome=None, lose=()):
        super().__init__()
        self.outcome = outcome or Outcome()
        self.losing = lose

    def wait(self, timeout_s):
        for key in self.running():
            if any(chunk.key in self.losing for chunk in self.bundles[key].chunks):
                self.lose(key)
            else:
                self.finish(key, self.outcome)
        return super().wait(timeout_s)


def test_a_run_without_faults_is_complete(tmp_path):
    plan = make_small_plan()
    directory = make_directory(tmp_path)
    seen = []
    driver = start_driver(directory, plan, Obedient())
    driver.notify = seen.append
    driver.run()
    assert check_counted_once(directory, plan).is_complete
    assert seen[-1].stage == "done"
    assert seen[-1].events_done == seen[-1].events_committed == plan.n_events
    assert driver.pool.released >= set(driver.pool.bundles)


def test_a_bundle_that_returns_early_is_gone_on_with(tmp_path):
    plan = make_small_plan(sizes=((1000, 1000),), chunks=50)
    directory = make_directory(tmp_path)
    driver = start_driver(directory, plan, Obedient(Outcome(n_begun=2)))
    driver.run()
    assert check_counted_once(directory, plan).is_complete


def test_stop_ends_after_the_same_error_has_struck_three_times(tmp_path):
    plan = make_small_plan(sizes=((100,) * 40,), chunks=10)
    directory = make_directory(tmp_path)
    pool = Obedient(Outcome(failing=frozenset({0})))
    driver = start_driver(directory, plan, pool, on_error="stop")
    with pytest.raises(RunStoppedError, match="as the test wanted") as caught:
        driver.run()
    assert caught.value.failure.code == "processor-failed"
    assert len(pool.bundles) < plan.n_chunks


def test_a_chunk_that_kills_its_workers_is_written_off_and_the_others_are_done(tmp_path):
    plan = make_small_plan()
    directory = make_directory(tmp_path)
    guilty = ("data set 0", "uuid-0-1", 1)
    driver = start_driver(directory, plan, Obedient(lose={guilty}))
    driver.run()
    accounting = check_counted_once(directory, plan)
    assert accounting["data set 0"].chunks_failed == 1
    assert accounting["data set 0"].events_failed == 1
    assert accounting["data set 1"].is_complete
    segments = list(read_segments(directory, RUN_ID))
    failure = next(f for segment in segments for f in segment.manifest.failed)
    assert failure.code == WorkerDiedError.code
    assert failure.attempt == failure.seen["workers_killed"] == 3


def test_outputs_that_cannot_be_added_end_the_run_and_nothing_doubtful_is_kept(tmp_path):
    plan = make_small_plan()
    directory = make_directory(tmp_path)

    class Mixed(Obedient):
        def wait(self, timeout_s):
            events = list(super().wait(timeout_s))
            last = events[-1]
            return [*events[:-1], Lost(last.key, AccumulationError("int and Hist"))]

    driver = start_driver(directory, plan, Mixed())
    with pytest.raises(AccumulationError, match="int and Hist"):
        driver.run()
    assert check_counted_once(directory, plan).events_processed == 0


def test_results_that_keep_being_lost_end_the_run_instead_of_going_round_for_ever(tmp_path):
    plan = make_small_plan()
    directory = make_directory(tmp_path)

    class Forgetful(Obedient):
        def pull(self, keys, patience_s, meanwhile):
            for key in keys:
                self.lose_partial(key)
            return super().pull(keys, patience_s, meanwhile)

    driver = start_driver(directory, plan, Forgetful())
    with pytest.raises(WorkersLostError, match="again and again"):
        driver.run()


def test_an_interrupt_commits_what_is_done(tmp_path):
    plan = make_small_plan(sizes=((100,) * 10,), chunks=5)
    directory = make_directory(tmp_path)

    class Interrupted(Obedient):
        calls = 0

        def wait(self, timeout_s):
            self.calls += 1
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().wait(timeout_s)

    driver = start_driver(directory, plan, Interrupted())
    with pytest.raises(KeyboardInterrupt):
        driver.run()
    accounting = check_counted_once(directory, plan)
    assert 0 < accounting.events_processed < plan.n_events


def test_a_recomputed_bundle_that_did_more_the_second_time_is_not_counted_twice(tmp_path):
    """Seen on a real cluster: {1, 2} at first, 3 given out again, then recomputed as {1, 2, 3}."""
    plan = make_small_plan(sizes=((30,),), chunks=3)
    directory = make_directory(tmp_path)
    pool = ChaosPool(threads=1)
    driver = start_driver(directory, plan, pool)
    driver.dispatcher.pace.learn(0.001, 1)
    driver._fill_window()
    (first,) = pool.running()
    assert len(pool.bundles[first].chunks) == 3
    pool.finish(first, Outcome(n_begun=2))
    for event in pool.wait(0):
        driver._take(event)
    driver._fill_window()
    pool.recompute(first, Outcome())
    driver.commit()
    assert check_counted_once(directory, plan).events_processed == 0
    assert driver.metrics["partials_refused"] == 1
    driver._fill_window()
    for key in pool.running():
        pool.finish(key, Outcome())
    for event in pool.wait(0):
        driver._take(event)
    driver.commit()
    assert check_counted_once(directory, plan).is_complete


@pytest.mark.parametrize("threads", [0, 2, 1000])
def test_a_million_chunks_never_become_a_million_tasks(tmp_path, threads):
    plan = make_small_plan(sizes=((250_000,) * 40_000,), chunks=25)
    assert plan.n_chunks == 1_000_000
    pool = Obedient()
    pool.threads = threads
    driver = start_driver(make_directory(tmp_path), plan, pool)
    most = 0
    for _ in range(5):
        driver._fill_window()
        most = max(most, len(driver._out))
        driver._turn()
    assert 0 < most <= max(2 * threads, WINDOW)
    assert len(pool.bundles) <= 6 * max(2 * threads, WINDOW)
    assert driver.dispatcher.n_left > 0


@pytest.mark.parametrize(("value_bytes", "expected"), [(0, 8), (1_000_000, 8), (160_000_000, 2)])
def test_large_partials_are_merged_two_at_a_time(tmp_path, value_bytes, expected):
    class Large(Obedient):
        most = 0

        def wait(self, timeout_s):
            return [
                replace(event, summary=replace(event.summary, value_bytes=value_bytes))
                for event in super().wait(timeout_s)
            ]

        def merge(self, keys):
            self.most = max(self.most, len(keys))
            return super().merge(keys)

    plan = make_small_plan(sizes=((400, 400),), chunks=100)
    pool = Large()
    start_driver(make_directory(tmp_path), plan, pool).run()
    assert pool.most == expected


def test_a_named_chunk_goes_alone_and_its_neighbours_at_once(tmp_path):
    plan = make_small_plan(sizes=((40,),), chunks=8)
    directory = make_directory(tmp_path)
    pool = ChaosPool()
    driver = start_driver(directory, plan, pool)
    driver.dispatcher.pace.learn(0.001, 1)
    driver._fill_window()
    (key,) = pool.running()
    pool.kill([key], begun={key: 3}, seen={"signal": 11})
    for event in pool.wait(0):
        driver._take(event)
    driver._fill_window()
    sent = [pool.bundles[one] for one in pool.running()]
    assert sorted(len(bundle.chunks) for bundle in sent) == [1, 7]
    (alone,) = [bundle for bundle in sent if bundle.is_suspect]
    assert alone.chunks[0].k == 3
    assert key in pool.released


def test_what_is_held_is_committed_before_a_suspect_goes_out(tmp_path):
    plan = make_small_plan(sizes=((40, 40),), chunks=8)
    directory = make_directory(tmp_path)
    pool = ChaosPool()
    driver = start_driver(directory, plan, pool)
    driver._fill_window()
    first, second, *_ = pool.running()
    pool.finish(first, Outcome())
    pool.kill([second], begun={second: 0}, seen={"signal": 9})
    for event in pool.wait(0):
        driver._take(event)
    assert driver.metrics.get("commits", 0) == 0
    driver._fill_window()
    assert driver.metrics["commits"] == 1
    assert check_counted_once(directory, plan).events_processed == 5


@pytest.mark.parametrize("value_bytes", [1_000, 160_000_000])
def test_before_a_commit_large_values_wait_until_all_are_back(tmp_path, value_bytes, monkeypatch):
    monkeypatch.setattr(committing, "_OVERHEAD", 0.0)
    plan = make_small_plan(sizes=((40, 40),), chunks=8)
    out = []

    class Large(ChaosPool):
        def wait(self, timeout_s):
            running = self.running()
            if running:
                self.finish(running[0], Outcome())
            return [
                replace(event, summary=replace(event.summary, value_bytes=value_bytes))
                for event in super().wait(timeout_s)
            ]

        def pull(self, *args):
            out.append(len(self.running()))
            return super().pull(*args)

    directory, pool = make_directory(tmp_path), Large()
    driver = start_driver(directory, plan, pool, checkpoint_s=0.0)
    driver.dispatcher.short_rounds = 100
    driver.run()
    assert (max(out) == 0) == (value_bytes > 1_000_000)
    assert len(out) > 3
    assert check_counted_once(directory, plan).events_processed == 80


def test_a_chunk_that_is_short_of_memory_goes_out_in_pieces_until_it_fits(tmp_path):
    plan = make_small_plan(sizes=((40,),), chunks=8)
    directory = make_directory(tmp_path)
    pieces = []

    class Small(ChaosPool):
        def wait(self, timeout_s):
            for key in self.running():
                bundle = self.bundles[key]
                guilty = [i for i, chunk in enumerate(bundle.chunks) if chunk.k == 3]
                pieces.extend([bundle.pieces] * len(guilty))
                if guilty and bundle.pieces < 64:
                    seen = {"is_out_of_memory": True, "signal": 9}
                    self.kill([key], begun={key: guilty[0]}, seen=seen)
                else:
                    self.finish(key, Outcome())
            return super().wait(timeout_s)

    driver = start_driver(directory, plan, Small())
    driver.run()
    assert check_counted_once(directory, plan).is_complete
    assert pieces == [1, 4, 16, 64]
    segments = list(read_segments(directory, RUN_ID))
    assert [(s.k, s.pieces) for one in segments for s in one.manifest.split] == [(3, 64)]


def test_what_may_pass_is_tried_four_times(tmp_path):
    plan = make_small_plan(sizes=((40,),), chunks=8)
    directory = make_directory(tmp_path)
    attempts = []

    class Flaky(ChaosPool):
        def wait(self, timeout_s):
            for key in self.running():
                bundle = self.bundles[key]
                failing = frozenset(i for i, chunk in enumerate(bundle.chunks) if chunk.k == 3)
                attempts.extend([bundle.attempt] * len(failing))
                self.finish(key, Outcome(passing=failing))
            return super().wait(timeout_s)

    driver = start_driver(directory, plan, Flaky())
    driver.run()
    assert attempts == [1, 2, 3, 4]
    accounting = check_counted_once(directory, plan)
    assert accounting["data set 0"].chunks_failed == 1
    assert driver.metrics["retries"] == 3
    (incident,) = driver.incidents.to_json()
    assert (incident["what"], incident["count"]) == ("retry", 3)


def test_a_worker_that_was_told_to_go_speaks_against_nothing(tmp_path):
    plan = make_small_plan(sizes=((40,),), chunks=8)
    pool = ChaosPool()
    driver = start_driver(make_directory(tmp_path), plan, pool)
    for _ in range(20):
        driver._fill_window()
        keys = pool.running()
        pool.kill(keys, begun=dict.fromkeys(keys, 0), is_expected=True)
        for event in pool.wait(0):
            driver._take(event)
    assert driver.casualties.n_died == 0
    driver._fill_window()
    assert not any(pool.bundles[key].is_suspect for key in pool.running())


def test_a_twin_counts_once_whichever_is_first(tmp_path):
    plan = make_small_plan(sizes=((40,),), chunks=8)
    directory = make_directory(tmp_path)
    pool = ChaosPool()
    driver = start_driver(directory, plan, pool)
    driver.dispatcher.pace.learn(0.001, 1)
    driver._fill_window()
    (slow,) = pool.running()
    pool.workers[slow] = "tcp://slow"
    driver._out._out[slow].sent_at -= 1000
    driver._out.heard_at = -1000.0
    driver._sender.start_twins()
    driver._sender.start_twins()
    (twin,) = set(pool.running()) - {slow}
    assert pool.bundles[twin].away == {"tcp://slow"}
    pool.finish(twin, Outcome())
    pool.finish(slow, Outcome())
    for event in pool.wait(0):
        driver._take(event)
    assert slow in pool.released
    driver.commit()
    assert check_counted_once(directory, plan).is_complete
    assert driver.metrics["twins"] == 1


def test_a_group_of_files_is_one_segment_and_large_values_have_few(tmp_path):
    plan = make_small_plan(sizes=((9,) * 300,), chunks=3)
    directory = make_directory(tmp_path / "small")
    start_driver(directory, plan, Obedient()).run()
    small = list(read_segments(directory, RUN_ID))
    assert len(small) == 100
    for segment in small:
        assert len({chunk.uuid for chunk in segment.manifest.done}) == 3

    class Large(Obedient):
        def wait(self, timeout_s):
            return [
                replace(event, summary=replace(event.summary, value_bytes=10_000_000))
                for event in super().wait(timeout_s)
            ]

    directory = make_directory(tmp_path / "large")
    start_driver(directory, plan, Large()).run()
    assert len(list(read_segments(directory, RUN_ID))) <= 7


def take_all(driver, pool):
    for event in pool.wait(0):
        driver._take(event)


def test_a_suspect_may_come_back_in_the_moment_that_its_twin_is_sent(tmp_path):
    plan = make_small_plan(sizes=((40,),), chunks=8)
    directory = make_directory(tmp_path)
    pool = ChaosPool()
    driver = start_driver(directory, plan, pool)
    driver.dispatcher.pace.learn(0.001, 1)
    driver._fill_window()
    (key,) = pool.running()
    pool.kill([key], begun={key: 3}, seen={"signal": 11})
    take_all(driver, pool)
    driver._fill_window()
    (alone,) = [one for one in pool.running() if pool.bundles[one].is_suspect]
    for other in set(pool.running()) - {alone}:
        pool.finish(other, Outcome())
    take_all(driver, pool)
    driver._out._out[alone].sent_at -= 1000
    driver._out.heard_at = -1000.0
    pool.finish(alone, Outcome())  # and nobody has heard of it yet
    driver._sender.start_twins()
    take_all(driver, pool)
    driver.commit()
    assert check_counted_once(directory, plan).is_complete


def test_chunks_that_wait_for_their_time_do_not_keep_large_results_from_being_committed(tmp_path):
    plan = make_small_plan(sizes=((40,) * 20,), chunks=8)
    directory = make_directory(tmp_path)
    pool = ChaosPool()
    driver = start_driver(directory, plan, pool)
    driver.dispatcher.pace.learn(0.02, 1)
    driver._sender.value_bytes = 10**9
    driver.troubles.retries.policy = RetryPolicy(waits_s=(1e6,), jitter=0.0)
    while driver._sender.window():
        driver._fill_window()
        for key in pool.running():
            pool.finish(key, Outcome(passing=frozenset({0})))
        take_all(driver, pool)
    assert driver.dispatcher.due is not None
    assert driver._fill_window()
    assert pool.running()


def test_workers_that_go_one_after_the_other_do_not_make_the_driver_commit_all_the_time(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(committing, "_LEAST_HASTE_S", 1e9)
    plan = make_small_plan(sizes=((40,) * 10,), chunks=8)
    directory = make_directory(tmp_path)

    class Going(Obedient):
        def running(self):
            return super().running()[:1]  # one at a time comes back

        def wait(self, timeout_s):
            events = super().wait(timeout_s)
            return [
                replace(one, summary=replace(one.summary, worker_ends_at=1.0)) for one in events
            ]

    pool = Going()
    driver = start_driver(directory, plan, pool)
    driver.run()
    assert check_counted_once(directory, plan).is_complete
    assert driver.metrics["commits"] == 2


def test_a_chunk_whose_result_went_down_goes_out_again_on_its_old_terms(tmp_path):
    plan = make_small_plan(sizes=((40,),), chunks=8)
    pool = ChaosPool()
    driver = start_driver(make_directory(tmp_path), plan, pool)
    driver.dispatcher.pace.learn(0.001, 1)
    driver._fill_window()
    (key,) = pool.running()
    pool.kill([key], begun={key: 3}, seen={"is_out_of_memory": True})
    take_all(driver, pool)
    driver._fill_window()
    (alone,) = [one for one in pool.running() if pool.bundles[one].pieces > 1]
    pool.gone.add(alone)
    pool.events.append(Lost(alone, PartialLostError("its worker is gone")))
    take_all(driver, pool)
    driver._fill_window()
    (again,) = [one for one in pool.running() if pool.bundles[one].pieces > 1]
    assert pool.bundles[again].chunks == pool.bundles[alone].chunks
    assert pool.bundles[again].is_suspect


def test_the_driver_says_that_it_lives_while_a_commit_waits(tmp_path):
    driver = start_driver(make_directory(tmp_path), make_small_plan(), ChaosPool())
    with mock.patch.object(Ledger, "heartbeat") as heartbeat:
        driver._listen()
    assert heartbeat.called


def test_a_recomputed_bundle_that_meets_its_own_remainder_in_a_merge_does_not_end_the_run(tmp_path):
    plan = make_small_plan(sizes=((30,),), chunks=3)
    directory = make_directory(tmp_path)
    pool = ChaosPool(threads=1)
    driver = start_driver(directory, plan, pool)
    driver.dispatcher.pace.learn(0.001, 1)
    driver._fill_window()
    (first,) = pool.running()
    pool.finish(first, Outcome(n_begun=2))
    take_all(driver, pool)
    driver._fill_window()
    (rest,) = pool.running()
    pool.finish(rest, Outcome())
    take_all(driver, pool)
    pool.recompute(first, Outcome())  # its worker died, and the next one had more time
    driver.commit()
    assert driver._stop is None
    driver._fill_window()
    for key in pool.running():
        pool.finish(key, Outcome())
    take_all(driver, pool)
    driver.commit()
    assert check_counted_once(directory, plan).is_complete


class Slow(ChaosPool):
    """Whoever pulls has to wait, and may see meanwhile what is out."""

    def __init__(self):
        super().__init__()
        self.out_meanwhile = []

    def pull(self, keys, patience_s, meanwhile):
        meanwhile()
        self.out_meanwhile.append(len(self.running()))
        return super().pull(keys, patience_s, meanwhile)


def test_new_bundles_go_out_while_a_commit_waits(tmp_path):
    plan = make_small_plan(sizes=((400,) * 10,), chunks=200)
    directory, pool = make_directory(tmp_path), Slow()
    driver = start_driver(directory, plan, pool)
    driver.dispatcher.pace.learn(10.0, 1)
    driver._fill_window()
    for key in pool.running():
        pool.finish(key, Outcome())
    for event in pool.wait(0):
        driver._take(event)
    assert not pool.running()
    driver.commit()
    assert pool.out_meanwhile
    assert pool.out_meanwhile[0] > 0
    for key in pool.running()[:5]:
        pool.finish(key, Outcome())
    for event in pool.wait(0):
        driver._take(event)
    n_sent = len(pool.bundles)
    assert driver.dispatcher.n_left or driver._out
    driver._finish()
    assert len(pool.bundles) == n_sent, "at the end nothing new begins"
    check_counted_once(directory, plan)


def test_how_far_a_run_is_can_be_seen_while_a_commit_waits_for_merges(tmp_path):
    plan = make_small_plan(sizes=((40,),), chunks=8)
    told = []

    class Patient(ChaosPool):
        def wait(self, timeout_s):
            for key in self.running():
                self.finish(key, Outcome())
            return super().wait(timeout_s)

        def pull(self, keys, patience_s, meanwhile):
            for _ in range(5):
                meanwhile()
            return super().pull(keys, patience_s, meanwhile)

    directory = make_directory(tmp_path)
    driver = start_driver(directory, plan, Patient())
    driver.notify = told.append
    driver.run()
    assert check_counted_once(directory, plan).is_complete
    assert sum(progress.stage == "committing" for progress in told) > 5
