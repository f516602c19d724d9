import errno
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from beampipe.errors import LedgerError, RunHeldError, RunStorageError, TrustError
from beampipe.execution import claims, lease, storage
from beampipe.execution import ledger as module
from beampipe.execution.claims import claim_name
from beampipe.execution.ledger import Ledger, read_segments, segment_name
from beampipe.execution.manifest import Manifest
from beampipe.execution.run_directory import RunDirectory
from beampipe.execution.segments import (
    Segment,
    fill_segment,
    read_segment,
    write_segment,
)
from beampipe.execution.storage import write_atomic
from beampipe.results.segment_proof import read_segment_files


@pytest.fixture
def take(run_directory, run_id):
    """Become the driver of the run, without asking whether another one lives."""

    def take(name="driver"):
        run_directory.lease_file.unlink(missing_ok=True)
        return Ledger.take(run_directory, run_id=run_id, driver=name)

    return take


@pytest.fixture
def counted(run_directory, run_id):
    """The parts that count, in every reader's opinion."""

    def read():
        segments = list(read_segments(run_directory, run_id))
        proved = [file for file in read_segment_files(run_directory.path, run_id) if file.counts]
        assert [segment_name(one.number) for one in segments] == [file.name for file in proved]
        return sorted(chunk.k for one in segments for chunk in one.manifest.done)

    return read


# -- one driver -----------------------------------------------------------------------------


def test_commits_are_numbered_and_the_next_one_is_claimed(take, make_partial, counted):
    ledger = take()
    assert [ledger.commit(make_partial(k)) for k in range(3)] == [1, 2, 3]
    assert counted() == [0, 1, 2]
    directory = ledger.directory
    assert sorted(path.name for path in directory.claims.iterdir()) == [
        claim_name(number) for number in (1, 2, 3, 4)
    ]
    claim = json.loads((directory.claims / "000002").read_bytes())
    assert claim["driver"] == "driver"
    assert claim["pid"] == os.getpid()
    assert {"host", "time"} <= claim.keys()


def test_a_million_segments_stay_in_their_order(take, make_partial, run_directory, run_id):
    write_atomic(run_directory.claims / "999998", b"{}")
    ledger = take()
    assert [ledger.commit(make_partial(k)) for k in range(2)] == [999_999, 1_000_000]
    numbers = [segment.number for segment in read_segments(run_directory, run_id)]
    assert numbers == [999_999, 1_000_000]


def test_what_counts_is_claimed_whole_not_void_and_of_this_run(
    take, make_partial, run_directory, counted
):
    ledger = take()
    for k in range(4):
        ledger.commit(make_partial(k))
    (run_directory.claims / "000001").unlink()
    write_atomic(run_directory.claims / "000002.void", b"")
    torn = run_directory.segments / "000003.zip"
    torn.write_bytes(torn.read_bytes()[:-1])
    # Copies under other names, and things that only look like segments, or like claims.
    fourth = run_directory.segments / "000004.zip"
    for name in ("4.zip", "000005.zip", "000004 (1).zip", "000004.zip~", "²4.zip"):
        shutil.copy(fourth, run_directory.segments / name)
    (run_directory.claims / "000009~1").write_text("")
    assert counted() == [3]
    assert take("next")._next == 6


def test_failures_alone_are_committed(take, make_partial, make_failed, run_directory, run_id):
    take().commit(make_partial(failed=(make_failed(),)))
    (segment,) = read_segments(run_directory, run_id)
    assert segment.manifest.failed == (make_failed(),)


# -- several segments at once, and those of other runs ----------------------------------------


def test_several_are_committed_together_and_let_go_one_by_one(take, make_partial, counted):
    ledger = take()
    folder = ledger.directory.segments

    def entries():
        for k in range(3):
            assert len(list(folder.glob(".*.tmp"))) == k  # written, and not to be seen yet
            assert not list(folder.glob("*.zip"))
            yield make_partial(k)

    segments = ledger.commit_all(entries())
    assert [segment.number for segment in segments] == [1, 2, 3]
    assert segments == ledger.segments() == list(read_segments(ledger.directory, ledger.run_id))
    assert counted() == [0, 1, 2]
    batch = [json.loads((ledger.directory.claims / f"00000{n}").read_bytes()) for n in (2, 3)]
    assert [(claim["first"], claim["last"]) for claim in batch] == [(1, 3), (1, 3)]
    assert ledger.commit_all([]) == []
    assert ledger.commit(make_partial(3)) == 4


