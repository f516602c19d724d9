"""Workers that are told to go: no task is done twice, nothing is lost, and they end well.

Executions are counted for real: every one leaves a line in a file.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from distributed import Client, get_worker
from tests.functional.dask_processes import DaskProcesses, is_gone, wait_until, worker_pids

from beampipe.execution.bundles import RunContext
from beampipe.execution.context_plugin import ContextPlugin
from beampipe.execution.death_watch import DeathWatch

PATIENCE_S = 120
PREFIX = "beampipe-00000001"
PRELOAD = "beampipe.execution.preload"
TASKS = 5


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    with DaskProcesses(tmp_path_factory.mktemp("scheduler")) as processes:
        yield processes


@pytest.fixture
def processes(scheduler):
    """A scheduler, whose workers are the test's own."""
    yield scheduler
    scheduler.end_workers()
    with Client(scheduler.address) as client:
        wait_until(lambda: not client.nthreads(), "all workers are forgotten")
        with contextlib.suppress(ValueError):  # a test without a run
            client.unregister_worker_plugin(PREFIX)


def count(path):
    return len(Path(path).read_text().splitlines()) if Path(path).exists() else 0


def work(number, path, seconds=1.5):
    """A plain task that notes that it was begun."""
    with Path(path).open("a") as file:
        file.write(f"{number} {os.getpid()}\n")
    time.sleep(seconds)
    return number


def five_tasks(client, path):
    return client.map(work, range(TASKS), path=str(path), pure=False, batch_size=TASKS)


def wait_for_work_on(pid, path):
    wait_until(
        lambda: path.exists() and f" {pid}\n" in path.read_text(), f"process {pid} is at work"
    )


def start_two(processes, *options, first=(), environment=None):
    """Two workers of one thread; the first one's main process, address and worker process."""
    name = f"first-{processes.n_started}"
    main = processes.start_worker(
        "--nthreads", "1", *options, *first, environment=environment, name=name
    )
    processes.start_worker("--nthreads", "1", *options)
    with Client(processes.address) as client:
        client.wait_for_workers(2, timeout=PATIENCE_S)
        pids, names = worker_pids(client), client.run(lambda dask_worker: dask_worker.name)
    (address,) = [address for address in names if names[address] == name]
    return main, address, pids[address]


def listen(client):
    """What a run of ours puts on every worker and nanny."""
    client.register_plugin(ContextPlugin(RunContext("abc", b"", {})), name=PREFIX)
    return DeathWatch(client, PREFIX, lambda _: None)


@pytest.mark.parametrize("told", ["plain worker", "nanny", "worker under a nanny", "the group"])
def test_sigterm_makes_five_tasks_five_executions(processes, tmp_path, told):
    options = ["--no-nanny"] if told == "plain worker" else []
    main, _, pid = start_two(processes, *options)
    ran = tmp_path / "ran"
    with Client(processes.address) as client:
        watch = listen(client)
        futures = five_tasks(client, ran)
        wait_for_work_on(pid, ran)
        if told == "the group":
            os.killpg(main.pid, signal.SIGTERM)
        else:
            os.kill(pid if told == "worker under a nanny" else main.pid, signal.SIGTERM)
        assert client.gather(futures) == list(range(TASKS))
        assert count(ran) == TASKS
        assert main.wait(PATIENCE_S) == 0
        assert is_gone(pid)
        assert len(client.nthreads()) == 1
        assert client.gather(futures) == list(range(TASKS))  # what it had was moved
        watch.close()
    assert count(ran) == TASKS


@pytest.mark.parametrize("nanny", [True, False])
def test_a_preload_does_it_without_a_run(processes, tmp_path, nanny):
    options = ["--preload", PRELOAD]
    options += ["--preload-nanny", PRELOAD] if nanny else ["--no-nanny"]
    main, _, pid = start_two(processes, *options)
    ran = tmp_path / "ran"
    with Client(processes.address) as client:
        futures = five_tasks(client, ran)
        wait_for_work_on(pid, ran)
        os.kill(main.pid, signal.SIGTERM)
        assert client.gather(futures) == list(range(TASKS))
        assert main.wait(PATIENCE_S) == 0
        assert client.gather(futures) == list(range(TASKS))
    assert count(ran) == TASKS


def test_without_us_dask_does_it_twice(processes, tmp_path):
    """What the tests above are worth: if Dask mends this, the hand-over can go."""
    main, _, pid = start_two(processes, "--no-nanny")
    ran = tmp_path / "ran"
    with Client(processes.address) as client:
        futures = five_tasks(client, ran)
        wait_for_work_on(pid, ran)
        os.kill(main.pid, signal.SIGTERM)
        client.gather(futures)
    assert count(ran) > TASKS


