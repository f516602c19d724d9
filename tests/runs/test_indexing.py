from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from beampipe.datasets.fileset import read_fileset
from beampipe.datasets.planning import make_plan
from beampipe.errors import ArgumentError, WorkerDiedError
from beampipe.reading.index.encoding import decode_index
from beampipe.reading.index.shelf import Made, Place
from beampipe.reading.index.store import IndexStore
from beampipe.runs.fork_server import warm_fork_server
from beampipe.runs.indexing import (
    estimate_cost,
    find_store,
    index_file,
    list_files,
    make_desk,
    make_indexes,
)
from beampipe.settings import load_settings
from beampipe.testing import tiny_files
from beampipe.worker_environment import ENVIRONMENT

HOSTILE = "Z → µµ 'x' \"q\" 100% #1 [a].root"


@pytest.fixture
def store(tmp_path):
    return IndexStore(tmp_path / "indexes")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "da ta"


@pytest.fixture(scope="module", autouse=True)
def fork_server():
    """One for all tests: each would wait for its imports."""
    with warm_fork_server(ENVIRONMENT):
        yield


def files_of(fileset):
    return list_files(make_plan(read_fileset(fileset), chunksize=100))


def write_many(folder: Path, count: int = 8) -> dict[Place, object]:
    for number in range(count):
        tiny_files.write_tree_file(folder / f"{number} {HOSTILE}", events=10 + number)
    return files_of(str(folder))


class PatientStore(IndexStore):
    """Says that it was reached, and waits; in a process of its own."""

    def put(self, place, made):
        Path(self.directory, f"reached {os.getpid()}").touch()
        while not Path(self.directory, "go on").exists():
            time.sleep(0.01)
        return super().put(place, made)


class DeadlyStore(IndexStore):
    """Takes a process down that brings a certain tree."""

    def put(self, place, made):
        if place.treename == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().put(place, made)


def wait_until(condition):
    for _ in range(9000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to that")


@pytest.mark.parametrize("treename", ["Events", "ntuples/Events", "a/b/c/Ev ents"])
def test_the_index_of_a_file_is_found_under_what_the_plan_calls_it(folder, store, treename):
    tiny_files.write_tree_file(folder / HOSTILE, treename=treename)
    ((place, entry),) = files_of(str(folder)).items()
    made = index_file(entry, store)
    assert made.is_kept
    assert made.error is None
    kept = store.get(place)
    assert (len(kept.data), kept.seconds, kept.n_bytes) == (
        made.size_bytes,
        made.seconds,
        made.read_bytes,
    )
    assert made.seconds > 0
    assert made.read_bytes > 0
    index = decode_index(kept.data)
    assert (index.uuid, index.treename, index.entries) == (*place, 100)


def test_an_rntuple_has_an_index_too(folder, store):
    tiny_files.write_rntuple_file(folder / "n.root")
    ((place, entry),) = files_of(str(folder)).items()
    assert index_file(entry, store).is_kept
    assert decode_index(store.get(place).data).kind == "RNTuple"


def test_a_file_that_was_replaced_since_it_was_counted_is_not_indexed(folder, store):
    path = tiny_files.write_tree_file(folder / HOSTILE)
    ((place, entry),) = files_of(str(folder)).items()
    path.unlink()
    tiny_files.write_tree_file(path)
    made = index_file(entry, store)
    assert made.error.code == "reading-file-changed"
    assert not made.is_kept
    assert store.get(place) is None


def test_a_file_in_two_datasets_is_one_file(folder):
    tiny_files.write_tree_file(folder / "a.root")
    assert len(files_of({"DY": str(folder), "again": str(folder)})) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_all_files_are_indexed_in_their_order(folder, store, workers):
    files = write_many(folder)
    told = []
    made = make_indexes(
        list(files.values()), store, workers=workers, on_progress=lambda *some: told.append(some)
    )
    assert [one.entry for one in made] == list(files.values())
    assert all(one.is_kept for one in made)
    assert told == [(n, 8) for n in range(1, 9)]
    assert store.find_known(files) == set(files)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_cannot_be_indexed_does_not_stop_the_others(folder, store, workers):
    files = write_many(folder, 9)
    bad = list(files.values())[3]
    tiny_files.write_damaged_file(bad.urls[0])
    made = make_indexes(list(files.values()), store, workers=workers)
    failed = [one for one in made if one.error is not None]
    assert [one.entry for one in failed] == [bad]
    assert len(store.find_known(files)) == 8


def test_a_file_that_kills_is_named_and_the_others_are_indexed(folder, tmp_path):
    write_many(folder)
    tiny_files.write_tree_file(folder / "zz.root", treename="deadly")
    files = files_of(str(folder))
    store = DeadlyStore(tmp_path / "indexes")
    made = make_indexes(list(files.values()), store, workers=2)
    failed = [one for one in made if one.error is not None]
    assert [one.entry.treename for one in failed] == ["deadly"]
    assert isinstance(failed[0].error, WorkerDiedError)
    assert "zz.root" in str(failed[0].error)
    assert len(made) == 9
    assert len(store.find_known(files)) == 8


def test_ctrl_c_ends_the_processes_and_keeps_what_was_made(folder, tmp_path):
    files = write_many(folder, 12)
    store = PatientStore(tmp_path / "indexes")
    store.directory.mkdir()
    first, *others = files.values()
    IndexStore(store.directory).put(Place(first.uuid, first.treename), Made(b"before"))
    reached = []

    def interrupt():
        wait_until(lambda: len(list(store.directory.glob("reached *"))) == 2)
        reached.extend(store.directory.glob("reached *"))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        make_indexes(others, store, workers=2)
    thread.join()
    wait_until(lambda: not multiprocessing.active_children())
    for path in reached:
        pid = int(path.name.split()[1])
        wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists())
    assert store.find_known(files) == {Place(first.uuid, first.treename)}


