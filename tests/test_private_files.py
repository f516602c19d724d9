"""Files for their owner's eyes."""

from __future__ import annotations

import os

import pytest

from beampipe.private_files import PRIVATE_PROGRAM, make_private_folder, write_private


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_file_is_its_owners_alone(tmp_path):
    path = tmp_path / "key µ.pem"
    path.write_text("old, and open to all")
    write_private(path, "secret")
    assert path.read_text() == "secret"
    assert path.stat().st_mode & 0o777 == 0o600
    write_private(path, b"#!", PRIVATE_PROGRAM)
    assert path.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    write_private(path, "first")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_private(path, "second")
    assert path.read_text() == "first"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.usefixtures("open_umask")
def test_a_folder_is_its_owners_alone(tmp_path):
    make_private_folder(tmp_path / "a")
    make_private_folder(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