def test_a_second_sigterm_ends_at_once(processes, tmp_path):
    main, _, pid = start_two(processes, "--no-nanny")
    ran = tmp_path / "ran"
    with Client(processes.address) as client:
        watch = listen(client)
        futures = client.map(work, range(2), path=str(ran), seconds=PATIENCE_S, pure=False)
        wait_for_work_on(pid, ran)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: is_leaving(client, pid), "it goes")
        assert main.poll() is None
        os.kill(pid, signal.SIGTERM)
        assert main.wait(PATIENCE_S) == -signal.SIGTERM
        del futures
        watch.close()


def is_leaving(client, pid):
    def status(dask_worker):
        return os.getpid() == pid and dask_worker.status.name == "closing_gracefully"

    return any(client.run(status).values())


def end_of(seconds):
    return {"BEAMPIPE_DEADLINE": str(time.time() + seconds)}


@pytest.mark.parametrize("how", ["deadline", "lifetime"])
def test_a_worker_whose_time_is_up_goes_before_it(processes, tmp_path, how):
    seconds = 30
    options, environment = [], {}
    if how == "lifetime":
        options = ["--lifetime", f"{seconds}s"]
    else:
        environment = end_of(seconds)
    main, address, _ = start_two(processes, first=options, environment=environment)
    ran = tmp_path / "ran"
    with Client(processes.address) as client:
        watch = listen(client)
        futures = []
        while address in client.nthreads():
            futures.append(client.submit(work, len(futures), str(ran), 0.2, pure=False))
            time.sleep(0.25)  # two workers do as much
        assert client.gather(futures) == list(range(len(futures)))
        assert main.wait(PATIENCE_S) == 0
        assert count(ran) == len(futures)
        watch.close()


def test_a_deadline_that_is_past_is_none(processes, tmp_path):
    start_two(processes, environment=end_of(-3600))
    with Client(processes.address) as client:
        watch = listen(client)
        assert len(client.nthreads()) == 2
        assert client.run(is_told_to_go, PREFIX) == dict.fromkeys(client.nthreads(), False)
        watch.close()


def is_told_to_go(prefix, dask_worker):
    return dask_worker.plugins[prefix].departure.is_leaving()


def bundle(prefix, path):
    """One that has results on its worker, and ends soon after it is told to go."""
    with Path(path).open("a") as file:
        file.write(f"bundle {os.getpid()}\n")
    worker = get_worker()
    departure = worker.plugins[prefix].departure
    with departure.bundle(worker.get_current_task()):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and not departure.is_leaving():
            time.sleep(0.05)
        time.sleep(0.5)  # the chunk that it is at
    return "handed back" if departure.is_leaving() else "went on"


@pytest.mark.parametrize("nanny", [True, False])
def test_a_bundle_is_told_that_its_worker_goes(processes, tmp_path, nanny):
    main, address, pid = start_two(processes, *([] if nanny else ["--no-nanny"]))
    ran = tmp_path / "ran"
    with Client(processes.address) as client:
        watch = listen(client)
        future = client.submit(
            bundle, PREFIX, str(ran), workers=[address], allow_other_workers=True, pure=False
        )
        wait_for_work_on(pid, ran)
        os.kill(main.pid, signal.SIGTERM)
        assert future.result(timeout=PATIENCE_S) == "handed back"
        assert main.wait(PATIENCE_S) == 0
        assert (future.result(), count(ran)) == ("handed back", 1)
        watch.close()


def test_a_bundle_on_a_worker_that_a_client_retires_is_not_done_twice(processes, tmp_path):
    main, address, pid = start_two(processes)
    ran = tmp_path / "ran"
    with Client(processes.address) as client:
        watch = listen(client)
        earlier = client.submit(work, 7, str(tmp_path / "earlier"), 0.0, workers=[address])
        assert earlier.result(timeout=PATIENCE_S) == 7
        future = client.submit(
            bundle, PREFIX, str(ran), workers=[address], allow_other_workers=True, pure=False
        )
        wait_for_work_on(pid, ran)
        client.retire_workers([address], close_workers=True)
        assert future.result(timeout=PATIENCE_S) == "handed back"
        assert main.wait(PATIENCE_S) == 0
        assert (earlier.result(), future.result()) == (7, "handed back")
        assert (count(ran), count(tmp_path / "earlier")) == (1, 1)
        watch.close()


def test_memory_beyond_the_limit_is_no_reason_to_wait(processes):
    """Dask's nanny ends such a worker with SIGTERM: that is a death, and no hand-over."""
    processes.start_worker("--nthreads", "1", "--memory-limit", "500 MB")
    with Client(processes.address) as client:
        events = []
        client.register_plugin(ContextPlugin(RunContext("abc", b"", {})), name=PREFIX)
        watch = DeathWatch(client, PREFIX, events.append)
        client.wait_for_workers(1, timeout=PATIENCE_S)
        future = client.submit(hog, key=f"{PREFIX}-bundle-1", pure=False)
        wait_until(lambda: len(events) == 2, "a death and its report")
        died, report = events
        assert not died.is_expected
        assert report.seen["is_out_of_memory"]
        del future
        watch.close()


def hog():
    held = []
    while True:
        held.append(b"x" * 20_000_000)
        time.sleep(0.02)