def test_entries_that_cannot_be_had_cost_no_number(take, make_partial, counted):
    ledger = take()

    def entries():
        yield make_partial(0)
        raise LookupError

    with pytest.raises(LookupError):
        ledger.commit_all(entries())
    assert not list(ledger.directory.segments.iterdir())
    assert ledger.commit(make_partial(1)) == 1
    assert counted() == [1]


def test_what_a_dead_driver_had_begun_to_write_is_removed(take, run_directory):
    left = run_directory.segments / ".7-0123.tmp"
    left.write_bytes(b"half")
    take()
    assert not left.exists()


@pytest.fixture
def other_run(tmp_path, make_partial, make_failed):
    """A segment of another run, with a failure in it."""
    path = tmp_path / "000007.zip"
    partial = make_partial(0, value={"n": 25, "noise": b"x" * 3}, failed=(make_failed(k=1),))
    write_segment(path, run_id="other", number=7, partial=partial)
    return read_segment(path, run_id="other")


def test_a_segment_of_another_run_is_taken_over_as_it_lies(take, other_run, counted, make_partial):
    ledger = take()
    ledger.commit(make_partial(1))
    assert ledger.adopt(other_run) == 2
    assert counted() == [0, 1]
    (_, adopted) = ledger.segments()
    assert adopted.read_value() == {"n": 25, "noise": b"xxx"}
    assert adopted.manifest.done == other_run.manifest.done
    assert adopted.manifest.failed == ()  # to be tried again
    origin = {"run_id": "other", "segment": 7, "sha256": other_run.sha256}
    assert adopted.origin.items() >= origin.items()


def test_where_a_value_was_made_is_told_also_at_second_hand(take, other_run, tmp_path):
    ledger = take()
    ledger.adopt(other_run)
    (first,) = ledger.segments()
    path = tmp_path / "third.zip"
    with path.open("x+b") as stream:
        second = fill_segment(stream, first, path=path, run_id="third", number=1)
    assert second.origin == first.origin


@pytest.mark.parametrize("place", ["value", "manifest"])
def test_a_segment_that_was_changed_meanwhile_is_not_taken_over(take, other_run, counted, place):
    data = other_run.path.read_bytes()
    mark = b"beampipe-value" if place == "value" else b'"metrics"'
    other_run.path.write_bytes(data.replace(mark, mark.upper()))
    ledger = take()
    with pytest.raises(LedgerError, match="not whole any more"):
        ledger.adopt(other_run)
    assert counted() == []
    assert not list(ledger.directory.segments.iterdir())


def test_a_segment_that_others_may_write_to_is_not_taken_over(take, other_run):
    other_run.path.chmod(0o666)
    with pytest.raises(TrustError, match="not yours alone"):
        take().adopt(other_run)


def test_a_segment_without_events_is_not_taken_over(take, make_partial, make_failed, tmp_path):
    path = tmp_path / "x.zip"
    segment = write_segment(
        path, run_id="other", number=1, partial=make_partial(failed=(make_failed(),))
    )
    with pytest.raises(LedgerError, match="no events"):
        take().adopt(segment)


# -- a driver that is overtaken -------------------------------------------------------------


def test_a_driver_that_wakes_up_late_commits_nothing(take, make_partial, counted):
    old = take("old")
    old.commit(make_partial(0))
    new = take("new")
    with pytest.raises(RunHeldError, match=rf"process {os.getpid()} on .*\n.*claimed the next"):
        old.commit(make_partial(1))
    new.commit(make_partial(1))
    assert counted() == [0, 1]


