import errno
import json
import os
import subprocess
import sys

import pytest

from beampipe.errors import RunDirectoryExistsError, RunStorageError
from beampipe.execution.storage import (
    create_exclusive,
    dump_json,
    open_atomic,
    storage_errors,
    sync_directory,
    write_atomic,
    write_json,
)


def raising(fault):
    """A stand-in for any call of the operating system, that fails."""

    def fail(*args, **kwargs):
        error = FAULTS[fault]()
        raise error

    return fail


FAULTS = {
    "ENOSPC": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "EACCES": lambda: PermissionError(errno.EACCES, "Permission denied"),
    "EDQUOT": lambda: OSError(errno.EDQUOT, "Disk quota exceeded"),
    "EIO": lambda: OSError(errno.EIO, "Input/output error"),
    "no errno": lambda: OSError("the server said no"),
    "kill": lambda: SystemExit("killed"),
    "Ctrl-C": KeyboardInterrupt,
}
WHY = {
    "ENOSPC": "the disk is full",
    "EACCES": "permission denied",
    "EDQUOT": "your quota is used up",
    "EIO": "Input/output error",
    "no errno": "the server said no",
}
STEPS = ("open", "write", "fsync", "replace")


@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", FAULTS)
def test_at_every_fault_the_old_or_nothing_is_there(monkeypatch, tmp_path, fault, step, existed):
    path = tmp_path / "Z → µµ 'x' \"q\".json"
    if existed:
        path.write_bytes(b"old")

    def write():
        with open_atomic(path) as stream:
            stream.write(b"new" * 100_000)
            if step == "write":
                raising(fault)()

    with monkeypatch.context() as patch:
        if step != "write":
            patch.setattr(os, step, raising(fault))
        expected = RunStorageError if fault in WHY else BaseException
        with pytest.raises(expected) as caught:
            write()
    if fault in WHY:
        assert caught.value.why == WHY[fault]
        assert str(path) in caught.value.message
    else:
        assert not isinstance(caught.value, Exception)
    assert [entry.name for entry in tmp_path.iterdir()] == ([path.name] if existed else [])
    assert not existed or path.read_bytes() == b"old"


def test_a_cleaning_up_that_fails_too_does_not_hide_the_first_error(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    def write():
        with open_atomic(tmp_path / "x"):
            monkeypatch.setattr(os, "unlink", fail)
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunStorageError, match="the disk is full"):
        write()


def test_a_name_is_there_only_when_all_of_it_is(tmp_path):
    path = tmp_path / "value"
    with open_atomic(path) as stream:
        stream.write(b"half")
        stream.flush()
        assert not path.exists()
        assert all(entry.name.startswith(".") for entry in tmp_path.iterdir())
    assert path.read_bytes() == b"half"


def test_a_killed_writer_leaves_nothing_under_the_name(tmp_path):
    path = tmp_path / "value"
    code = (
        "import os, sys; from pathlib import Path\n"
        "from beampipe.execution.storage import open_atomic\n"
        "with open_atomic(Path(sys.argv[1])) as stream:\n"
        "    stream.write(b'half'); stream.flush(); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == -9
    assert not path.exists()
    write_atomic(path, b"whole")
    assert path.read_bytes() == b"whole"


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("µ" * 127)
    write_atomic(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(RunStorageError, match="No such file"):
        write_atomic(tmp_path / "nowhere" / "x", b"")


def test_our_own_errors_pass_although_some_are_oserrors(tmp_path):
    def raise_ours():
        with storage_errors(tmp_path):
            raise RunDirectoryExistsError("there already")

    with pytest.raises(RunDirectoryExistsError):
        raise_ours()


def test_nobody_else_may_write_whatever_the_umask(tmp_path):
    before = os.umask(0o000)
    try:
        write_atomic(tmp_path / "a", b"")
        write_atomic(tmp_path / "private", b"", mode=0o600)
        create_exclusive(tmp_path / "b", b"")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"a": 0o644, "private": 0o600, "b": 0o644}


def test_the_first_one_has_it(tmp_path):
    path = tmp_path / "claim"
    assert create_exclusive(path, b"first")
    assert not create_exclusive(path, b"second")
    assert path.read_bytes() == b"first"


@pytest.mark.parametrize("fault", WHY)
def test_a_claim_that_cannot_be_written_is_an_error(monkeypatch, tmp_path, fault):
    path = tmp_path / "claim"

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", raising(fault))
        with pytest.raises(RunStorageError):
            create_exclusive(path, b"data")
    # It exists, and that is what counts: others must not take it.
    assert not create_exclusive(path, b"other")


@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_folder_that_cannot_be_synced_is_no_error(monkeypatch, tmp_path, call):
    def fail(*args, **kwargs):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, call, fail)
    sync_directory(tmp_path)


def test_json_reads_back_even_with_names_that_are_no_utf8(tmp_path):
    data = {"µ": ["Z → µµ", os.fsdecode(b"/data/\xff.root")]}
    write_json(tmp_path / "x.json", data)
    assert json.loads((tmp_path / "x.json").read_bytes()) == data
    assert "µ".encode() in dump_json({"µ": 1})
    assert json.loads(dump_json({"a": {1}})) == {"a": "{1}"}
