"""When a worker goes and what it waits for; real workers go in test_recovery_handover."""

import asyncio
import math
import os
import signal
import threading
import time
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from distributed.core import Status

from beampipe.execution import handover
from beampipe.execution.handover import (
    DEADLINE,
    Budget,
    begin_to_leave,
    end_of_life,
    has_left,
    is_over_memory,
    leave_departure,
    let_worker_leave,
    watch_departure,
)


@dataclass(frozen=True)
class Task:
    """A task that runs."""

    key: str


class FakeScheduler:
    """Takes a worker's results when there is another worker for them."""

    def __init__(self, worker):
        self.worker = worker
        self.takes = True
        self.knows_late = 0
        self.asked = []

    async def processing(self, workers):
        self.asked.append("processing")
        self.knows_late -= 1
        return {workers[0]: [*self.worker.data] if self.knows_late >= 0 else ["waiting"]}

    async def retire_workers(self, *, workers, close_workers, remove, stimulus_id):
        assert not close_workers
        assert remove
        assert stimulus_id
        self.asked.append("retire")
        return {workers[0]: {}} if self.takes else {}


class FakeWorker:
    """What a departure sees of a worker."""

    def __init__(self):
        self.address = self.address_safe = "tcp://a:1"
        self.status = Status.running
        self.lifetime = self.lifetime_restart = None
        self.nanny = "tcp://a:2"
        self.state = SimpleNamespace(executing=set(), long_running=set())
        self.heard = []
        self.stream_handlers = {"worker-status-change": lambda **kw: self.heard.append(kw)}
        self.transfer_outgoing_count_limit = 10
        self.data = {"x": 1}
        self.scheduler = FakeScheduler(self)
        self.batched_stream = SimpleNamespace(closed=lambda: False)
        self.memory_manager = SimpleNamespace(memory_limit=None)
        self.closed = []
        self.loop = SimpleNamespace(add_callback=lambda f, **kw: f(**kw))

    def close(self, *, nanny, reason):
        self.status = Status.closed
        self.closed.append((nanny, reason))


async def until(condition):
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("waited in vain")


def play(story):
    """A story in the main thread, as workers live there; the handler of SIGTERM is put back."""
    before = signal.getsignal(signal.SIGTERM)

    async def run():
        worker = FakeWorker()
        await story(worker)
        return worker

    try:
        return asyncio.run(run())
    finally:
        signal.signal(signal.SIGTERM, before)


def soon():
    return time.time() + 30


def test_it_waits_for_tasks_then_for_the_news_of_them_then_moves_and_closes():
    async def story(worker):
        departure = watch_departure(worker, "a run")
        assert not departure.is_leaving()
        assert departure.ends_at() == math.inf
        worker.state.executing.add(Task(key="task"))
        worker.scheduler.knows_late = 3
        departure.leave("a test", by=soon(), closes=True)
        await until(lambda: worker.status == Status.closing_gracefully)
        assert departure.is_leaving()
        await asyncio.sleep(0.3)
        assert worker.scheduler.asked == []
        worker.state.executing.clear()
        await until(lambda: worker.closed)
        assert worker.scheduler.asked == ["processing"] * 4 + ["retire"]
        assert worker.closed == [(True, "beampipe: a test")]

    play(story)


def test_it_goes_in_any_case_when_time_is_up():
    async def story(worker):
        worker.state.long_running.add(Task(key="a task that never ends"))
        worker.scheduler.takes = False
        watch_departure(worker, "a run").leave("a test", by=time.time() + 0.3, closes=True)
        await until(lambda: worker.closed)

    play(story)


def test_results_that_nobody_can_take_are_offered_again_until_they_are_gone():
    async def story(worker):
        worker.scheduler.takes = False
        watch_departure(worker, "a run").leave("a test", by=soon(), closes=True)
        await until(lambda: worker.scheduler.asked.count("retire") >= 2)
        assert not worker.closed
        worker.data.clear()  # a client has fetched them
        await until(lambda: worker.closed)

    play(story)


