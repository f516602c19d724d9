import errno
import os
import threading
from pathlib import Path

import pytest

from beampipe.errors import NotARunError, RunDirectoryExistsError, RunStorageError
from beampipe.execution.run_directory import create_run_directory
from beampipe.execution.runs_index import find_run, list_runs, new_run_directory, run_root

RUN = {"run_id": "1", "name": "n", "created": "c"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    path = tmp_path / "runs 'µ'"
    monkeypatch.setenv("BEAMPIPE_RUN_ROOT", str(path))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def make_run(root):
    def make(name, age=0):
        path = root / name
        create_run_directory(path, run=RUN, plan={}, processor=b"")
        os.utime(path / "run.json", (1e9 - age, 1e9 - age))
        return path

    return make


def test_runs_are_listed_by_age_and_other_things_are_not(root, make_run):
    assert list(list_runs()) == []
    newer, older = make_run("b", age=1), make_run("c", age=2)
    make_run("a", age=0)
    (root / "no run").mkdir()
    (root / "file").write_text("")
    assert list(list_runs())[:2] == [older, newer]
    assert len(list(list_runs(root))) == 3
    assert run_root() == root


def test_a_run_is_found_by_path_name_and_latest(root, make_run, monkeypatch):
    old, new = make_run("20261120-old", age=5), make_run("20261121-Z → µµ")
    assert find_run("20261120-old") == old
    assert find_run(new) == find_run(str(new)) == new
    assert find_run("latest") == new
    monkeypatch.chdir(old)
    assert find_run(".").resolve() == old
    assert find_run(Path("../20261121-Z → µµ")).resolve() == new


def test_a_run_that_is_called_latest_is_meant_by_its_name(make_run):
    named = make_run("latest", age=9)
    make_run("other")
    assert find_run("latest") == named


@pytest.mark.parametrize("text", ["nothing", "x" * 5000, "a\0b", "~nobody-of-this-name/x", ""])
def test_what_is_no_run(root, text):
    with pytest.raises(NotARunError, match="`beampipe runs`"):
        find_run(text)


def test_latest_of_none_is_no_run(root):
    with pytest.raises(NotARunError):
        find_run("latest")


def test_the_closest_names_are_offered(make_run):
    make_run("20261120-dimuon")
    with pytest.raises(NotARunError, match="did you mean 20261120-dimuon"):
        find_run("20261120-dimoun")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dimuon", "dimuon"),
        ("Z → µµ 'x' \"q\"", "Z-µµ-x-q"),
        ("../../etc", "etc"),
        ("<lambda>", "lambda"),
        ("", "run"),
        ("...", "run"),
        ("x" * 300, "x" * 50),
        ("µ" * 300, "µ" * 50),
    ],
)
def test_names_of_new_runs_sort_and_are_harmless(root, name, expected):
    path = new_run_directory(name)
    assert path.parent == root
    stamp, _, rest = path.name[9:].partition("-")
    assert path.name[:8].isdigit()
    assert len(stamp) == 6
    assert rest == expected
    create_run_directory(path, run=RUN, plan={}, processor=b"")


def test_runs_that_begin_in_the_same_second_each_have_their_own(root):
    found = []
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        found.append(new_run_directory("same"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8
    for path in found:
        create_run_directory(path, run=RUN, plan={}, processor=b"")
        with pytest.raises(RunDirectoryExistsError):
            create_run_directory(path, run=RUN, plan={}, processor=b"")


def test_a_root_that_cannot_be_made_is_said(root, monkeypatch):
    root.write_text("a file")
    with pytest.raises(RunStorageError):
        new_run_directory("x")

    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    root.unlink()
    monkeypatch.setattr(os, "mkdir", fail)
    with pytest.raises(RunStorageError, match="the disk is full"):
        new_run_directory("x")
