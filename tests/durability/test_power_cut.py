"""A power cut at any moment: nothing that was promised is lost, nothing counts twice."""

import os
import random
import shutil
from pathlib import Path

import pytest
from tests.durability.power_cut import Disk, crash_images, lay_down
from tests.durability.small_run import (
    check_exact,
    counted_chunks,
    lay_out_small_run,
    work,
    write_source,
)
from tests.durability.tap import Operation, tapped

from beampipe.errors import NotARunError, RunDirectoryExistsError
from beampipe.execution.run_directory import open_run_directory


class Killed(BaseException):
    """This process does nothing any more."""


class Recorder:
    """Writes a trace down; at operation `kill_at` the program dies, and does nothing from then."""

    def __init__(self, root: Path) -> None:
        self.trace: list[Operation] = []
        self.kill_at: int | None = None
        self.root, self.is_dead = root, False

    def see(self, operation: Operation) -> None:
        if self.is_dead or len(self.trace) == self.kill_at:
            self.is_dead = True
            raise Killed
        self.trace.append(operation)

    def promise(self, what: str) -> None:
        self.trace.append(Operation("note", what))

    def run(self, act, *args, kill_at: int | None = None) -> None:
        self.kill_at, self.is_dead = kill_at, False
        try:
            with tapped(self.root, self.see):
                act(*args)
        except Killed:
            pass


@pytest.fixture
def memory(tmp_path):
    """A folder in memory where there is one: thousands of runs are laid down here."""
    base = Path("/dev/shm")
    path = (base if base.is_dir() else tmp_path) / f"beampipe-power-{os.getpid()}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def source(memory):
    path = memory / "000012.zip"
    write_source(path)
    return path


@pytest.fixture
def recorder(memory):
    root = memory / "disk"
    root.mkdir()
    return Recorder(root)


RUN = Path("runs") / "Z → µµ 'x'"


class Replay:
    """Checks what every power cut on the way through a trace may leave."""

    def __init__(self, recorder, source, memory) -> None:
        self.recorder, self.source, self.place = recorder, source, memory / "after"
        self.seen: set = set()

    def check_all(self, *, since: int = 0, step: int = 1, seed: int = 0) -> int:
        chance = random.Random(seed)  # noqa: S311  crashes, not secrets
        disk = Disk(str(self.recorder.root))
        promised: set[str] = set()
        for number, operation in enumerate(self.recorder.trace):
            if operation.kind == "note":
                promised.add(operation.path)
            else:
                disk.do(operation)
            if number >= since and number % step == 0:
                for image in crash_images(disk, chance):
                    self.check_once(image, frozenset(promised))
        return len(self.seen)

    def check_once(self, image, promised) -> None:
        # What nobody reads makes no difference.
        files = {path: data for path, data in image.items() if not path.endswith(".tmp")}
        key = hash((frozenset(files.items()), promised))
        if key in self.seen:
            return
        self.seen.add(key)
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        lay_down(image, self.place)
        check_state(self.place / RUN, self.source, promised)


def check_state(path, source, promised) -> None:
    try:
        open_run_directory(path)
    except NotARunError:
        assert not promised
        check_no_run(path)
        return
    # The machine was started again, so the driver that left its lease is dead.
    (path / "lease.json").unlink(missing_ok=True)
    record, chunks = counted_chunks(path)
    assert chunks >= promised - {"complete", "laid out"}
    if "complete" in promised:
        assert record.status == "complete"
    names = {entry.name for entry in (path / "claims").iterdir()}
    # One that is there without its claim would come to count when its number is claimed again.
    assert all(entry.stem in names for entry in (path / "segments").glob("[0-9]*"))
    work(path, source)
    check_exact(path)
    assert not list((path / "segments").glob(".*.tmp"))


def check_no_run(path) -> None:
    """A new run can be made here, or it is said what is in the way."""
    if path.is_dir() and any(path.iterdir()):
        with pytest.raises(RunDirectoryExistsError, match=r"never began[^$]*rm -r"):
            lay_out_small_run(path)
    else:
        lay_out_small_run(path)


def lay_out(recorder) -> None:
    recorder.run(lay_out_small_run, recorder.root / RUN)
    recorder.promise("laid out")


def test_a_power_cut_at_any_moment_of_a_run(recorder, source, memory):
    lay_out(recorder)
    recorder.run(work, recorder.root / RUN, source, recorder.promise)
    check_exact(recorder.root / RUN)
    n_states = Replay(recorder, source, memory).check_all()
    assert n_states > 300


def find_moments(trace) -> dict[str, int]:
    """Where a driver is killed: it has made names that it has not synced yet."""
    moments = {}
    for number, operation in enumerate(trace):
        folder = Path(operation.target or operation.path).parent.name
        if operation.kind == "rename" and folder == "segments":
            moments.setdefault("first segment", number + 1)
            moments["last segment"] = number + 1
        elif operation.kind == "create" and folder == "claims":
            moments["last claim"] = number + 1
            if len([one for one in trace[:number] if "claims/" in one.path]) > 8:
                moments.setdefault("some claim", number + 1)
        elif operation.kind == "rename" and operation.target.endswith("result.zip"):
            moments["result"] = number + 1
    return moments


MOMENTS = ("first segment", "some claim", "last segment", "last claim", "result")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_power_cut_after_a_driver_was_killed_and_another_went_on(
    recorder, source, memory, moment
):
    """What the dead one had not synced, the other one has seen, and built on."""
    lay_out(recorder)
    begin = len(recorder.trace)
    kept = memory / "kept"
    shutil.copytree(recorder.root, kept)
    recorder.run(work, recorder.root / RUN, source, recorder.promise)
    kill_at = find_moments(recorder.trace)[moment]
    del recorder.trace[begin:]
    shutil.rmtree(recorder.root)
    shutil.copytree(kept, recorder.root)
    recorder.run(work, recorder.root / RUN, source, recorder.promise, kill_at=kill_at)
    (recorder.root / RUN / "lease.json").unlink(missing_ok=True)
    begin = len(recorder.trace)
    recorder.run(work, recorder.root / RUN, source, recorder.promise)
    check_exact(recorder.root / RUN)
    assert Replay(recorder, source, memory).check_all(since=begin, step=3) > 20
