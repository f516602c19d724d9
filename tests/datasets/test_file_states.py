from __future__ import annotations

import os
import sys

import pytest

from beampipe.datasets.file_states import FileState, read_file_state
from beampipe.errors import FileEmptyError, FileMissingError, NotRootError
from beampipe.testing import tiny_files

HOSTILE = "Z → µµ 'x' \"q\" #?.root"


def test_a_local_file_is_its_size_and_time(tmp_path):
    path = tiny_files.write_tree_file(tmp_path / HOSTILE)
    state = read_file_state(str(path))
    assert state == FileState(path.stat().st_size, str(path.stat().st_mtime_ns))
    assert state.can_be_remembered
    os.utime(path, ns=(1, 2))
    assert read_file_state(str(path)).stamp == "2"


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileMissingError):
        read_file_state(str(tmp_path / HOSTILE))
    with pytest.raises(NotRootError, match="directory"):
        read_file_state(str(tmp_path))
    os.mkfifo(tmp_path / "pipe.root")
    with pytest.raises(NotRootError, match="pipe"):  # opening it would wait for ever
        read_file_state(str(tmp_path / "pipe.root"))
    with pytest.raises(FileEmptyError):
        read_file_state(str(tiny_files.write_empty_file(tmp_path / "empty.root")))


def test_a_served_file_is_its_size_and_tag(web):
    path = tiny_files.write_tree_file(web.folder / "a b.root")
    state = read_file_state(f"{web.url}/a b.root")
    assert state == FileState(path.stat().st_size, f'ETag="{path.stat().st_mtime_ns}"')


def test_a_served_file_of_no_bytes_is_empty(web):
    tiny_files.write_empty_file(web.folder / "empty.root")
    with pytest.raises(FileEmptyError):
        read_file_state(f"{web.url}/empty.root")


def test_a_file_system_that_tells_no_version_is_not_trusted():
    import fsspec

    with fsspec.open("memory://tiny/a.root", "wb") as file:
        file.write(b"root" * 200)
    state = read_file_state("memory://tiny/a.root")
    assert state == FileState(800, None)
    assert not state.can_be_remembered


def test_fsspec_is_not_loaded_for_local_files(tmp_path):
    import subprocess

    path = tiny_files.write_tree_file(tmp_path / "a.root")
    code = (
        "import sys; from beampipe.datasets.file_states import read_file_state as r;"
        f"r({str(path)!r}); print('fsspec' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