def test_results_that_nobody_can_take_do_not_hold_up_a_cluster_that_closes():
    async def story(worker):
        worker.scheduler.takes = False
        departure = watch_departure(worker, "a run")
        departure.leave("a test", by=soon() + 3600, closes=True, waits=False)
        await until(lambda: worker.closed)
        assert worker.scheduler.asked.count("retire") == 1

    play(story)


def test_it_closes_also_where_the_scheduler_is_gone():
    async def story(worker):
        worker.scheduler = None
        watch_departure(worker, "a run").leave("a test", by=soon(), closes=True)
        await until(lambda: worker.closed)

    play(story)


def test_a_nanny_that_closes_does_the_closing_whoever_was_first():
    async def story(worker):
        watch_departure(worker, "a run").leave("SIGTERM", by=soon(), closes=True)
        assert begin_to_leave(soon(), waits=True, dask_worker=worker)
        await until(lambda: has_left(worker))
        assert not worker.closed

    play(story)


def test_results_are_kept_while_bundles_end_on_a_worker_that_is_retired():
    async def story(worker):
        before = worker.stream_handlers["worker-status-change"]
        departure = watch_departure(worker, "a run")

        def tell(status):
            worker.stream_handlers["worker-status-change"](status=status, stimulus_id="x")

        tell("closing_gracefully")
        await asyncio.sleep(0.1)
        assert worker.transfer_outgoing_count_limit == 10  # nothing is under way
        with departure.bundle("key"):
            worker.state.long_running.add(bundle := Task(key="key"))
            worker.state.long_running.add(Task(key="another's, which takes long"))
            tell("running")
            await asyncio.sleep(0.1)
            assert worker.transfer_outgoing_count_limit == 10
            tell("closing_gracefully")
            await until(lambda: worker.transfer_outgoing_count_limit == 0)
        worker.state.long_running.remove(bundle)
        await until(lambda: worker.transfer_outgoing_count_limit == 10)
        assert len(worker.heard) == 3
        leave_departure(worker, "a run")
        assert worker.stream_handlers["worker-status-change"] is before

    play(story)


def test_where_nobody_watches_nothing_is_waited_for():
    worker = FakeWorker()
    assert not begin_to_leave(0.0, waits=True, dask_worker=worker)
    assert has_left(worker)


def test_a_lifetime_that_restarts_keeps_its_nanny(monkeypatch):
    monkeypatch.setattr(handover, "end_of_life", lambda _: time.time() + 0.2)
    monkeypatch.setattr(handover, "_margin_of", lambda _: 0.1)

    async def story(worker):
        worker.lifetime, worker.lifetime_restart = 3600.0, True
        watch_departure(worker, "a run")
        await until(lambda: worker.closed)
        assert worker.closed == [(False, "beampipe: lifetime")]

    play(story)


def test_where_nobody_takes_its_results_it_waits_until_its_job_ends(monkeypatch):
    end = time.time() + 0.2
    monkeypatch.setenv(DEADLINE, str(time.time() + 100))
    monkeypatch.setattr(handover, "end_of_life", lambda _: end)
    monkeypatch.setattr(handover, "_margin_of", lambda _: 0.1)
    monkeypatch.setattr(handover, "_MOVE_AGAIN_S", 0.02)

    async def story(worker):
        worker.scheduler.takes = False
        watch_departure(worker, "a run")
        await until(lambda: time.time() > end and worker.scheduler.asked.count("retire") > 60)
        assert worker.closed == []
        worker.scheduler.takes = True
        await until(lambda: worker.closed)

    play(story)


def test_its_end_is_the_earlier_of_lifetime_and_deadline(monkeypatch):
    worker = FakeWorker()
    assert end_of_life(worker) is None
    worker.lifetime = 10_000.0
    assert end_of_life(worker) < time.time() + 10_001
    monkeypatch.setenv(DEADLINE, str(time.time() + 500))
    assert end_of_life(worker) < time.time() + 501
    for nonsense in ("", "soon", "nan", "inf", str(time.time() - 10)):
        monkeypatch.setenv(DEADLINE, nonsense)
        worker.lifetime = None
        assert end_of_life(worker) is None, nonsense


