import gc
import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from beampipe.errors import RunHeldError
from beampipe.execution import lease as module
from beampipe.execution.lease import LEASE_S, Lease, check_lease, held_by, is_held
from beampipe.execution.ledger import Ledger
from beampipe.execution.storage import dump_sealed, write_json
from beampipe.process_identity import _read_ticks, who_am_i


@pytest.fixture
def take(run_directory, run_id):
    def take(name="driver"):
        run_directory.lease_file.unlink(missing_ok=True)
        return Ledger.take(run_directory, run_id=run_id, driver=name)

    return take


@pytest.fixture
def other():
    """Another process that lives, as it would name itself."""
    code = (
        "import json; from beampipe.process_identity import who_am_i\n"
        "print(json.dumps(who_am_i()), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield json.loads(process.stdout.readline())
        process.communicate("\n")


def write_lease(directory, who, **changes):
    lease = {**who, "driver": "other", "time": time.time()} | changes
    write_json(directory.lease_file, {key: value for key, value in lease.items() if value != ""})


def test_a_living_driver_here_is_left_alone(run_directory, run_id, other):
    write_lease(run_directory, other, time=time.time() - 100)
    with pytest.raises(RunHeldError, match=rf"{other['pid']} on .*\n.*last heard of 100 s ago"):
        Ledger.take(run_directory, run_id=run_id, driver="me")
    assert not list(run_directory.claims.iterdir())
    assert is_held(run_directory)
    check_lease(run_directory, "other")


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
def test_a_clock_that_jumps_does_not_hide_a_living_driver_here(
    run_directory, other, monkeypatch, jump_s
):
    """Seen: a clock set by more than a minute let a second driver take the run away."""
    write_lease(run_directory, other)
    real, begun = time.time, psutil.Process.create_time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    # What /proc says of processes moves with the clock.
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: begun(self) + jump_s)
    assert is_held(run_directory)


@pytest.mark.parametrize("age_s", [0, LEASE_S - 5, 5 - LEASE_S])
@pytest.mark.parametrize("where", [{"host": "elsewhere"}, {"kernel": "another boot pid:[1]"}])
def test_a_driver_elsewhere_that_was_heard_of_lately_is_left_alone(run_directory, where, age_s):
    """On another host, or in another container that calls itself by the same name."""
    write_lease(run_directory, who_am_i(), time=time.time() - age_s, pid=2**22, **where)
    with pytest.raises(RunHeldError, match="60 s are waited"):
        check_lease(run_directory, "me")


@pytest.mark.parametrize("age_s", [LEASE_S + 5, -LEASE_S - 5])
def test_one_that_was_not_or_whose_clock_is_wrong_is_not_waited_for(run_directory, age_s):
    write_lease(run_directory, who_am_i(), host="elsewhere", time=time.time() - age_s)
    check_lease(run_directory, "me")


def test_a_dead_driver_here_is_not_waited_for(run_directory):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    write_lease(run_directory, who_am_i(), pid=process.pid)
    assert not is_held(run_directory)


@pytest.mark.parametrize("change", [{"ticks": 1}, {"ticks": "", "begun": 1000.0}])
def test_another_process_that_was_given_its_number_is_not_taken_for_it(
    run_directory, other, change
):
    write_lease(run_directory, other, **change)
    assert not is_held(run_directory)


def test_without_proc_the_time_when_a_process_began_decides(run_directory, other):
    write_lease(run_directory, other, ticks="", kernel="")
    assert is_held(run_directory)


def test_a_zombie_is_dead(run_directory):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write_lease(run_directory, who_am_i(), pid=process.pid, ticks=_read_ticks(process.pid))
    assert is_held(run_directory)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_held(run_directory)
    process.communicate()


def test_a_driver_in_this_process_is_left_alone(take, run_directory):
    ledger = take("other")
    with pytest.raises(RunHeldError, match=str(os.getpid())):
        check_lease(run_directory, "me")
    ledger.release()
    check_lease(run_directory, "me")


@pytest.mark.parametrize("how", ["released", "forgotten"])
def test_a_lease_that_could_not_be_taken_away_does_not_lock_a_notebook_out(
    take, run_directory, how
):
    """Seen: after a run whose disk had gone read-only, `resume` in the same kernel was refused."""
    ledger = take("other")
    left = run_directory.lease_file.read_bytes()
    if how == "released":
        ledger.release()
        run_directory.lease_file.write_bytes(left)
    del ledger
    gc.collect()
    check_lease(run_directory, "me")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"pid": "x"}', '{"host": 1, "time": "now"}', '{"pid": -3}']
)
def test_a_lease_that_makes_no_sense_holds_nobody_up(run_directory, text):
    run_directory.lease_file.write_text(text)
    assert not is_held(run_directory)
    lease = {"host": who_am_i()["host"], "pid": text}
    run_directory.lease_file.write_text(json.dumps(lease))
    assert not is_held(run_directory)


def test_a_released_run_is_free_and_only_its_holder_releases_it(take, run_directory):
    old = take("old")
    new = take("new")
    old.release()
    assert json.loads(run_directory.lease_file.read_bytes())["driver"] == "new"
    new.release()
    assert not run_directory.lease_file.exists()
    new.release()
    assert not is_held(run_directory)


@pytest.mark.parametrize("jump_s", [-1e6, 0])
def test_the_lease_is_kept_fresh_also_by_a_clock_that_was_set_back(
    take, run_directory, monkeypatch, jump_s
):
    """Seen: a driver whose clock was set back by an hour gave no sign for an hour."""
    ledger = take()
    first = run_directory.lease_file.read_bytes()
    wall, steady = time.time() + jump_s, time.monotonic()
    monkeypatch.setattr(time, "time", lambda: wall)
    monkeypatch.setattr(time, "monotonic", lambda: steady)
    ledger.heartbeat()
    assert run_directory.lease_file.read_bytes() == first
    steady += 11
    ledger.heartbeat()
    assert json.loads(run_directory.lease_file.read_bytes())["time"] == wall


def test_the_holder_is_named_although_it_is_only_just_writing_its_name(tmp_path, monkeypatch):
    path = tmp_path / "000001"
    path.write_bytes(b"")
    monkeypatch.setattr(
        time, "sleep", lambda _: path.write_bytes(dump_sealed({"host": "node7", "pid": 12}))
    )
    assert "process 12 on node7" in str(held_by(path, "why"))


def test_one_that_never_writes_its_name_is_not_waited_for_long(tmp_path, monkeypatch):
    path = tmp_path / "000001"
    path.write_bytes(b"")
    monkeypatch.setattr(module, "_WRITING_S", 0.05)
    assert "an unknown host" in str(held_by(path, "why"))


def test_a_lease_on_a_full_disk_stops_nobody(run_directory, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    Lease(run_directory, "me").heartbeat()
    assert not run_directory.lease_file.exists()
