import errno
import hashlib
import json
import os

import pytest

from beampipe.errors import (
    NotARunError,
    RunDirectoryExistsError,
    RunFormatError,
    RunStorageError,
)
from beampipe.execution.run_directory import (
    RunDirectory,
    create_run_directory,
    open_run_directory,
)

RUN = {"run_id": "1", "name": "Z → µµ", "created": "2026-11-20", "beampipe": "0.1"}


def create(path, **changes):
    return create_run_directory(path, run=RUN | changes, plan={"µ": 1}, processor=b"pickle")


def test_a_run_is_made_and_found_again(tmp_path):
    path = tmp_path / "new" / "Z → µµ 'x' \"q\""
    made = create(path)
    found, data = open_run_directory(path)
    assert found == made == RunDirectory(path)
    digests = {
        name: hashlib.sha256((path / name).read_bytes()).hexdigest()
        for name in ("plan.json", "processor.pkl")
    }
    assert data == {"format": "beampipe-run", "version": 1, **RUN, "sha256": digests}
    assert json.loads(made.plan_file.read_bytes()) == {"µ": 1}
    assert made.processor_file.read_bytes() == b"pickle"
    assert {entry.name for entry in path.iterdir()} == {
        "claims",
        "segments",
        "run.json",
        "plan.json",
        "processor.pkl",
    }
    names = (made.lease_file, made.outcome_file, made.result_file)
    assert [file.name for file in names] == ["lease.json", "outcome.json", "result.zip"]


def test_nobody_else_may_write_whatever_the_umask(tmp_path):
    before = os.umask(0o000)
    try:
        made = create(tmp_path / "run")
    finally:
        os.umask(before)
    for path in (made.path, made.claims, made.segments, made.run_file, made.plan_file):
        assert not path.stat().st_mode & 0o022, path
    assert made.processor_file.stat().st_mode & 0o777 == 0o600


def test_an_empty_directory_can_be_used(tmp_path):
    create(tmp_path)
    open_run_directory(tmp_path)


def test_a_run_is_not_written_over(tmp_path):
    create(tmp_path / "run", name="first")
    with pytest.raises(RunDirectoryExistsError, match="beampipe resume"):
        create(tmp_path / "run", name="second")
    assert open_run_directory(tmp_path / "run")[1]["name"] == "first"


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_something_else_is_not_written_over(tmp_path, kind):
    path = tmp_path / "thesis"
    path.mkdir() if kind == "folder" else path.write_text("x")
    content = path / "chapter.tex" if kind == "folder" else path
    content.write_text("x")
    with pytest.raises(RunDirectoryExistsError, match="something else"):
        create(path)
    assert content.read_text() == "x"


def test_two_runs_in_one_empty_directory_do_not_mix(tmp_path, monkeypatch):
    """The second one looked when the first had not begun to write."""
    create(tmp_path, name="first")
    monkeypatch.setattr(type(tmp_path), "iterdir", lambda _: iter(()))
    with pytest.raises(RunDirectoryExistsError):
        create(tmp_path, name="second")
    assert open_run_directory(tmp_path)[1]["name"] == "first"


@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize("file", ["processor.pkl", "plan.json", "run.json"])
def test_a_full_disk_leaves_nothing_in_the_way(tmp_path, monkeypatch, file, existed):
    path = tmp_path / "run"
    if existed:
        path.mkdir()
    replace = os.replace

    def fail(source, target):
        if str(target).endswith(file):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(RunStorageError, match="the disk is full"):
            create(path)
    assert list(tmp_path.rglob("*")) == ([path] if existed else [])
    create(path)


def test_no_permission_is_said(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "mkdir", fail)
    with pytest.raises(RunStorageError, match="permission denied"):
        create(tmp_path / "run")


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(NotARunError, match="no such directory"):
        open_run_directory(tmp_path / "nowhere")
    with pytest.raises(NotARunError, match=r"run\.json"):
        open_run_directory(tmp_path)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(NotARunError, match="Not a directory"):
        open_run_directory(file)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "\xff",
        '{"format": "beampipe-run", "version": 1}',
        '{"format": "beampipe-run", "version": 1, "run_id": 7, "name": "", "created": ""}',
    ],
)
def test_a_run_json_that_makes_no_sense_is_no_run(tmp_path, text):
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(NotARunError):
        open_run_directory(tmp_path)


@pytest.mark.parametrize("change", [{"version": 2}, {"version": "1"}, {"format": "other"}])
def test_another_format_names_its_writer(tmp_path, change):
    made = create(tmp_path / "run")
    data = json.loads(made.run_file.read_bytes()) | change | {"beampipe": "9.9"}
    made.run_file.write_text(json.dumps(data))
    with pytest.raises(RunFormatError, match=r"written by Beampipe 9\.9"):
        open_run_directory(made.path)
