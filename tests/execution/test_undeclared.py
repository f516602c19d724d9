"""Files that are opened on the way."""

import json
import os
import threading
from pathlib import Path

import pytest

from beampipe.execution.undeclared import watch_opens


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "pile µp.json"
    path.write_text("1")
    return path


def test_a_file_that_is_read_is_noted(table, tmp_path, monkeypatch):
    found = set()
    monkeypatch.chdir(tmp_path)
    with watch_opens(found):
        assert json.loads(table.read_text()) == 1
        os.close(os.open(os.fsencode("pile µp.json"), os.O_RDONLY))
        os.chdir("/")
    assert found == {str(table)}


def test_what_is_given_written_missing_or_part_of_python_is_not(table, tmp_path):
    found = set()
    kept = [tmp_path / name for name in ("code.py", "0a1b.column", "2c3d.index")]
    for path in kept:
        path.write_text("")
    with watch_opens(found, given=[str(table)]):
        table.read_text()
        (tmp_path / "out.txt").write_text("x")
        for path in kept:
            path.read_text()
        with pytest.raises(FileNotFoundError):
            (tmp_path / "missing").read_text()
        for path in ("/proc/self/status", os.devnull, json.__file__):
            Path(path).open().close()
    assert found == set()


def test_other_threads_and_other_times_are_not_watched(table):
    found = set()
    table.read_text()
    with watch_opens(found):
        thread = threading.Thread(target=table.read_text)
        thread.start()
        thread.join()
    table.read_text()
    with watch_opens(found, is_on=False):
        table.read_text()
    assert found == set()


def test_an_error_ends_the_watch(table):
    found = set()
    with pytest.raises(ValueError), watch_opens(found):  # noqa: PT011 (of int)
        int(table.read_text() + "x")
    assert found == {str(table)}
    table.read_text()
