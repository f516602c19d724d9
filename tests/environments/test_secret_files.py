from __future__ import annotations

import os

import pytest

from beampipe import errors
from beampipe.environments.secret_files import check_private, describe_time, read_file


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret µ 'x'"
    path.write_text("s")
    path.chmod(0o600)
    return path


def test_a_file_is_read_with_how_it_lies_there(secret):
    data, found = read_file(secret, what="token")
    assert (data.reveal(), found.st_mode & 0o777) == (b"s", 0o600)


def test_what_is_no_file_is_closed_again(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    opened, closed = [], []
    really_open, really_close = os.open, os.close
    monkeypatch.setattr(os, "open", lambda *how: opened.append(really_open(*how)) or opened[-1])
    monkeypatch.setattr(os, "close", lambda number: closed.append(number) or really_close(number))
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(errors.CredentialInvalidError, match="cannot be used as a token"):
            read_file(path, what="token")
    with pytest.raises(errors.CredentialMissingError, match="There is no token at"):
        read_file(tmp_path / "none", what="token")
    assert opened
    assert set(opened) <= set(closed)


def test_for_its_owner_alone(secret, monkeypatch):
    check_private(secret, 0o400, os.geteuid(), what="key")
    for mode in (0o604, 0o640, 0o610):
        with pytest.raises(errors.CredentialUnsafeError, match="Others have access to the key"):
            check_private(secret, mode, os.geteuid(), what="key")
    with pytest.raises(errors.CredentialUnsafeError):
        check_private(secret, 0o600, os.geteuid() + 1, what="key")


def test_times_are_told_as_people_do():
    assert [describe_time(s) for s in (59, 3599, 3600, 100000)] == [
        "0 min", "59 min", "1 h 0 min", "27 h 46 min",
    ]  # fmt: skip
