"""Disks that fill up, go read-only, break or vanish at every operation of a run."""

import errno
import os
import random
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.durability.small_run import (
    check_exact,
    counted_chunks,
    lay_out_small_run,
    work,
    write_source,
)
from tests.durability.tap import tapped

from beampipe.errors import RunHeldError, RunStorageError

WHY = {
    errno.ENOSPC: "the disk is full",
    errno.EROFS: "the file system is read-only",
    errno.EDQUOT: "your quota is used up",
    errno.EIO: "Input/output error",
    errno.ESTALE: "stale handle",
}


@pytest.fixture
def memory(tmp_path):
    base = Path("/dev/shm")
    path = (base if base.is_dir() else tmp_path) / f"beampipe-faults-{os.getpid()}"
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def source(memory):
    path = memory / "000012.zip"
    write_source(path)
    return path


class Weather:
    """A disk that works until some operation; from then on every operation fails, or only one."""

    def __init__(self, number: int, at: int, *, lasts: bool) -> None:
        self.number, self.at, self.lasts = number, at, lasts
        self.n_operations = 0
        self.failed: list[str] = []

    def see(self, operation) -> None:
        here = self.n_operations
        self.n_operations += 1
        if here == self.at or (self.lasts and here > self.at):
            self.failed.append(f"{operation.kind} {Path(operation.path).name}")
            raise OSError(self.number, os.strerror(self.number))


def run_into(weather, path, source):
    """A whole run; what was promised, and the error that it ended with."""
    promised: set[str] = set()
    with tapped(path.parent, weather.see):
        try:
            lay_out_small_run(path)
            promised.add("laid out")
            work(path, source, promised.add)
        except RunStorageError as error:
            return promised, error
    return promised, None


@pytest.mark.parametrize("lasts", [True, False], ids=["from then on", "once"])
@pytest.mark.parametrize("number", WHY, ids=errno.errorcode.get)
def test_a_fault_at_every_operation_keeps_what_was_committed(memory, source, number, lasts):
    chance = random.Random(number)  # noqa: S311
    at = 0
    while True:
        path = memory / f"run {at}"
        weather = Weather(number, at, lasts=lasts)
        promised, error = run_into(weather, path, source)
        if not weather.failed:
            break
        if error is not None:
            assert WHY[number] in error.why, weather.failed
            assert str(memory) in error.message
        if not promised:
            # A disk that does nothing any more cannot be tidied up either.
            shutil.rmtree(path, ignore_errors=True)
            lay_out_small_run(path)
        (path / "lease.json").unlink(missing_ok=True)
        assert counted_chunks(path)[1] >= promised - {"laid out", "complete"}
        work(path, source)
        check_exact(path)
        shutil.rmtree(path)
        at += chance.randrange(1, 5)
    assert error is None
    assert at > 100


def test_a_directory_that_is_deleted_under_a_run_is_said(memory, source):
    at, n_told = 0, 0
    path = memory / "run"
    while True:
        lay_out_small_run(path)
        counter = iter(range(10_000))

        def see(_, counter=counter, at=at):
            if next(counter) == at:
                shutil.rmtree(path)

        why = ""
        with tapped(memory, see):
            try:
                work(path, source)
            except RunStorageError as error:
                why = error.why
        assert why in {"", "No such file or directory"}
        n_told += bool(why)
        if next(counter) <= at:
            break
        shutil.rmtree(path, ignore_errors=True)
        at += 1
    check_exact(path)
    assert n_told > 100


def test_a_run_that_was_made_anew_in_the_same_place_is_not_written_to(memory, source):
    """The old driver sleeps; its directory is deleted and another run begins there."""
    path = memory / "run"
    lay_out_small_run(path)

    def see(operation):
        if operation.kind == "rename" and operation.path.endswith("never"):
            raise AssertionError

    def replace_run(what):
        if what.endswith("/0"):
            shutil.rmtree(path)
            lay_out_small_run(path)
            work(path, source)

    with tapped(memory, see), pytest.raises((RunHeldError, RunStorageError)):
        work(path, source, replace_run)
    check_exact(path)


@pytest.mark.parametrize("seed", range(3))
def test_clocks_that_jump_change_nothing(memory, source, monkeypatch, seed):
    chance = random.Random(seed)  # noqa: S311
    monkeypatch.setattr(time, "time", lambda: chance.uniform(-1e9, 4e9))
    path = memory / "run"
    lay_out_small_run(path)
    work(path, source)
    check_exact(path)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 512 KiB."""
    path = tmp_path / "small disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "none", path], check=False, capture_output=True
    )
    if mounted.returncode:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse("only root may mount file systems")
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_real_disk_that_is_full_at_every_page(small_disk, source):
    """However many pages are left, the run says that it is full, and goes on when it is not."""
    n_full = 0
    for n_pages in range(60):
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as stream, suppress(OSError):
            while True:
                stream.write(bytes(4096))
        os.truncate(filler, max(filler.stat().st_size - 4096 * n_pages, 0))
        path = small_disk / "run"
        promised, error = run_into(Weather(0, -1, lasts=False), path, source)
        n_full += error is not None
        assert error is None or error.why == "the disk is full"
        filler.unlink()
        if promised:
            assert counted_chunks(path)[1] >= promised - {"laid out", "complete"}
        else:
            lay_out_small_run(path)  # nothing was left in the way
        work(path, source)
        check_exact(path)
        shutil.rmtree(path)
    assert 20 < n_full < 60
