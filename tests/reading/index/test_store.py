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

from beampipe.reading.index import store as stores
from beampipe.reading.index.shelf import Made, Place
from beampipe.reading.index.store import IndexStore, StorePlace, open_store

PLACE = Place("0a1b2c3d-0000-1111-2222-333344445555", "Z → µµ/'x' \"q\" \udcff")
MADE = Made(b"an index", 0.25, 4711)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "ca che µ" / "indexes"


@pytest.fixture
def store(directory):
    return IndexStore(directory)


def place_of(number: int) -> Place:
    return Place(f"uuid-{number}", "Events")


def index_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("??/*.index"))


def litter(directory: Path) -> list[Path]:
    return sorted(directory.rglob(".new-*"))


def set_age(path: Path, age_s: float) -> None:
    then = time.time() - age_s
    os.utime(path, (then, then))


def run_program(program: str, directory: Path) -> subprocess.CompletedProcess[str]:
    start = f"""
        import os, signal, sys
        from beampipe.reading.index import store as stores
        from beampipe.reading.index.shelf import Made, Place
        def die(*_, **__):
            os.kill(os.getpid(), signal.SIGKILL)
        directory = {str(directory)!r}
        store = stores.IndexStore(directory)
        place = Place({PLACE.uuid!r}, {PLACE.treename!r})
    """
    code = textwrap.dedent(start) + program
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100
    )


# -- there and back -----------------------------------------------------------------------------


def test_what_is_put_is_there_for_every_process(store, directory):
    assert store.get(PLACE) is None
    assert store.put(PLACE, MADE)
    assert store.get(PLACE) == MADE
    assert IndexStore(directory).get(PLACE) == MADE
    assert store.get(Place(PLACE.uuid, "Events")) is None
    assert store.get(Place("other", PLACE.treename)) is None


def test_a_later_one_takes_the_place(store, directory):
    store.put(PLACE, MADE)
    store.put(PLACE, Made(b"", 0.0, 0))
    assert store.get(PLACE) == Made(b"", 0.0, 0)
    assert len(index_files(directory)) == 1
    assert not litter(directory)


def test_nothing_is_written_before_there_is_something(store, directory):
    store.get(PLACE)
    store.find_known([PLACE])
    assert not directory.exists()


