"""Workers that die in every way there is: who tells, what is told, and how often.

The functions here stand for bundles: their keys are a run's, they leave crumbs, and they die.
"""

import ctypes
import os
import queue
import signal
import time
from contextlib import contextmanager

import pytest
from distributed import Client, get_worker
from tests.functional.dask_processes import DaskProcesses, wait_until, worker_pids

import beampipe
from beampipe.execution.breadcrumbs import read_crumbs
from beampipe.execution.bundles import RunContext
from beampipe.execution.context_plugin import ContextPlugin
from beampipe.execution.death_watch import DeathWatch
from beampipe.execution.pool import Crumb, DeathReport, WorkerDied

PATIENCE_S = 120
CHUNK = ("uuid 'µ' \udcff", 3)


@contextmanager
def watched(client, prefix="beampipe-00000001"):
    """The events of a watch over runs with this prefix."""
    events = queue.SimpleQueue()
    client.register_plugin(ContextPlugin(RunContext("abc", b"", {})), name=prefix)
    watch = DeathWatch(client, prefix, events.put)
    try:
        yield events
    finally:
        watch.close()
        if client.status == "running":
            client.unregister_worker_plugin(prefix)


def send(client, function, *args, number=1, prefix="beampipe-00000001", **options):
    key = f"{prefix}-bundle-{number}"
    return client.submit(function, prefix, number, *args, key=key, pure=False, **options)


@contextmanager
def under_way(prefix, number):
    worker = get_worker()
    with worker.plugins[prefix].trail(prefix, worker) as trail:
        trail.begin(number, (CHUNK[0], number))
        trail.read("Muon_pt")
        trail.read("Jet 'µ'\n")
        yield
        trail.end()


def expected_crumb(number):
    return Crumb(number, (CHUNK[0], number), ("Muon_pt", "Jet 'µ'\n"))


def die(prefix, number, how):
    with under_way(prefix, number):
        if how == "segfault":
            ctypes.string_at(0)
        elif how == "exit":
            os._exit(3)
        elif how == "memory":
            hog = []
            while True:
                hog.append(b"x" * 20_000_000)
                time.sleep(0.01)
        else:
            os.kill(os.getpid(), how)
        time.sleep(PATIENCE_S)


def linger(prefix, number, seconds=PATIENCE_S):
    with under_way(prefix, number):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.05)


def death_of(events):
    """One death: told, then reported."""
    died, report = events.get(timeout=PATIENCE_S), events.get(timeout=PATIENCE_S)
    assert isinstance(died, WorkerDied)
    assert isinstance(report, DeathReport)
    assert died.worker == report.worker
    return died, report


def nothing_more(events):
    with pytest.raises(queue.Empty):
        events.get(timeout=0.5)


FRAGILE = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    with (
        DaskProcesses(tmp_path_factory.mktemp("farm"), FRAGILE) as farm,
        Client(farm.address) as client,
    ):
        yield farm, client


@pytest.fixture
def nannied(farm):
    """Two workers with nannies, come back from whatever the test before did to them."""
    processes, client = farm

    def are_there():
        if sum(process.poll() is None for process in processes.processes[1:]) < 2:
            processes.start_worker("--nthreads", "1", "--memory-limit", "600 MB")
        return len(client.nthreads()) == 2

    wait_until(are_there, "both workers are there")
    return client


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    with DaskProcesses(tmp_path_factory.mktemp("scheduler"), FRAGILE) as processes:
        yield processes


@pytest.fixture
def processes(scheduler):
    """A scheduler, whose workers are the test's own."""
    yield scheduler
    scheduler.end_workers()
    with Client(scheduler.address) as client:
        wait_until(lambda: not client.nthreads(), "all workers are forgotten")


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ("segfault", {"signal": signal.SIGSEGV, "exit_code": -signal.SIGSEGV}),
        ("exit", {"exit_code": 3}),
        (signal.SIGKILL, {"signal": signal.SIGKILL, "exit_code": -signal.SIGKILL}),
    ],
)
def test_a_death_is_told_at_once_and_then_explained(nannied, how, seen):
    with watched(nannied) as events:
        future = send(nannied, die, how, number=7)
        died, report = death_of(events)
        assert died.keys == ("beampipe-00000001-bundle-7",)
        assert not died.is_expected
        assert report.begun == (expected_crumb(7),)
        assert seen.items() <= report.seen.items()
        assert report.seen["memory_limit_bytes"] == 600_000_000
        assert 0 < report.seen["memory_bytes"] < 600_000_000
        assert not report.seen["is_out_of_memory"]
        nothing_more(events)
        del future


