"""Workers, nannies and schedulers that die, stop, or are told to go."""

import os
import signal
import threading
import time

import psutil
from tests.chaos.checking import check
from tests.chaos.clusters import BARE, LOCAL, NANNY, QUICK, nanny_of
from tests.chaos.gates import LATE, POINTS
from tests.chaos.nursery import wait_until
from tests.chaos.scenarios import scenario
from tests.chaos.stage import SEPARATE, is_alive
from tests.chaos.trace import Blow

MOSTLY_SEPARATE = (BARE, NANNY, "embedded", BARE, NANNY, LOCAL)


@scenario("worker killed", kinds=MOSTLY_SEPARATE, is_main=True)
def kill_worker(stage):
    """`kill -9` of a worker at a random moment."""
    driver = stage.drive()
    stage.wait_for_random_chunk()
    stage.kill_a_worker()
    driver.must_end("complete")
    return check(stage)


@scenario("workers killed one after the other", kinds=(NANNY, "embedded"))
def kill_workers(stage):
    """Two to four workers killed at random moments; nannies bring others."""
    driver = stage.drive()
    for part in range(stage.rng.randint(2, 4)):
        stage.wait_for_random_chunk(1 + 12 * part, 12 + 12 * part)
        if driver.child.is_running:
            stage.kill_a_worker()
    driver.must_end("complete")
    return check(stage)


@scenario("all workers killed at once", kinds=(NANNY, "embedded"))
def kill_all_workers(stage):
    """All workers killed at the same moment; nannies bring others."""
    driver = stage.drive()
    stage.wait_for_random_chunk(4)
    pids = stage.worker_pids()
    stage.kill(*pids, workers=pids)
    driver.must_end("complete")
    return check(stage)


@scenario("worker killed at an aimed moment", kinds=(BARE, NANNY))
def kill_worker_aimed(stage):
    """A worker killed while the driver stands between merge, pull, commit and release."""
    point = stage.rng.choice([name for name in POINTS if name not in LATE])
    stage.notes.append(f"aimed: {point}")
    driver = stage.drive(gate=(point, stage.rng.randint(1, 3)))
    if stage.wait_for_gate(driver):
        pid = stage.kill_a_worker()
        # What is committed and not yet released Dask computes again while the driver stands still.
        stage.blows = [Blow(0.0, (pid,), until=time.time())]
        time.sleep(stage.rng.uniform(0, 0.2))
        driver.answer.with_name("go").touch()
    driver.must_end("complete")
    return check(stage)


@scenario("nanny killed", kinds=(NANNY,))
def kill_nanny(stage):
    """`kill -9` of a nanny; its worker ends when it notices."""
    driver = stage.drive()
    stage.wait_for_random_chunk()
    pid = stage.a_worker()
    stage.kill(nanny_of(pid).pid, workers=(pid,))
    stage.prolong_blow(pid)  # an orphan goes on until it notices
    driver.must_end("complete")
    return check(stage)


@scenario("scheduler killed", kinds=SEPARATE)
def kill_scheduler(stage):
    """`kill -9` of the scheduler; the driver says so, and a new cluster goes on."""
    driver = stage.drive()
    stage.wait_for_random_chunk()
    stage.cluster.scheduler.kill()
    driver.must_end("run-workers-lost")
    stage.cluster.mend()
    stage.resume().must_end("complete")
    return check(stage)


@scenario("worker stopped for a while")
def stop_worker(stage):
    """SIGSTOP of a worker for one to three seconds, then SIGCONT."""
    driver = stage.drive()
    stage.wait_for_random_chunk()
    pid = stage.a_worker()
    stage.kill(pid, number=signal.SIGSTOP, workers=(pid,))  # it may be taken for dead
    time.sleep(stage.rng.uniform(1, 3))
    stage.prolong_blow()
    resume_process(pid)
    driver.must_end("complete")
    return check(stage)