def test_a_driver_that_was_overtaken_hears_of_it_also_with_nothing_to_commit(take, make_partial):
    former = take("former")
    former.confirm()
    former.commit(make_partial(0))
    former.confirm()
    latter = take("latter")
    with pytest.raises(RunHeldError, match="Another driver"):
        former.confirm()
    latter.confirm()


def test_a_segment_that_was_there_in_time_counts(take, make_partial, monkeypatch, counted):
    old = take("old")

    def die(*_, **__):
        raise SystemExit

    with monkeypatch.context() as patch, suppress(SystemExit):
        patch.setattr(module, "create_exclusive", die)
        old.commit(make_partial(0))
    take("new")
    assert counted() == [0]


def test_a_driver_that_was_interrupted_in_a_commit_never_writes_a_segment_again(
    take, make_partial, monkeypatch, counted
):
    """Seen: the second Ctrl-C between a segment and its next claim lost the segment."""
    ledger = take()

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(module, "create_exclusive", interrupt)
        ledger.commit(make_partial(0))
    assert ledger.commit(make_partial(1)) == 2
    assert counted() == [0, 1]


def test_an_interrupt_right_after_a_claim_does_not_lock_the_driver_out(
    take, make_partial, monkeypatch, counted
):
    ledger = take()
    create = module.create_exclusive

    def interrupt(path, data, **options):
        create(path, data, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(module, "create_exclusive", interrupt)
        ledger.commit(make_partial(0))
    assert ledger.commit(make_partial(1)) == 2
    assert counted() == [0, 1]


def test_a_number_whose_segment_could_not_be_written_is_left_out(
    take, make_partial, monkeypatch, counted
):
    ledger = take()

    def fail(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(RunStorageError, match="the disk is full"):
            ledger.commit(make_partial(0))
    assert ledger.commit(make_partial(0)) == 2
    take("next").commit(make_partial(1))
    assert counted() == [0, 1]


def test_an_empty_claim_of_a_full_disk_does_not_cost_the_segment_before_it(
    take, make_partial, run_directory, counted
):
    ledger = take()
    ledger.commit(make_partial(0))
    (run_directory.claims / "000002").write_bytes(b"")
    take("next")
    assert counted() == [0]


# -- drivers step by step -------------------------------------------------------------------


class ClaimFile(io.BufferedWriter):
    """Writes at once, and in a step of its own."""

    def write(self, data):
        return storage.write_claim(self.raw, data)


class Race:
    """Drivers that do one visible step at a time, in an order that a test chooses.

    Each is a thread that runs the ledger's own code, and waits before everything that another
    driver could see or change. Segments are tiny ones, so that thousands of orders can be tried.
    """

    STEPS = (
        (module, "last_claim"),
        (module, "list_claims"),
        (module, "read_claims"),
        (module, "read_segment_if_whole"),
        (module, "publish"),
        (storage, "create_claim"),
    )
    FINE_STEPS = (
        (claims, "read_object"),
        (storage, "write_claim"),
        (storage.Path, "exists"),
    )

    def __init__(self, path, run_id, make_partial, monkeypatch) -> None:
        self.directory, self.run_id, self.make_partial = RunDirectory(path), run_id, make_partial
        self.turns: dict[str, threading.Semaphore] = {}
        self.arrived = threading.Semaphore(0)
        self.batch, self.is_fine = 1, False
        monkeypatch.setattr(module, "fill_segment", fill_small_segment)
        monkeypatch.setattr(module, "read_segment", read_small_segment)
        monkeypatch.setattr(module, "check_lease", lambda *_: None)
        monkeypatch.setattr(Ledger, "heartbeat", lambda _: None)
        monkeypatch.setattr(os, "fsync", lambda _: None)
        monkeypatch.setattr(lease, "_WRITING_S", 0)
        # A claim is there before its maker has written its name into it.
        monkeypatch.setattr(storage, "create_claim", io.FileIO, raising=False)
        monkeypatch.setattr(storage, "write_claim", io.FileIO.write, raising=False)
        monkeypatch.setattr(storage, "new_file", self.new_file)
        for home, name in (*self.STEPS, *self.FINE_STEPS):
            is_fine = (home, name) in self.FINE_STEPS
            step = self.stepwise(getattr(home, name), is_fine=is_fine)
            monkeypatch.setattr(home, name, step)

    def new_file(self, path, _mode):
        if path.parent != self.directory.claims:  # a hidden one, that nobody sees
            return path.open("x+b")
        return ClaimFile(storage.create_claim(path, "x"))

    def stepwise(self, function, *, is_fine):
        def step(*args, **kwargs):
            turn = self.turns.get(threading.current_thread().name)
            if turn is not None and (self.is_fine or not is_fine):
                self.arrived.release()
                turn.acquire()
            return function(*args, **kwargs)

        return step

    def begin(self, n_chunks: int, *, batch: int = 1, is_fine: bool = False) -> None:
        """An empty run of so many parts, of which so many are committed together."""
        self.batch, self.is_fine = batch, is_fine
        shutil.rmtree(self.directory.path, ignore_errors=True)
        self.directory.claims.mkdir(parents=True)
        self.directory.segments.mkdir()
        self.parts = range(n_chunks)
        self.views: dict[str, tuple[int, list[int]]] = {}
        self.threads: list[threading.Thread] = []
        self.errors: list[BaseException] = []

    def start(self, name: str, ledger: Ledger | None = None) -> None:
        """A driver that takes the run, or has it, and then does what is missing."""
        self.turns[name] = threading.Semaphore(0)
        thread = threading.Thread(target=self.drive, args=(name, ledger), name=name, daemon=True)
        self.threads.append(thread)
        thread.start()
        self.arrived.acquire()

    def drive(self, name: str, ledger: Ledger | None = None) -> None:
        try:
            ledger = ledger or Ledger.take(self.directory, run_id=self.run_id, driver=name)
            segments = ledger.segments()
            self.views[name] = (ledger._next, [segment.number for segment in segments])
            done = {chunk.k for segment in segments for chunk in segment.manifest.done}
            missing = [k for k in self.parts if k not in done]
            while missing:
                ledger.commit_all(map(self.make_partial, missing[: self.batch]))
                missing = missing[self.batch :]
        except RunHeldError:
            pass
        except BaseException as error:  # noqa: BLE001  the test shows it
            self.errors.append(error)
        finally:
            if self.turns.pop(name, None):
                self.arrived.release()

    def step(self, name: str) -> None:
        self.turns[name].release()
        self.arrived.acquire()

    def check(self) -> list[int]:
        """No part counts twice; nobody's view of the past is changed by one who came before."""
        assert not self.errors
        segments = list(read_segments(self.directory, self.run_id))
        done = [chunk.k for segment in segments for chunk in segment.manifest.done]
        assert len(done) == len(set(done)), done
        for claim, view in self.views.values():
            for number in view:
                mark = self.directory.claims / f"{claim_name(number)}.void"
                if by := lease.read_object(mark).get("by"):
                    assert self.first_claim(by) > claim
        return sorted(done)

    def first_claim(self, driver: str) -> int:
        claims = (path for path in self.directory.claims.iterdir() if path.suffix != ".void")
        return min(
            int(path.name) for path in claims if lease.read_object(path).get("driver") == driver
        )

    def end(self) -> None:
        """However they left it, one more driver does the rest, once."""
        for thread in self.threads:
            thread.join()
        self.drive("last")
        assert self.check() == list(self.parts)


def fill_small_segment(stream, entry, *, path, run_id, number):
    data = {"run_id": run_id, "segment": number, **entry.manifest.to_json()}
    stream.write(json.dumps(data).encode())
    return Segment(path, number, entry.manifest, {}, "")


def read_small_segment(path, *, run_id):
    data = json.loads(path.read_bytes())
    return Segment(path, data["segment"], Manifest.from_json(data), {}, "")


@pytest.fixture
def race(tmp_path, run_id, make_partial, monkeypatch):
    """A race in a directory of its own, in memory where there is one."""
    memory = Path("/dev/shm")
    path = (memory if memory.is_dir() else tmp_path) / f"beampipe-race-{os.getpid()}"
    yield Race(path, run_id, make_partial, monkeypatch)
    shutil.rmtree(path, ignore_errors=True)


def explore(race, begin):
    """Go through all orders of steps, depth first, and check after every step."""
    orders: list[list[str]] = [[]]
    n_orders = 0
    while orders:
        order = orders.pop()
        begin()
        place = 0
        while waiting := sorted(race.turns):
            if place == len(order):
                orders += [[*order, other] for other in waiting[1:]]
                order.append(waiting[0])
            race.step(order[place])
            race.check()
            place += 1
        race.end()
        n_orders += 1
    return n_orders


@pytest.mark.parametrize(("batch", "least"), [(1, 80), (2, 200)])
def test_a_driver_at_work_and_one_that_takes_over_in_every_order(race, batch, least):
    def begin():
        race.begin(2, batch=batch)
        old = Ledger.take(race.directory, run_id=race.run_id, driver="old")
        race.start("old", old)
        race.start("new")

    assert explore(race, begin) > least


def test_two_drivers_that_start_together_in_every_order(race):
    def begin():
        race.begin(1)
        race.start("one")
        race.start("two")

    assert explore(race, begin) > 500


SEEDS = range(int(os.environ.get("BEAMPIPE_RACES", "6")))


@pytest.mark.parametrize("seed", SEEDS)
def test_four_drivers_in_many_orders(race, seed):
    """Every second one in smaller steps: each claim that is read, and written after it is there."""
    chance = random.Random(seed)  # noqa: S311  orders, not secrets
    for number in range(40):
        race.begin(4, batch=chance.choice((1, 2, 4)), is_fine=bool(number % 2))
        names = ["a", "b", "c", "d"]
        # Some sleep for long: that is where a mark made late would do harm.
        weights = {name: chance.choice((1, 1, 10)) for name in names}
        while names or race.turns:
            waiting = sorted(race.turns)
            if names and (not waiting or chance.random() < 0.1):
                race.start(names.pop(0))
            else:
                race.step(chance.choices(waiting, [weights[name] for name in waiting])[0])
                race.check()
        race.end()


def test_a_mark_that_is_made_late_does_not_change_what_the_next_driver_saw(race):
    """B sees no segment and sleeps, A's segment appears, C takes over, B makes its mark."""
    race.begin(2)
    race.start("a", Ledger.take(race.directory, run_id=race.run_id, driver="a"))
    while "000002" not in {path.name for path in race.directory.claims.iterdir()}:
        if "b" not in race.turns:
            race.start("b")
        race.step("b")
    race.step("b")  # which are claimed
    race.step("b")  # who claimed them
    race.step("b")  # is segment 1 whole? no
    while "000001.zip" not in {path.name for path in race.directory.segments.iterdir()}:
        race.step("a")
    race.drive("c")
    assert race.check() == [0, 1]
    while race.turns:
        race.step(min(race.turns))
    race.end()


def test_threads_that_take_over_and_commit_at_once(run_directory, run_id, make_partial, counted):
    """No steps, no order: whoever comes through."""
    barrier = threading.Barrier(6)
    problems = []

    def drive(number):
        barrier.wait()
        try:
            run_directory.lease_file.unlink(missing_ok=True)
            ledger = Ledger.take(run_directory, run_id=run_id, driver=f"driver {number}")
            segments = list(read_segments(run_directory, run_id))
            done = {chunk.k for one in segments for chunk in one.manifest.done}
            for k in set(range(4)) - done:
                ledger.commit(make_partial(k))
        except RunHeldError:
            pass
        except BaseException as error:  # noqa: BLE001  the test shows it
            problems.append(error)

    threads = [threading.Thread(target=drive, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    parts = counted()
    assert len(parts) == len(set(parts))


DRIVER = """
import sys
from pathlib import Path
from beampipe.errors import RunHeldError
from beampipe.execution.ledger import Ledger, read_segments
from beampipe.execution.manifest import DoneChunk, Manifest
from beampipe.execution.partials import Partial
from beampipe.execution.run_directory import open_run_directory

directory, run = open_run_directory(Path(sys.argv[1]))
ledger = Ledger.take(directory, run_id=run["run_id"], driver=sys.argv[2])
held = {c.k for s in read_segments(directory, run["run_id"]) for c in s.manifest.done}
for k in range(200):
    if k not in held:
        done = (DoneChunk("u", k, 200, k, k + 1),)
        ledger.commit(Partial(Manifest("DY", done), {"n": 1}))
        print(k, flush=True)
ledger.release()
"""


def start_driver(directory, name):
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, directory.path, name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_stopped_process_that_wakes_up_loses_nothing_and_doubles_nothing(run_directory, counted):
    old = start_driver(run_directory, "old")
    for _ in range(5):
        old.stdout.readline()
    old.send_signal(signal.SIGSTOP)
    refused = start_driver(run_directory, "polite")
    assert f"process {old.pid} on" in refused.communicate()[1]
    run_directory.lease_file.unlink()
    new = start_driver(run_directory, "new")
    new.stdout.readline()
    old.send_signal(signal.SIGCONT)
    assert "[run-held]" in old.communicate()[1]
    assert new.communicate()[1] == ""
    assert counted() == list(range(200))


def test_a_killed_process_costs_at_most_what_it_was_writing(run_directory, counted):
    old = start_driver(run_directory, "old")
    for _ in range(5):
        old.stdout.readline()
    old.kill()
    # Not waited for yet: a process that has ended and whose parent does not care is dead.
    time.sleep(0.2)
    assert len(counted()) >= 5
    new = start_driver(run_directory, "new")
    assert new.communicate()[1] == ""
    old.communicate()
    assert counted() == list(range(200))


# -- disks ----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 256 KiB."""
    path = tmp_path / "small disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", path], check=False, capture_output=True
    )
    if mounted.returncode:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse("only root may mount file systems")
    yield path
    subprocess.run(["umount", path], check=True)


def test_on_a_disk_that_is_full_nothing_committed_is_lost(
    small_disk, run_directory, run_id, make_partial
):
    path = small_disk / "run"
    shutil.copytree(run_directory.path, path)
    directory = RunDirectory(path)
    ledger = Ledger.take(directory, run_id=run_id, driver="one")
    committed = []

    def fill_the_disk():
        for k in range(100):
            ledger.commit(make_partial(k, value={"noise": os.urandom(20_000)}))
            committed.append(k)

    with pytest.raises(RunStorageError, match="the disk is full"):
        fill_the_disk()
    assert 3 < len(committed) < 20
    segments = list(read_segments(directory, run_id))
    assert {chunk.k for one in segments for chunk in one.manifest.done} >= set(committed)
    assert not list(directory.segments.glob(".*"))
    ledger.release()
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    again = Ledger.take(directory, run_id=run_id, driver="two")
    again.commit(make_partial(99))
    held = [chunk.k for one in read_segments(directory, run_id) for chunk in one.manifest.done]
    assert set(held) >= {*committed, 99}
    assert len(held) == len(set(held))


def test_on_a_disk_that_is_read_only_a_run_can_be_read_and_not_taken(
    small_disk, run_directory, run_id, make_partial
):
    path = small_disk / "run"
    shutil.copytree(run_directory.path, path)
    directory = RunDirectory(path)
    ledger = Ledger.take(directory, run_id=run_id, driver="one")
    ledger.commit(make_partial(0))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(RunStorageError, match="read-only"):
        ledger.commit(make_partial(1))
    ledger.release()
    with pytest.raises(RunStorageError, match="read-only"):
        Ledger.take(directory, run_id=run_id, driver="one")
    assert [segment.number for segment in read_segments(directory, run_id)] == [1]


def test_a_folder_that_is_not_there_is_said(run_directory, run_id):
    run_directory.claims.rmdir()
    with pytest.raises(RunStorageError, match="No such file"):
        Ledger.take(run_directory, run_id=run_id, driver="one")