def dasks_handler(*_):
    raise AssertionError("the signal is ours now")


dasks_handler.__module__ = "distributed._signals"


@pytest.mark.parametrize("nanny", ["tcp://a:2", None])
def test_sigterm_makes_it_go_and_the_next_one_is_the_systems(nanny):
    async def story(worker):
        worker.nanny = nanny
        signal.signal(signal.SIGTERM, signal.SIG_DFL if nanny else dasks_handler)
        watch_departure(worker, "a run")
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: worker.closed)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    play(story)


def test_the_handler_is_put_back_with_the_last_run():
    async def story(worker):
        signal.signal(signal.SIGTERM, dasks_handler)
        one = watch_departure(worker, "one")
        assert watch_departure(worker, "two") is one
        leave_departure(worker, "one")
        assert signal.getsignal(signal.SIGTERM) != dasks_handler
        leave_departure(worker, "two")
        leave_departure(worker, "two")
        assert signal.getsignal(signal.SIGTERM) == dasks_handler
        assert watch_departure(worker, "three") is not one

    play(story)


@pytest.mark.parametrize("case", ["plain process", "handler of others", "thread"])
def test_a_signal_that_is_not_a_workers_is_left_alone(case):
    def others(*_):
        raise AssertionError

    async def story(worker):
        worker.nanny = None if case == "plain process" else worker.nanny
        before = others if case == "handler of others" else signal.SIG_DFL
        signal.signal(signal.SIGTERM, before)
        if case == "thread":

            def in_thread():
                async def watch():
                    watch_departure(worker, "a run")
                    leave_departure(worker, "a run")

                asyncio.run(watch())

            thread = threading.Thread(target=in_thread)
            thread.start()
            thread.join()
        else:
            watch_departure(worker, "a run")
        assert signal.getsignal(signal.SIGTERM) == before

    play(story)


def test_a_worker_near_its_memory_limit_has_no_time_to_wait():
    worker = FakeWorker()
    assert not is_over_memory(worker)
    worker.memory_manager.memory_limit = 1_000_000
    assert is_over_memory(worker)
    worker.memory_manager.memory_limit = 10**15
    assert not is_over_memory(worker)
    worker.memory_manager.memory_limit = 1_000_000
    worker.nanny = None  # then nobody ends it for its memory
    assert not is_over_memory(worker)


def test_a_bundle_ends_while_one_more_chunk_would_not_fit():
    now = [100.0]
    budget = Budget(lambda: 110.0, clock=lambda: now[0])
    assert not budget.is_over()
    now[0] = 103.0
    assert not budget.is_over()
    now[0] = 106.0
    assert not budget.is_over()  # ends at 109
    now[0] = 108.0
    assert budget.is_over()  # as long as the longest: 111
    assert not Budget(lambda: math.inf).is_over()
    assert Budget(lambda: 0.0).is_over()  # not even the first one


class FakeNanny:
    """A nanny that closes, with a worker that answers as a test wants."""

    def __init__(self, answers):
        self.worker_address = "tcp://a:1"
        self.status = Status.closing
        self.process = SimpleNamespace(is_alive=lambda: True)
        self.answers = answers
        self.asked = 0

    def rpc(self, address):
        assert address == self.worker_address
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def run(self, *, function, args):
        assert function
        assert args
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"status": "OK", "result": answer}


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([True, False, False, True], 4),
        ([False], 1),
        ([OSError("gone")], 1),
        ([True, OSError("gone")], 2),
    ],
    ids=["leaves", "nobody watches", "dead", "dies"],
)
def test_a_nanny_that_closes_waits_for_its_worker(answers, asked):
    nanny = FakeNanny(answers)
    asyncio.run(let_worker_leave(nanny))
    assert nanny.asked == asked


def test_a_nanny_that_does_not_close_asks_nothing():
    nanny = FakeNanny([])
    nanny.status = Status.running
    asyncio.run(let_worker_leave(nanny))
    assert nanny.asked == 0
