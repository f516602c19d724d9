"""Word of the chunk under way: read after any death, never misread, and never in the way."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beampipe.execution import breadcrumbs
from beampipe.execution.breadcrumbs import (
    drop_crumbs,
    open_crumbs,
    read_crumbs,
    sweep_crumbs,
)
from beampipe.execution.pool import Crumb

PREFIX, WORKER = "beampipe-0123abcd", "tcp://127.0.0.1:4711"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Files of these tests lie here, not among those of a run."""
    here = tmp_path / f"beampipe-{os.geteuid()}"
    monkeypatch.setattr(breadcrumbs, "_folders", lambda: iter([here]))
    return here


@pytest.fixture
def crumbs():
    file = open_crumbs(PREFIX, WORKER, 2, has_nanny=True)
    yield file
    file.close()


def begun():
    found = read_crumbs(PREFIX, WORKER)
    assert found is not None
    return found.begun


def test_what_is_under_way_is_told_with_the_last_columns(crumbs):
    assert begun() == ()
    with crumbs.trail() as trail:
        assert begun() == ()
        trail.begin(7, ("uuid-1", 3))
        assert begun() == (Crumb(7, ("uuid-1", 3)),)
        for i in range(20):
            trail.read(f"column_{i}")
        assert begun() == (Crumb(7, ("uuid-1", 3), tuple(f"column_{i}" for i in range(12, 20))),)
        trail.end()
        assert begun() == ()
        trail.read("a column that was asked for too late")
        assert begun() == ()
        trail.begin(7, ("uuid-1", 4))
        assert begun() == (Crumb(7, ("uuid-1", 4)),)
    assert begun() == ()


def test_each_thread_has_its_own(crumbs):
    with crumbs.trail() as one, crumbs.trail() as two:
        one.begin(1, ("a", 0))
        two.begin(2, ("b", 1))
        assert set(begun()) == {Crumb(1, ("a", 0)), Crumb(2, ("b", 1))}
        one.end()
        assert begun() == (Crumb(2, ("b", 1)),)


def test_more_bundles_than_lines_make_it_say_nothing_rather_than_half(crumbs):
    trails = [crumbs.trail() for _ in range(11)]
    for number, trail in enumerate(trails):
        trail.__enter__().begin(number, ("a", number))
    assert begun() is None
    for trail in trails:
        trail.__exit__(None, None, None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    uuid=st.text(st.characters(), max_size=300),
    k=st.integers(0, 2**40),
    columns=st.lists(st.text(st.characters(), max_size=200), max_size=12),
)
def test_any_name_comes_back_or_nothing_does(crumbs, uuid, k, columns):
    with crumbs.trail() as trail:
        trail.begin(1, (uuid, k))
        for column in columns:
            trail.read(column)
        found = begun()
    if len(uuid.encode("utf-8", "surrogatepass")) > 512:
        assert found is None
        return
    (crumb,) = found
    assert crumb.chunk == (uuid, k)
    assert len(crumb.columns) == min(len(columns), 8)
    for told, column in zip(crumb.columns, columns[-8:], strict=True):
        said = column.encode("utf-8", "replace")[:120]
        assert told == said.decode("utf-8", "replace")


def test_a_line_that_is_damaged_anywhere_is_never_misread(crumbs):
    with crumbs.trail() as trail:
        trail.begin(5, ("xyz", 9))
        trail.read("Jet_pt")
        (truth,) = begun()
        data = crumbs.path.read_bytes()
        start = data.index(b"xyz") - 25
        for place in range(start, data.index(b"Jet_pt") + 6):
            for flip in (1, 0x80, 0xFF):
                damaged = bytearray(data)
                damaged[place] ^= flip
                crumbs.path.write_bytes(damaged)
                assert begun() is None, f"byte {place - start} flipped by {flip}"
        crumbs.path.write_bytes(data)
        assert begun() == (truth,)


def test_a_file_that_is_cut_anywhere_is_never_misread(crumbs):
    with crumbs.trail() as trail:
        trail.begin(5, ("xyz", 9))
        truth = begun()
        data = crumbs.path.read_bytes()
        for length in [*range(data.index(b"xyz") + 3), *range(1024, len(data), 2048)]:
            crumbs.path.write_bytes(data[:length])
            found = read_crumbs(PREFIX, WORKER)
            # What is cut before the first line is the file of a worker that cannot say.
            assert found is None or found.begun is None, length
        crumbs.path.write_bytes(data)
        assert begun() == truth


def test_a_torn_line_is_not_taken_for_the_one_before(crumbs):
    with crumbs.trail() as trail:
        trail.begin(5, ("a-long-uuid-of-the-chunk-before", 9))
        before = crumbs.path.read_bytes()
        trail.begin(6, ("b", 1))
        after = crumbs.path.read_bytes()
        changed = [i for i, (x, y) in enumerate(zip(before, after, strict=True)) if x != y]
        for cut in range(changed[0] + 1, changed[-1] + 1):
            crumbs.path.write_bytes(after[:cut] + before[cut:])
            assert begun() in (None, (Crumb(6, ("b", 1)),))
        crumbs.path.write_bytes(after)