def test_a_worker_that_takes_too_much_memory_is_told_as_that(nannied):
    with watched(nannied) as events:
        future = send(nannied, die, "memory", number=8)
        died, report = death_of(events)
        assert not died.is_expected
        assert report.begun == (expected_crumb(8),)
        assert report.seen["is_out_of_memory"]
        assert report.seen["memory_bytes"] > 0.9 * 600_000_000
        assert report.seen["memory_limit_bytes"] == 600_000_000
        assert "ended by Dask's nanny: memory limit reached" in report.seen["text"]
        del future


def test_a_bundle_that_only_waited_there_has_not_begun(nannied):
    worker = next(iter(nannied.nthreads()))
    with watched(nannied) as events:
        here = {"workers": [worker], "allow_other_workers": False}
        first = send(nannied, linger, number=1, **here)
        wait_until(lambda: is_begun(worker, 1), "the first has begun")
        second = send(nannied, linger, number=2, **here)
        wait_until(lambda: is_at(nannied, worker, second.key), "the second is there")
        os.kill(worker_pids(nannied)[worker], signal.SIGKILL)
        died, report = death_of(events)
        assert set(died.keys) == {first.key, second.key}
        assert report.begun == (expected_crumb(1),)


def is_at(client, worker, key):
    return key in client.processing([worker])[worker]


def is_begun(worker, number):
    """Its crumb is there, whole: a task that Dask calls executing may not have begun yet."""
    crumbs = read_crumbs("beampipe-00000001", worker)
    return crumbs is not None and expected_crumb(number) in (crumbs.begun or ())


def test_every_thread_of_a_worker_is_told_and_no_nanny_is_needed(processes):
    """The client reads what the dead left, as it is on the same host."""
    processes.start_worker("--no-nanny", "--nthreads", "2")
    with Client(processes.address) as client, watched(client) as events:
        client.wait_for_workers(1, timeout=PATIENCE_S)
        (worker,) = client.nthreads()
        futures = [send(client, linger, number=number) for number in (1, 2)]
        wait_until(lambda: all(is_begun(worker, number) for number in (1, 2)), "both have begun")
        third = send(client, die, signal.SIGKILL, number=3)
        time.sleep(0.2)
        os.kill(worker_pids(client)[worker], signal.SIGSEGV)
        died, report = death_of(events)
        assert set(died.keys) == {future.key for future in [*futures, third]}
        assert set(report.begun) == {expected_crumb(1), expected_crumb(2)}
        assert report.seen["text"] == "its exit code is not available"
        nothing_more(events)


def test_another_worker_of_the_host_reads_what_the_dead_left(processes, monkeypatch):
    for _ in range(2):
        processes.start_worker("--no-nanny", "--nthreads", "1")
    # As if the client were on another machine.
    monkeypatch.setattr("beampipe.execution.death_watch.tell_crumbs_here", lambda *_: None)
    with Client(processes.address) as client, watched(client) as events:
        client.wait_for_workers(2, timeout=PATIENCE_S)
        worker = next(iter(client.nthreads()))
        future = send(client, die, "segfault", number=4, workers=[worker])
        _, report = death_of(events)
        assert report.begun == (expected_crumb(4),)
        del future


def test_where_nobody_can_say_it_is_said_that_nobody_can(processes, monkeypatch):
    processes.start_worker("--no-nanny", "--nthreads", "1")
    monkeypatch.setattr("beampipe.execution.death_watch.tell_crumbs_here", lambda *_: None)
    with Client(processes.address) as client, watched(client) as events:
        future = send(client, die, signal.SIGKILL)
        _, report = death_of(events)
        assert report.begun is None
        assert report.seen["text"] == "its exit code is not available"
        del future


def test_a_worker_that_comes_later_is_watched_as_well(processes):
    with Client(processes.address) as client, watched(client) as events:
        main = processes.start_worker("--nthreads", "1")
        future = send(client, die, "exit", number=5)
        _, report = death_of(events)
        assert report.begun == (expected_crumb(5),)
        assert report.seen["exit_code"] == 3
        assert main.poll() is None
        del future


