from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from beampipe.reading import kept_files
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
    monkeypatch.setattr(kept_files, "_MOST_ASKED", most_asked)
    monkeypatch.setattr(stores, "read_file", None)
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


# -- trouble with the disk ----------------------------------------------------------------------


def test_a_file_in_the_place_of_the_folder_makes_nothing_fail(tmp_path):
    (tmp_path / "file").write_text("mine")
    store = IndexStore(tmp_path / "file")
    assert not store.put(PLACE, MADE)
    assert store.get(PLACE) is None
    assert store.place() is None
    assert store.find_known([PLACE]) == set()


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


def test_a_store_of_no_size_is_read_only(store, directory):
    store.put(PLACE, MADE)
    nothing = IndexStore(directory, max_bytes=0)
    assert not nothing.put(place_of(1), MADE)
    assert nothing.get(PLACE) == MADE


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