def test_the_default_place_is_beside_the_counts(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert IndexStore().directory == tmp_path / "beampipe" / "metadata" / "indexes-v1"


def test_only_the_user_may_look_in(store, directory):
    store.put(PLACE, MADE)
    for path in [directory, *directory.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_names_of_trees_do_not_show(store, directory):
    store.put(Place("uuid-secret", "tree-secret"), MADE)
    assert "secret" not in "".join(map(str, directory.rglob("*")))


@pytest.mark.parametrize("most_asked", [0, 512])
def test_what_is_known_is_told_without_opening(store, monkeypatch, most_asked):
    monkeypatch.setattr(stores, "_MOST_ASKED", most_asked)
    monkeypatch.setattr(stores, "_read", None)
    for number in (1, 3):
        store.put(place_of(number), MADE)
    assert store.find_known([place_of(n) for n in range(5)]) == {place_of(1), place_of(3)}


# -- damage -------------------------------------------------------------------------------------


def test_no_flipped_byte_is_believed(store, directory):
    store.put(PLACE, MADE)
    path = index_files(directory)[0]
    whole = path.read_bytes()
    for at in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            assert store.get(PLACE) is None, at
    path.write_bytes(whole)
    assert store.get(PLACE) == MADE


def test_no_torn_or_grown_file_is_believed(store, directory):
    store.put(PLACE, MADE)
    path = index_files(directory)[0]
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert store.get(PLACE) is None, size
    for more in (b"\0", whole):
        path.write_bytes(whole + more)
        assert store.get(PLACE) is None
    assert store.put(PLACE, MADE)
    assert store.get(PLACE) == MADE


def test_an_index_of_another_file_under_this_name_is_not_believed(store, directory):
    store.put(PLACE, MADE)
    mine = index_files(directory)[0]
    store.put(place_of(1), Made(b"other"))
    other = next(path for path in index_files(directory) if path != mine)
    mine.write_bytes(other.read_bytes())
    assert store.get(PLACE) is None
    assert store.get(place_of(1)) == Made(b"other")


@pytest.mark.parametrize("kind", ["pipe", "link", "dead link", "unreadable", "folder"])
def test_what_is_no_index_at_all_is_ignored_and_replaced(store, directory, kind, monkeypatch):
    store.put(PLACE, MADE)
    path = index_files(directory)[0]
    foreign = directory / "foreign"
    foreign.write_bytes(path.read_bytes())
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(foreign)
        case "dead link":
            path.symlink_to(directory / "nowhere")
        case "folder":
            path.mkdir()
        case "unreadable":  # root may read everything, so the system call says no
            path.write_bytes(foreign.read_bytes())
            original = os.open

            def refuse(name, flags, *args):
                if Path(name) == path and not flags & os.O_CREAT:
                    raise PermissionError(errno.EACCES, "no", name)
                return original(name, flags, *args)

            monkeypatch.setattr(os, "open", refuse)
    assert store.get(PLACE) is None
    assert store.put(PLACE, MADE) is (kind != "folder")
    monkeypatch.undo()
    assert store.get(PLACE) == (None if kind == "folder" else MADE)
    assert foreign.exists()


def test_a_huge_file_is_not_read(store, directory):
    store.put(PLACE, MADE)
    os.truncate(index_files(directory)[0], stores._MOST_READ_BYTES + 1)
    assert store.get(PLACE) is None


def test_foreign_files_are_left_alone(store, directory):
    store.put(PLACE, MADE)
    foreign = [directory / "notes.txt", index_files(directory)[0].parent / "notes.txt"]
    for path in foreign:
        path.write_text("mine")
    store.tidy()
    assert all(path.read_text() == "mine" for path in foreign)


# -- trouble with the disk ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_cannot_be_written_is_given_up(store, monkeypatch, number):
    store.put(PLACE, MADE)
    tries = []

    def fail(path, data):
        tries.append(path)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(stores, "_write", fail)
    assert not any(store.put(place_of(n), MADE) for n in range(10))
    assert len(tries) == stores._MOST_FAILURES
    assert store.get(PLACE) == MADE


def test_a_write_that_fails_leaves_nothing_behind(store, directory, monkeypatch):
    store.put(PLACE, MADE)

    def fail(self, target):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(Path, "replace", fail)
    assert not store.put(PLACE, Made(b"new"))
    assert not litter(directory)
    assert store.get(PLACE) == MADE


def test_a_file_in_the_place_of_the_folder_makes_nothing_fail(tmp_path):
    (tmp_path / "file").write_text("mine")
    store = IndexStore(tmp_path / "file")
    assert not store.put(PLACE, MADE)
    assert store.get(PLACE) is None
    assert store.place() is None
    assert store.find_known([PLACE]) == set()


# -- kill -9 ------------------------------------------------------------------------------------


HALF_WRITTEN = """
class Half:
    def __init__(self, descriptor, mode):
        self.descriptor = descriptor
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
    def write(self, data):
        os.write(self.descriptor, data[:60])
        die()
stores.open = Half
"""
AFTER_RENAME = """
replace = stores.Path.replace
stores.Path.replace = lambda source, target: (replace(source, target), die())
"""


@pytest.mark.parametrize(
    ("step", "survives"),
    [
        ("stores.tempfile.mkstemp = die", "old"),
        (HALF_WRITTEN, "old"),
        ("stores.Path.replace = die", "old"),
        (AFTER_RENAME, "new"),
        ("stores.os.fstat = die", "old"),
    ],
    ids=["before", "half written", "before the rename", "after the rename", "counting"],
)
def test_a_kill_at_any_step_leaves_the_old_one_or_the_new_one(store, directory, step, survives):
    store.put(PLACE, MADE)
    died = run_program(f"{step}\nstore.put(place, Made(b'new', 1.0, 2))", directory)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert store.get(PLACE) == (MADE if survives == "old" else Made(b"new", 1.0, 2))
    assert store.put(PLACE, Made(b"newer"))
    assert store.get(PLACE) == Made(b"newer")
    for path in litter(directory):
        set_age(path, stores._LITTER_AGE_S + 10)
    store.tidy()
    assert not litter(directory)
    assert store.get(PLACE) == Made(b"newer")


def test_a_kill_while_tidying_leaves_a_store_that_works(directory):
    store = IndexStore(directory, max_bytes=40 * 4096)
    for number in range(35):
        store.put(place_of(number), MADE)
    died = run_program(
        "store.max_bytes = 20 * 4096\nstores.os.truncate = die\nstore.tidy()", directory
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(index_files(directory)) == 16
    for number in range(100, 200):
        assert store.put(place_of(number), MADE)
    assert len(index_files(directory)) <= 40
    assert store.get(place_of(199)) == MADE


def test_a_kill_at_a_moment_that_nobody_chose(store, directory):
    program = """
        print("ready", flush=True)
        number = 0
        while True:
            store.put(Place(f"uuid-{number % 20}", "Events"), Made(bytes([number % 251]) * 300_000))
            number += 1
    """
    start = "from beampipe.reading.index import store as stores\n"
    start += "from beampipe.reading.index.shelf import Made, Place\n"
    start += f"store = stores.IndexStore({str(directory)!r})\n"
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", start + textwrap.dedent(program)], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            seen = 0
            while seen < 20:  # it writes, over and over
                seen += sum(store.get(place_of(n)) is not None for n in range(20))
            process.kill()
        for number in range(20):
            found = store.get(place_of(number))
            assert found is None or found.data == found.data[:1] * 300_000


# -- several at once ----------------------------------------------------------------------------


def test_two_processes_write_at_once_and_a_third_reads(store, directory):
    program = f"""
        from beampipe.reading.index import store as stores
        from beampipe.reading.index.shelf import Made, Place
        import sys
        store = stores.IndexStore({str(directory)!r}, max_bytes=64 * 4096)
        for turn in range(40):
            for number in range(8):
                text = sys.argv[1].encode() * 20_000
                assert store.put(Place(f"uuid-{{number}}", "Events"), Made(text, turn, 1))
    """
    writers = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), name]) for name in "ab"
    ]
    wholes = {b"a" * 20_000, b"b" * 20_000}
    seen = 0
    while any(writer.poll() is None for writer in writers):
        for number in range(8):
            found = store.get(place_of(number))
            if found is not None:
                assert found.data in wholes
                seen += 1
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen
    assert not litter(directory)
    assert all(store.get(place_of(number)).data in wholes for number in range(8))


