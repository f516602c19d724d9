"""Drivers that are killed, stopped, overtaken, interrupted."""

import contextlib
import inspect
import json
import os
import signal
import time

from tests.chaos.checking import check
from tests.chaos.clusters import BARE, INLINE, LOCAL, NANNY, InDriver
from tests.chaos.data import N_CHUNKS
from tests.chaos.deaths import MOSTLY_SEPARATE
from tests.chaos.gates import POINTS
from tests.chaos.scenarios import NotYetError, scenario
from tests.chaos.stage import SEPARATE

import beampipe as bp


@scenario("driver killed, then resume", kinds=MOSTLY_SEPARATE, is_main=True)
def kill_driver(stage):
    """`kill -9` of the driver at a random moment; another process resumes."""
    driver = stage.drive()
    stage.wait_for_random_chunk()
    stage.kill_driver(driver)
    stage.resume().must_end("complete")
    return check(stage)


@scenario("driver killed at an aimed moment", kinds=(BARE, NANNY))
def kill_driver_aimed(stage):
    """The driver killed between merge, pull, commit and release, and within the commit."""
    point = stage.rng.choice(list(POINTS))
    stage.notes.append(f"aimed: {point}")
    nth = 1 if point.startswith("before the") else stage.rng.randint(1, 5)
    driver = stage.drive(gate=(point, nth))
    if stage.wait_for_gate(driver):
        stage.kill_driver(driver)
        stage.resume().must_end("complete")
    else:
        driver.must_end("complete")
    return check(stage)


@scenario("driver killed three times", kinds=SEPARATE)
def kill_drivers(stage):
    """The driver killed, and two of its successors as well."""
    for attempt in range(3):
        driver = stage.drive() if attempt == 0 else stage.resume()
        begun = stage.trace.n_begun()
        stage.wait_for_random_chunk(begun + 1, begun + 15)
        stage.kill_driver(driver)
    stage.resume().must_end("complete")
    return check(stage)


@scenario("driver and worker killed", kinds=SEPARATE)
def kill_driver_and_worker(stage):
    """A worker killed, then the driver, then a worker of its successor."""
    driver = stage.drive()
    stage.wait_for_random_chunk(1, N_CHUNKS // 2)
    stage.kill_a_worker()
    time.sleep(stage.rng.uniform(0, 0.5))
    stage.kill_driver(driver)
    stage.cluster.mend()
    resumed = stage.resume()
    begun = stage.trace.n_begun()
    stage.wait_for_random_chunk(begun + 1, begun + 10)
    if resumed.child.is_running:
        stage.kill_a_worker()
    resumed.must_end("complete")
    return check(stage)


@scenario("driver stopped and overtaken", kinds=SEPARATE)
def overtake_driver(stage):
    """SIGSTOP of the driver; a second is refused, takes over when the first is not heard of for a
    minute, and finishes; the first wakes up and must stop."""
    if stage.rng.random() < 0.5:
        driver = stage.drive()
        stage.wait_for_random_chunk()
    else:  # in the middle of a commit
        point = stage.rng.choice([name for name in POINTS if "commit" in name])
        stage.notes.append(f"aimed: {point}")
        driver = stage.drive(gate=(point, stage.rng.randint(1, 4)))
        stage.wait_for_gate(driver)
    driver.child.kill(signal.SIGSTOP)
    is_over = not driver.child.is_running or (stage.run_dir / "outcome.json").exists()
    if not is_over:
        refused = stage.drive("resume").must_end("run-held")
        assert str(driver.child.pid) in refused["text"], refused
    pretend_to_be_elsewhere(stage)
    stage.resume().must_end("complete")
    stage.prolong_blow()
    before = sorted(path.name for path in (stage.run_dir / "segments").iterdir())
    driver.answer.with_name("go").touch()
    driver.child.kill(signal.SIGCONT)
    told = driver.told()
    assert is_over or told.get("code") == "run-held", told
    after = sorted(path.name for path in (stage.run_dir / "segments").iterdir())
    whole = [name for name in after if name.endswith(".zip")]
    assert is_over or len(whole) <= len(before) + 1, (before, after)
    return check(stage, is_bounded=False)


def pretend_to_be_elsewhere(stage):
    """As if the stopped driver were on another host, and silent for longer than a lease."""
    lease = stage.run_dir / "lease.json"
    with contextlib.suppress(FileNotFoundError):
        told = json.loads(lease.read_text())
        lease.write_text(json.dumps({**told, "host": "elsewhere", "time": time.time() - 600}))


@scenario("Ctrl-C", kinds=("embedded", BARE, LOCAL))
def interrupt(stage):
    """Ctrl-C in the driver's terminal, then resume."""
    return press_ctrl_c(stage, 1)


@scenario("Ctrl-C twice", kinds=("embedded", BARE, LOCAL))
def interrupt_twice(stage):
    """Ctrl-C, and again a moment later, then resume."""
    return press_ctrl_c(stage, 2)


def press_ctrl_c(stage, times):
    driver = stage.drive()
    stage.wait_for_random_chunk()
    for _ in range(times):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.child.pid, signal.SIGINT)
        time.sleep(stage.rng.uniform(0, 0.3))
    told = driver.must_end("run-interrupted", "complete", "KeyboardInterrupt")
    if told["ended"] != "complete":
        stage.resume().must_end("complete")
    return check(stage)


@scenario("driver told to go", kinds=("embedded", BARE))
def terminate_driver(stage):
    """SIGTERM to the driver alone, then resume."""
    driver = stage.drive()
    stage.wait_for_random_chunk()
    driver.child.kill(signal.SIGTERM)
    told = driver.must_end("run-interrupted", "complete")
    if told["ended"] != "complete":
        stage.resume().must_end("complete")
    return check(stage)


@scenario("reproducible, with kills", kinds=(BARE, NANNY))
def reproducible(stage):
    """`reproducible=True` on two or three workers with a worker or the driver killed: equal to the
    bit to a run in one process."""
    if "reproducible" not in inspect.signature(bp.run).parameters:
        raise NotYetError("there is no reproducible mode")
    wanted = reference_bits(stage)
    stage.n_workers = stage.rng.choice([2, 3])
    driver = stage.drive(reproducible=True)
    stage.wait_for_random_chunk()
    if stage.rng.random() < 0.5:
        stage.kill_a_worker()
    else:
        stage.kill_driver(driver)
        driver = stage.resume()
    driver.must_end("complete")
    checked = check(stage)
    assert bits_of(stage.run_dir) == wanted, "the bits differ from those of a run in one process"
    return checked


def reference_bits(stage):
    """What one process gives, without any mishap; played once."""
    if "bits" not in stage.shared:
        run_dir = stage.folder / "in one process"
        params = {"trace": str(stage.folder / "trace of the reference.txt"), "chunk_s": 0}
        cluster = InDriver(INLINE, 0)
        reference = stage.drive(
            cluster=cluster, run_dir=run_dir, more_params=params, reproducible=True
        )
        reference.must_end("complete")
        stage.shared["bits"] = bits_of(run_dir)
    return stage.shared["bits"]


def bits_of(run_dir):
    return bp.load(run_dir).output["weighted"].view(flow=True).tobytes()