@scenario("worker stopped for ever", kinds=SEPARATE)
def stop_worker_for_ever(stage):
    """SIGSTOP of a worker that never goes on; the scheduler gives it up (after 10 s)."""
    stage.build_cluster(environment=QUICK)
    driver = stage.drive()
    stage.wait_for_random_chunk()
    pid = stage.a_worker()
    stage.kill(pid, number=signal.SIGSTOP, workers=(pid,))
    stage.stack.callback(end_process, pid)
    driver.told()
    stage.prolong_blow()  # before it is given up, twins are started of what it had
    driver.must_end("complete")
    return check(stage)


@scenario("worker slow", kinds=SEPARATE)
def slow_worker(stage):
    """One worker gets a tenth of its time (SIGSTOP and SIGCONT in turn) until the end."""
    driver = stage.drive()
    stage.wait_for_chunks(4)
    pid = stage.a_worker()
    stage.blow((pid,))
    with throttled(pid):
        driver.told()
    stage.prolong_blow()  # what it had may have been started elsewhere: a twin costs one more
    driver.must_end("complete")
    return check(stage)


@scenario("worker told to go", kinds=SEPARATE)
def terminate_worker(stage):
    """SIGTERM to a worker, as batch systems send it before a job's end."""
    driver = stage.drive()
    stage.wait_for_random_chunk()
    pid = stage.a_worker()
    target = nanny_of(pid).pid if stage.kind == NANNY else pid
    stage.kill(target, number=signal.SIGTERM, workers=(pid,))
    stage.prolong_blow(pid)
    driver.must_end("complete")
    return check(stage)


@scenario("worker with a deadline", kinds=(BARE,))
def deadline(stage):
    """A job with `BEAMPIPE_DEADLINE`, killed when it is reached, beside one without."""
    stage.params["chunk_s"] = 0.15
    cluster = stage.build_cluster(n_workers=1, environment={"CHAOS": "1"})
    end = time.time() + stage.rng.uniform(5, 9)
    job = cluster.add_worker(environment={"BEAMPIPE_DEADLINE": str(end)})
    cluster.n_workers = 2
    driver = stage.drive()
    wait_until(lambda: time.time() > end or not driver.child.is_running, "the deadline")
    job.kill()
    # It went before that, and handed over what it had; nobody here knows when.
    stage.blows.append(Blow(0.0, (job.pid,), until=time.time()))
    driver.must_end("complete")
    return check(stage)


@scenario("worker retired", kinds=SEPARATE)
def retire_worker(stage):
    """`Client.retire_workers` from another process."""
    driver = stage.drive()
    stage.wait_for_random_chunk()
    pid = stage.a_worker()
    stage.blow((pid,))
    helper = stage.nursery.start(
        "tests.chaos.deaths:retire", [stage.cluster.address, pid], stage.folder / "retire.log"
    )
    stage.stack.callback(helper.end)
    driver.must_end("complete")
    helper.wait()
    return check(stage)


def retire(arguments):
    """Retire the worker that is the process of this number."""
    from distributed import Client

    address, pid = arguments
    with Client(address) as client:
        pids = client.run(os.getpid)
        client.retire_workers([worker for worker, this in pids.items() if this == int(pid)])


@scenario("scaled from 4 to 1", kinds=(LOCAL,))
def scale_down(stage):
    """`cluster.scale(1)` on a LocalCluster of four workers."""
    stage.n_workers = 4
    driver = stage.drive()
    stage.wait_for_random_chunk(4)
    stage.blow(stage.worker_pids())
    driver.answer.with_name("scale").write_text("1")
    time.sleep(1)
    stage.prolong_blow()
    driver.must_end("complete")
    return check(stage)


def resume_process(pid):
    if is_alive(pid):
        os.kill(pid, signal.SIGCONT)


def end_process(pid):
    if is_alive(pid):
        os.kill(pid, signal.SIGKILL)


class throttled:  # noqa: N801 (a context manager)
    """Let a process run a tenth of the time."""

    def __init__(self, pid):
        self.process = psutil.Process(pid)
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        while not self.is_over.is_set():
            try:
                self.process.suspend()
                self.is_over.wait(0.18)
                self.process.resume()
            except psutil.Error:
                return
            self.is_over.wait(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()