def test_threads_may_use_one_store(store):
    failed = []

    def work(name):
        made = Made(name.encode() * 1000)
        for number in range(30):
            store.put(place_of(number), made)
            found = store.get(place_of(number))
            if found is None or len(set(found.data)) != 1:
                failed.append(found)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


# -- size ---------------------------------------------------------------------------------------


def test_what_was_not_used_longest_goes_first(directory):
    store = IndexStore(directory, max_bytes=20 * 4096)
    for number in range(20):
        store.put(place_of(number), MADE)
        set_age(store._path(place_of(number)), 100_000 - number)
    assert store.get(place_of(0)) == MADE  # used again just now
    store.put(place_of(20), MADE)
    left = [n for n in range(21) if store.get(place_of(n))]
    assert left == [0, *range(6, 21)], "down to four fifths"


@pytest.mark.parametrize("size", [10, 5000, 20_000])
def test_the_store_never_takes_much_more_than_it_may(directory, size):
    most = 60 * 4096
    for number in range(200):  # every one a process of its own, as far as it knows
        store = IndexStore(directory, max_bytes=most)
        assert store.put(place_of(number), Made(bytes(size)))
        used = sum(stores._blocks(path.stat().st_size) for path in index_files(directory))
        assert used * 4096 <= most
    assert store.get(place_of(199)) is not None


def test_not_everything_is_looked_through_at_every_write(directory, monkeypatch):
    store = IndexStore(directory, max_bytes=500 * 4096)
    scans = []
    original = IndexStore._scan

    def scan(self):
        scans.append(1)
        return original(self)

    monkeypatch.setattr(IndexStore, "_scan", scan)
    for number in range(1000):
        store.put(place_of(number), MADE)
    assert len(scans) <= 8


def test_a_lost_or_foreign_tally_is_made_anew(directory):
    store = IndexStore(directory, max_bytes=50 * 4096)
    for number in range(40):
        store.put(place_of(number), MADE)
    (directory / "usage").unlink()
    store.put(place_of(40), MADE)
    assert (directory / "usage").stat().st_size >= 41
    (directory / "usage").write_bytes(b"x" * 10_000)
    store.put(place_of(41), MADE)
    assert (directory / "usage").stat().st_size == 42
    for number in range(100, 150):
        store.put(place_of(number), MADE)
        assert len(index_files(directory)) <= 50


def test_a_store_of_no_size_is_read_only(store, directory):
    store.put(PLACE, MADE)
    nothing = IndexStore(directory, max_bytes=0)
    assert not nothing.put(place_of(1), MADE)
    assert nothing.get(PLACE) == MADE


def test_one_that_would_push_out_the_others_is_not_kept(directory):
    store = IndexStore(directory, max_bytes=80_000)
    assert not store.put(PLACE, Made(bytes(10_000)))
    assert store.put(PLACE, Made(bytes(9_000)))


def test_reading_says_that_it_is_used_but_not_every_time(store, directory):
    store.put(PLACE, MADE)
    path = index_files(directory)[0]
    set_age(path, 60)
    before = path.stat().st_mtime_ns
    store.get(PLACE)
    assert path.stat().st_mtime_ns == before
    set_age(path, stores._TOUCH_EVERY_S + 60)
    store.get(PLACE)
    assert path.stat().st_mtime_ns > before


# -- seen from elsewhere ------------------------------------------------------------------------


def test_a_worker_that_sees_the_store_reads_it_and_never_writes(store):
    store.put(PLACE, MADE)
    seen = open_store(store.place())
    assert seen.get(PLACE) == MADE
    assert not seen.put(place_of(1), MADE)


def test_a_store_keeps_its_token(store, directory):
    place = store.place()
    assert IndexStore(directory).place() == place
    assert IndexStore(directory, max_bytes=0).place() == place


def test_another_store_under_the_same_name_is_not_taken_for_it(store, directory):
    place = store.place()
    (directory / "id").unlink()
    assert open_store(place) is None
    assert store.place().token != place.token
    assert open_store(place) is None
    assert open_store(StorePlace(str(directory / "nowhere"), place.token)) is None


@pytest.mark.parametrize("text", [b"", b"short", "µ".encode() * 16, b"x" * 1000])
def test_a_damaged_token_is_nobodys(store, directory, text):
    place = store.place()
    (directory / "id").write_bytes(text)
    assert open_store(place) is None
    assert open_store(StorePlace(str(directory), text.decode("latin-1"))) is None
    assert store.place() is not None


def test_a_store_that_must_not_be_written_makes_no_token(directory):
    assert IndexStore(directory, max_bytes=0).place() is None
    assert not directory.exists()