def test_processes_end_when_their_parent_is_killed(folder, tmp_path):
    write_many(folder)
    store = PatientStore(tmp_path / "indexes")
    store.directory.mkdir()
    program = f"""
        import sys
        sys.path.insert(0, {str(Path.cwd())!r})
        from tests.runs.test_indexing import PatientStore, files_of, make_indexes
        files = files_of({str(folder)!r})
        make_indexes(list(files.values()), PatientStore({str(store.directory)!r}), workers=2)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)]) as parent:
        wait_until(lambda: len(list(store.directory.glob("reached *"))) == 2)
        parent.kill()
    for path in store.directory.glob("reached *"):
        pid = int(path.name.split()[1])
        wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists())


def test_where_none_are_kept_none_are_made(folder, tmp_path):
    files = write_many(folder, 1)
    with pytest.raises(ArgumentError, match="index_cache"):
        make_indexes(list(files.values()), IndexStore(tmp_path, max_bytes=0))


def test_a_full_store_is_told(folder, tmp_path):
    files = write_many(folder, 1)
    (made,) = make_indexes(list(files.values()), IndexStore(tmp_path / "i", max_bytes=100))
    assert made.error is None
    assert not made.is_kept


# -- what it costs ------------------------------------------------------------------------------


def plan_of(folder):
    return make_plan(read_fileset(str(folder)), chunksize=100)


def test_nothing_is_estimated_before_anything_is_known(folder, store):
    write_many(folder, 3)
    cost = estimate_cost(plan_of(folder), store)
    assert (cost.files, cost.indexed, cost.missing) == (3, 0, 3)
    assert (cost.samples, cost.seconds, cost.read_bytes, cost.size_bytes) == (0, None, None, None)


def test_the_estimate_is_the_median_of_what_it_took(folder, store):
    places = list(write_many(folder, 6))
    for place, seconds, size in zip(places, (1.0, 2.0, 30.0), (10, 20, 300), strict=False):
        store.put(place, Made(bytes(size), seconds, 100 * size))
    store.put(places[3], Made(b"sent by a worker that measured nothing"))
    cost = estimate_cost(plan_of(folder), store)
    assert (cost.files, cost.indexed, cost.missing, cost.samples) == (6, 4, 2, 3)
    assert (cost.seconds, cost.read_bytes, cost.size_bytes) == (4.0, 4000, 40)


def test_where_all_have_one_it_costs_nothing(folder, store):
    for place in write_many(folder, 2):
        store.put(place, Made(b"x", 1.0, 1))
    cost = estimate_cost(plan_of(folder), store)
    assert (cost.missing, cost.seconds) == (0, None)


# -- settings -----------------------------------------------------------------------------------


def test_the_settings_say_where_and_how_much(tmp_path):
    settings = load_settings(cache_dir=tmp_path, index_cache="5 MB")
    store = find_store(settings)
    assert store.directory == tmp_path / "metadata" / "indexes-v1"
    assert store.max_bytes == 5_000_000
    assert make_desk(settings).place.directory == str(store.directory)


def test_switched_off_there_is_no_desk(tmp_path):
    assert make_desk(load_settings(cache_dir=tmp_path, index_cache="off")) is None
