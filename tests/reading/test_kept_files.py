from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from beampipe.reading import kept_files
from beampipe.reading.kept_files import KeptFiles, read_file

DIGEST = bytes([255] * 16)
CONTENT = b"some content"
SUFFIX = ".kept"


def kept(directory: Path, *, max_bytes: int = 2_000_000_000, **options) -> KeptFiles:
    return KeptFiles(Path(directory), max_bytes=max_bytes, suffix=SUFFIX, **options)


def get(store: KeptFiles, digest: bytes) -> bytes | None:
    try:
        return bytes(read_file(store.path(digest), most_bytes=2**30, touch_after_s=3600))
    except OSError:
        return None


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "ca che µ" / "kept"


@pytest.fixture
def store(directory):
    return kept(directory)


def digest_of(number: int) -> bytes:
    return number.to_bytes(16, "little")


def files_in(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"??/*{SUFFIX}"))


def litter(directory: Path) -> list[Path]:
    return sorted(directory.rglob(".new-*"))


def set_age(path: Path, age_s: float) -> None:
    then = time.time() - age_s
    os.utime(path, (then, then))


def run_program(program: str, directory: Path) -> subprocess.CompletedProcess[str]:
    start = f"""
        import os, signal, sys
        from pathlib import Path
        from beampipe.reading import kept_files
        def die(*_, **__):
            os.kill(os.getpid(), signal.SIGKILL)
        store = kept_files.KeptFiles(Path({str(directory)!r}), max_bytes=10**9, suffix={SUFFIX!r})
        digest = {DIGEST!r}
    """
    code = textwrap.dedent(start) + program
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100
    )


# -- trouble with the disk ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_cannot_be_written_is_given_up(store, monkeypatch, number):
    store.put(DIGEST, CONTENT)
    tries = []

    def fail(path, *parts):
        tries.append(path)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(kept_files, "write_file", fail)
    assert not any(store.put(digest_of(n), CONTENT) for n in range(10))
    assert len(tries) == kept_files._MOST_FAILURES
    assert get(store, DIGEST) == CONTENT


def test_a_write_that_fails_leaves_nothing_behind(store, directory, monkeypatch):
    store.put(DIGEST, CONTENT)

    def fail(self, target):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(Path, "replace", fail)
    assert not store.put(DIGEST, b"new")
    assert not litter(directory)
    assert get(store, DIGEST) == CONTENT


# -- kill -9 ------------------------------------------------------------------------------------


HALF_WRITTEN = """
class Half:
    def __init__(self, descriptor, mode, buffering):
        self.descriptor = descriptor
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
    def write(self, data):
        os.write(self.descriptor, data[:6])
        die()
kept_files.open = Half
"""
AFTER_RENAME = """
replace = kept_files.Path.replace
kept_files.Path.replace = lambda source, target: (replace(source, target), die())
"""


@pytest.mark.parametrize(
    ("step", "survives"),
    [
        ("kept_files.tempfile.mkstemp = die", "old"),
        (HALF_WRITTEN, "old"),
        ("kept_files.Path.replace = die", "old"),
        (AFTER_RENAME, "new"),
        ("kept_files.os.fstat = die", "old"),
    ],
    ids=["before", "half written", "before the rename", "after the rename", "counting"],
)
def test_a_kill_at_any_step_leaves_the_old_one_or_the_new_one(store, directory, step, survives):
    store.put(DIGEST, CONTENT)
    died = run_program(f"{step}\nstore.put(digest, b'new')", directory)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert get(store, DIGEST) == (CONTENT if survives == "old" else b"new")
    assert store.put(DIGEST, b"newer")
    assert get(store, DIGEST) == b"newer"
    for path in litter(directory):
        set_age(path, kept_files._LITTER_AGE_S + 10)
    store.tidy()
    assert not litter(directory)
    assert get(store, DIGEST) == b"newer"


def test_a_kill_while_tidying_leaves_a_store_that_works(directory):
    store = kept(directory, max_bytes=40 * 4096)
    for number in range(35):
        store.put(digest_of(number), CONTENT)
    died = run_program(
        "store.max_bytes = 20 * 4096\nkept_files.os.truncate = die\nstore.tidy()", directory
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(files_in(directory)) == 16
    for number in range(100, 200):
        assert store.put(digest_of(number), CONTENT)
    assert len(files_in(directory)) <= 40
    assert get(store, digest_of(199)) == CONTENT


def test_a_kill_at_a_moment_that_nobody_chose(store, directory):
    program = """
        print("ready", flush=True)
        number = 0
        while True:
            store.put((number % 20).to_bytes(16, "little"), bytes([number % 251]) * 300_000)
            number += 1
    """
    start = "from pathlib import Path\nfrom beampipe.reading.kept_files import KeptFiles\n"
    start += f"store = KeptFiles(Path({str(directory)!r}), max_bytes=10**9, suffix={SUFFIX!r})\n"
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", start + textwrap.dedent(program)], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            seen = 0
            while seen < 20:  # it writes, over and over
                seen += sum(get(store, digest_of(n)) is not None for n in range(20))
            process.kill()
        for number in range(20):
            found = get(store, digest_of(number))
            assert found is None or found == found[:1] * 300_000


# -- several at once ----------------------------------------------------------------------------


def test_two_processes_write_at_once_and_a_third_reads(store, directory):
    program = f"""
        import sys
        from pathlib import Path
        from beampipe.reading.kept_files import KeptFiles
        directory = Path({str(directory)!r})
        store = KeptFiles(directory, max_bytes=64 * 4096, suffix={SUFFIX!r})
        for turn in range(40):
            for number in range(8):
                text = sys.argv[1].encode() * 20_000
                assert store.put(number.to_bytes(16, "little"), text)
    """
    writers = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), name]) for name in "ab"
    ]
    wholes = {b"a" * 20_000, b"b" * 20_000}
    seen = 0
    while any(writer.poll() is None for writer in writers):
        for number in range(8):
            found = get(store, digest_of(number))
            if found is not None:
                assert found in wholes
                seen += 1
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen
    assert not litter(directory)
    assert all(get(store, digest_of(number)) in wholes for number in range(8))