def test_nobody_is_blamed_for_a_worker_that_was_retired(nannied):
    with watched(nannied) as events:
        future = send(nannied, linger, number=1)
        wait_until(lambda: any(nannied.processing().values()), "it is somewhere")
        (worker,) = [worker for worker, keys in nannied.processing().items() if keys]
        nannied.retire_workers([worker], close_workers=True)
        died, report = death_of(events)
        assert (died.worker, died.keys) == (worker, (future.key,))
        assert died.is_expected
        assert report.seen["text"] == "told to go: it was retired"


def test_nobody_is_blamed_for_a_worker_that_is_restarted(nannied):
    with watched(nannied) as events:
        future = send(nannied, linger, number=1)
        wait_until(lambda: any(nannied.processing().values()), "it is somewhere")
        (worker,) = [worker for worker, keys in nannied.processing().items() if keys]
        nannied.restart_workers([worker])
        died, _ = death_of(events)
        assert died.is_expected
        del future


def test_a_worker_that_is_stopped_is_given_up_by_the_scheduler(tmp_path):
    """It says nothing more, as one whose link is cut; `worker-ttl` decides."""
    ttl = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "2s"}
    with DaskProcesses(tmp_path, ttl) as processes:
        processes.start_worker("--no-nanny", "--nthreads", "1")
        with Client(processes.address) as client, watched(client) as events:
            client.wait_for_workers(1, timeout=PATIENCE_S)
            (worker,) = client.nthreads()
            future = send(client, linger, number=6)
            wait_until(lambda: is_begun(worker, 6), "it has begun")
            os.kill(worker_pids(client)[worker], signal.SIGSTOP)
            died, report = death_of(events)
            assert died.keys == (future.key,)
            assert not died.is_expected
            assert report.begun == (expected_crumb(6),)


def test_several_runs_on_one_client_hear_of_their_own(nannied):
    heard = []
    nannied.subscribe_topic("all", heard.append)
    other = "beampipe-00000002"
    try:
        with watched(nannied) as mine, watched(nannied, other) as theirs:
            future = send(nannied, die, "exit", number=1, prefix=other)
            died, report = death_of(theirs)
            assert died.keys == ("beampipe-00000002-bundle-1",)
            assert report.seen["exit_code"] == 3
            nothing_more(mine)
            del future
        assert any(event["action"] == "remove-worker" for _, event in heard)
        heard.clear()
        nannied.log_event("all", {"action": "mine"})
        wait_until(lambda: heard, "the handler that was there before still hears")
        assert nannied._event_handlers["all"] == heard.append
    finally:
        nannied.unsubscribe_topic("all")


def test_nothing_is_left_after_the_run(nannied):
    name = "beampipe-00000001-exits"

    def plugins(dask_worker):
        return sorted(dask_worker.plugins)

    with watched(nannied):
        assert all(name in here for here in nannied.run(plugins, nanny=True).values())
        pids = worker_pids(nannied)
    assert all(name not in here for here in nannied.run(plugins, nanny=True).values())
    assert worker_pids(nannied) == pids, "workers were restarted"
    with watched(nannied) as events:  # and it can be watched again
        future = send(nannied, die, "exit", number=9)
        assert death_of(events)[1].seen["exit_code"] == 3
        del future


def kill_at_event_1234(events):
    time.sleep(0.02)
    if 1234 in events.event.to_list():
        os.kill(os.getpid(), signal.SIGKILL)
    return {"n": len(events), "events": events.event.to_list()}


def test_a_killer_that_leaves_no_trace_is_found_and_all_others_are_counted(
    processes, monkeypatch, tmp_path
):
    async def find_nothing(_watch, _worker):
        return {}, None

    monkeypatch.setattr(DeathWatch, "_find_out", find_nothing)
    monkeypatch.setattr("beampipe.execution.dispatch._MOST_SHORT", 0)  # bundles of many chunks
    beampipe.make_data(tmp_path / "data", files=1, events=4_000, seed=1)
    for _ in range(3):
        processes.start_worker("--nthreads", "1")
    with Client(processes.address) as client:
        client.wait_for_workers(3, timeout=PATIENCE_S)
        result = beampipe.run(
            kill_at_event_1234,
            {"data": str(tmp_path / "data")},
            client=client,
            chunksize=100,
            on_error="skip",
            progress=False,
            run_dir=tmp_path / "run",
        )
    (failure,) = result.failures
    assert failure.start <= 1234 < failure.stop
    assert result.output["n"] == len(set(result.output["events"])) == 3_900
    # With others, if they were in one bundle, with less and less of them, and three times alone.
    assert 3 <= result.metrics["workers_died"] <= 10