HERE = """
import os, sys, time
from pathlib import Path
from beampipe.execution import breadcrumbs
breadcrumbs._folders = lambda: iter([Path(sys.argv[1])])
crumbs = breadcrumbs.open_crumbs(sys.argv[2], sys.argv[3], 1, has_nanny=False)
with crumbs.trail() as trail:
    trail.begin(12, ("uuid", 34))
    trail.read("Muon_pt")
    print("here", flush=True)
    time.sleep(600)
"""


def start_worker(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", HERE, str(folder), PREFIX, WORKER], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"here\n"
    return process


def end(process, number=signal.SIGKILL):
    process.send_signal(number)
    process.communicate(timeout=120)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_it_outlives_the_process(folder, number):
    process = start_worker(folder)
    end(process, number)
    found = read_crumbs(PREFIX, WORKER)
    assert found.pid == process.pid
    assert found.begun == (Crumb(12, ("uuid", 34), ("Muon_pt",)),)
    assert not found.has_nanny
    assert read_crumbs(PREFIX, WORKER, pid=process.pid) == found
    assert read_crumbs(PREFIX, WORKER, pid=process.pid + 1) is None
    assert read_crumbs(PREFIX, "tcp://127.0.0.1:4712") is None
    assert read_crumbs("beampipe-other", WORKER) is None
    drop_crumbs(found)
    assert read_crumbs(PREFIX, WORKER) is None


def test_the_dead_one_is_meant_where_another_worker_has_its_address(folder, crumbs):
    dead = start_worker(folder)
    assert read_crumbs(PREFIX, WORKER) is None  # both are there: nobody can say which is meant
    end(dead)
    assert read_crumbs(PREFIX, WORKER).pid == dead.pid


def test_stale_files_are_swept_and_others_left(folder, crumbs):
    dead, alive = start_worker(folder), start_worker(folder)
    end(dead)
    sweep_crumbs()
    assert len(list(folder.iterdir())) == 3  # too young
    sweep_crumbs(stale_s=-1)
    assert {path.name.split("-")[1] for path in folder.iterdir()} == {
        f"{os.getpid()}.crumbs",
        f"{alive.pid}.crumbs",
    }
    end(alive)


def test_the_file_goes_with_the_last_bundle(crumbs, folder):
    with crumbs.trail() as trail:
        trail.begin(1, ("a", 0))
        crumbs.close()
        crumbs.close()
        assert begun() == (Crumb(1, ("a", 0)),)
        with crumbs.trail() as none:
            none.begin(2, ("b", 0))
    assert not list(folder.iterdir())


def test_the_folder_is_private(crumbs, folder):
    assert folder.stat().st_mode & 0o777 == 0o700
    assert crumbs.path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_others_can_write_or_have_put_there_is_not_used(tmp_path, monkeypatch):
    shared, link = tmp_path / "shared", tmp_path / "link"
    shared.mkdir()
    shared.chmod(0o777)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    link.symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(breadcrumbs, "_folders", lambda: iter([shared, link]))
    assert open_crumbs(PREFIX, WORKER, 1, has_nanny=False) is None
    assert read_crumbs(PREFIX, WORKER) is None
    assert not list(shared.iterdir())
    assert not list((tmp_path / "elsewhere").iterdir())
    monkeypatch.setattr(breadcrumbs, "_folders", lambda: iter([shared, tmp_path / "own"]))
    file = open_crumbs(PREFIX, WORKER, 1, has_nanny=False)
    assert file.path.parent == tmp_path / "own"
    file.close()


def test_a_full_file_system_costs_only_the_crumbs(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(breadcrumbs.os, "write", refuse)
    assert open_crumbs(PREFIX, WORKER, 1, has_nanny=False) is None
    monkeypatch.undo()
    monkeypatch.setattr(breadcrumbs, "_folders", lambda: iter([tmp_path / "own"]))
    file = open_crumbs(PREFIX, WORKER, 1, has_nanny=False)
    monkeypatch.setattr(breadcrumbs.os, "pwrite", refuse)
    with file.trail() as trail:
        trail.begin(1, ("a", 0))
        trail.read("b")
        trail.end()
    file.close()


def test_columns_may_be_read_from_other_threads(crumbs):
    with crumbs.trail() as trail:
        trail.begin(1, ("a", 0))

        def read():
            for i in range(300):
                trail.read(f"{threading.get_ident()}_{i}")

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (crumb,) = begun()
        assert crumb.chunk == ("a", 0)


def test_where_the_files_of_a_real_run_lie():
    """Not a folder that Dask deletes, and the same one for every process of the host."""
    program = "from beampipe.execution import breadcrumbs; print(*breadcrumbs._folders())"
    said = [
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert said[0] == said[1]
    assert all(Path(place).name == f"beampipe-{os.geteuid()}" for place in said[0].split())


def test_a_crumb_costs_microseconds(crumbs):
    """Measured at about 2 µs; the limit only says that nothing slow crept in."""
    with crumbs.trail() as trail:
        begin = time.perf_counter()
        for i in range(1000):
            trail.begin(1, ("0123456789abcdef", i))
            trail.end()
        assert time.perf_counter() - begin < 10