def test_threads_may_use_one_store(store):
    failed = []

    def work(name):
        made = name.encode() * 1000
        for number in range(30):
            store.put(digest_of(number), made)
            found = get(store, digest_of(number))
            if found is None or len(set(found)) != 1:
                failed.append(found)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


# -- size ---------------------------------------------------------------------------------------


def test_what_was_not_used_longest_goes_first(directory):
    store = kept(directory, max_bytes=20 * 4096)
    for number in range(20):
        store.put(digest_of(number), CONTENT)
        set_age(store.path(digest_of(number)), 100_000 - number)
    assert get(store, digest_of(0)) == CONTENT  # used again just now
    store.put(digest_of(20), CONTENT)
    left = [n for n in range(21) if get(store, digest_of(n))]
    assert left == [0, *range(6, 21)], "down to four fifths"


@pytest.mark.parametrize("size", [10, 5000, 20_000])
def test_the_store_never_takes_much_more_than_it_may(directory, size):
    most = 60 * 4096
    for number in range(200):  # every one a process of its own, as far as it knows
        store = kept(directory, max_bytes=most)
        assert store.put(digest_of(number), bytes(size))
        used = sum(kept_files._blocks(path.stat().st_size) for path in files_in(directory))
        assert used * 4096 <= most
    assert get(store, digest_of(199)) is not None


def test_not_everything_is_looked_through_at_every_write(directory, monkeypatch):
    store = kept(directory, max_bytes=500 * 4096)
    scans = []
    original = KeptFiles._scan

    def scan(self):
        scans.append(1)
        return original(self)

    monkeypatch.setattr(KeptFiles, "_scan", scan)
    for number in range(1000):
        store.put(digest_of(number), CONTENT)
    assert len(scans) <= 8


def test_a_lost_or_foreign_tally_is_made_anew(directory):
    store = kept(directory, max_bytes=50 * 4096)
    for number in range(40):
        store.put(digest_of(number), CONTENT)
    (directory / "usage").unlink()
    store.put(digest_of(40), CONTENT)
    assert (directory / "usage").stat().st_size >= 41
    (directory / "usage").write_bytes(b"x" * 10_000)
    store.put(digest_of(41), CONTENT)
    assert (directory / "usage").stat().st_size == 42
    for number in range(100, 150):
        store.put(digest_of(number), CONTENT)
        assert len(files_in(directory)) <= 50


def test_one_that_would_push_out_the_others_is_not_kept(directory):
    store = kept(directory, max_bytes=80_000)
    assert not store.put(DIGEST, bytes(10_001))
    assert store.put(DIGEST, bytes(10_000))


def test_foreign_files_are_left_alone(store, directory):
    store.put(DIGEST, CONTENT)
    foreign = [directory / "notes.txt", files_in(directory)[0].parent / "notes.txt"]
    for path in foreign:
        path.write_text("mine")
    store.tidy()
    assert all(path.read_text() == "mine" for path in foreign)


# -- more than there is room for ----------------------------------------------------------------


def test_what_was_used_since_is_not_pushed_out_and_what_is_new_finds_no_room(directory):
    before = kept(directory, max_bytes=20 * 4096)
    for number in range(10):
        before.put(digest_of(number), CONTENT)
        set_age(before.path(digest_of(number)), 1000 - number)
    store = kept(directory, max_bytes=20 * 4096, spare_after=time.time() - 100)
    kept_ones = [number for number in range(100, 150) if store.put(digest_of(number), CONTENT)]
    left = [n for n in range(150) if get(store, digest_of(n))]
    assert left == kept_ones, "all older ones have gone, none of this one's own"
    assert kept_ones == list(range(100, 120)), "the first ones that there was room for"
    assert len(files_in(directory)) == 20


def test_whoever_cannot_keep_more_does_not_look_through_everything_every_time(
    directory, monkeypatch
):
    store = kept(directory, max_bytes=20 * 4096, spare_after=0.0)
    for number in range(20):
        assert store.put(digest_of(number), CONTENT)
    tidied = []
    original = KeptFiles.tidy
    monkeypatch.setattr(KeptFiles, "tidy", lambda self: tidied.append(1) or original(self))
    assert not any(store.put(digest_of(number), CONTENT) for number in range(100, 200))
    assert len(tidied) == 1
