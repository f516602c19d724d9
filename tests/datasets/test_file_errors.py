from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from tests.environments import grid
from tests.faults.xrootd_server import XRootDServer

from beampipe.datasets import file_errors
from beampipe.datasets.file_errors import (
    MappedFileErrors,
    check_local_file,
    describe_error,
    explain_beginning,
    explain_file_error,
    find_refusal,
    missing_error,
)
from beampipe.errors import (
    BeampipeError,
    FileAccessError,
    FileEmptyError,
    FileMissingError,
    FileTruncatedError,
    FileUnreadableError,
    NotRootError,
    TreeNotFoundError,
)
from beampipe.testing import tiny_files

FAULTS = Path(__file__).parents[1] / "faults"

HOSTILE = "Z → µµ 'x' \"q\".root"
REMOTE = "https://me:pass@host/a.root?token=abc"


def test_local_files_are_looked_at(tmp_path):
    error = ValueError("something inside uproot")
    whole = tiny_files.write_tree_file(tmp_path / "whole.root")
    cut = tiny_files.write_truncated_file(tmp_path / HOSTILE)
    page = tiny_files.write_text_file(tmp_path / "page.root")
    found = {path: explain_file_error(str(path), error) for path in (whole, cut, page)}
    assert type(found[whole]) is FileUnreadableError
    assert "something inside uproot" in found[whole].why
    assert type(found[cut]) is FileTruncatedError
    assert type(found[page]) is NotRootError
    assert "HTML" in found[page].why
    for path, explained in found.items():
        assert str(path) in explained.message
        assert explained.why
        assert explained.fix


def test_missing_files_name_the_closest(tmp_path):
    tiny_files.write_empty_file(tmp_path / "dimuon_2018.root")
    error = missing_error(str(tmp_path / "dimuon_2081.root"))
    assert "did you mean 'dimuon_2018.root'" in error.why
    assert "no folder" in missing_error("/no/such/folder/a.root").why


def test_a_dangling_link_says_so(tmp_path):
    (tmp_path / "link.root").symlink_to(tmp_path / HOSTILE)
    with pytest.raises(FileMissingError, match="link to"):
        check_local_file(str(tmp_path / "link.root"))


def test_a_name_no_file_system_takes_is_unreadable():
    with pytest.raises(FileUnreadableError, match="too long"):
        check_local_file("/" + "x" * 5000)


@pytest.mark.usefixtures("no_privilege")
def test_a_file_without_permission(tmp_path):
    path = tiny_files.write_tree_file(tmp_path / HOSTILE)
    path.chmod(0)
    with pytest.raises(FileAccessError), MappedFileErrors(str(path)):
        path.open("rb")


def test_a_refused_permission_is_told_apart(tmp_path, monkeypatch):
    path = tiny_files.write_tree_file(tmp_path / HOSTILE)

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(file_errors.Path, "open", refuse)
    error = explain_file_error(str(path), PermissionError())
    assert type(error) is FileAccessError
    assert "Permission denied" in error.why


def header(end, *, big=False):
    import struct

    if big:
        return b"root" + struct.pack(">iiq", 1_062_400, 100, end) + bytes(32)
    return b"root" + struct.pack(">iii", 62400, 100, end) + bytes(32)


@pytest.mark.parametrize("big", [False, True])
def test_a_header_tells_the_size(big):
    assert explain_beginning("/a", header(1000, big=big), size=1000) is None
    assert explain_beginning("/a", header(1000, big=big), size=1001) is None
    assert explain_beginning("/a", header(1000, big=big), size=None) is None
    error = explain_beginning("/a", header(1000, big=big), size=999)
    assert type(error) is FileTruncatedError
    assert "999 bytes" in error.why
    assert "1,000" in error.why


@pytest.mark.parametrize(
    ("beginning", "kind", "word"),
    [
        (b"", FileEmptyError, "zero bytes"),
        (b"root\0\0", FileTruncatedError, "header"),
        (b"ro", NotRootError, "b'ro'"),
        (b"PAR1....", NotRootError, "Parquet"),
        (b"version https://git-lfs.github.com/spec/v1", NotRootError, "git lfs pull"),
        (b"\x89HDF", NotRootError, "HDF5"),
    ],
)
def test_beginnings(beginning, kind, word):
    error = explain_beginning("/a", beginning, size=len(beginning))
    assert type(error) is kind
    assert word in error.why


def raised_from(error, cause):
    error.__cause__ = cause
    return error


class HttpError(Exception):
    def __init__(self, status):
        super().__init__(f"{status}, url='{REMOTE}'")
        self.status = status


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError(REMOTE), FileMissingError),
        (raised_from(FileNotFoundError(REMOTE), HttpError(403)), FileAccessError),
        (raised_from(FileNotFoundError(REMOTE), HttpError(404)), FileMissingError),
        (PermissionError("no"), FileAccessError),
        (ConnectionRefusedError("no"), FileMissingError),
        (TimeoutError(), FileMissingError),
        (ValueError("not a ROOT file: first four bytes are b'<htm'"), NotRootError),
        (OSError("anything"), FileUnreadableError),
        (RecursionError("deep"), FileUnreadableError),
    ],
)
def test_remote_errors_are_told_apart_and_keep_secrets(error, kind):
    explained = explain_file_error(REMOTE, error)
    assert type(explained) is kind
    assert "https://me:***@host/a.root" in str(explained)
    assert "pass" not in str(explained)
    assert "abc" not in str(explained)
    assert str(pickle.loads(pickle.dumps(explained))) == str(explained)


@pytest.mark.parametrize(
    ("url", "package"), [("root://h//a.root", "fsspec-xrootd"), ("s3://b/a.root", "s3fs")]
)
def test_missing_software_is_named(url, package):
    assert package in explain_file_error(url, ImportError("no module")).fix


def test_our_own_errors_and_interrupts_pass():
    ours = TreeNotFoundError("no tree")
    for error in (ours, KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, MappedFileErrors("/nowhere"):
            raise error
        assert caught.value is error


def test_the_cause_is_kept():
    with pytest.raises(BeampipeError) as caught, MappedFileErrors("/nowhere/a.root"):
        raise ValueError("inside")
    assert isinstance(caught.value.__cause__, ValueError)


def test_errors_are_put_in_one_line():
    assert describe_error(ValueError("a\nb")) == "ValueError: a"
    assert describe_error(ValueError()) == "ValueError"
    assert len(describe_error(ValueError("x" * 5000))) <= 300


@pytest.mark.parametrize("end_h", [-1.0, 12.0, None], ids=["expired", "good", "none"])
def test_an_xrootd_server_that_wants_to_know_who_it_is(tmp_path, end_h):
    """The real client says the same of a proxy that has expired and of none; we look."""
    place = tmp_path / "x509up 'µ'"
    if end_h is not None:
        made = grid.proxy(grid.user(), oid=grid.RFC, begin_h=-5, end_h=end_h)
        grid.write(place, made.pem())
    variables = {"X509_USER_PROXY": str(place), "BEARER_TOKEN_FILE": "", "XRD_REQUESTTIMEOUT": "9"}
    with XRootDServer(asks=b"&P=gsi,v:10400,c:ssl,ca:12345678.0\0") as server:
        url = f"{server.url}//error/3011/a.root"
        ran = subprocess.run(
            [sys.executable, FAULTS / "classify_urls.py", url],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    kind, rule, why = json.loads(ran.stdout)[url]
    assert (kind, rule) == ("data", "xrootd-refused")
    assert "No protocols left to try" in why
    assert ("the proxy" in why and "has expired" in why) is (end_h == -1.0)
    assert ("neither a proxy" in why) is (end_h is None)


def test_a_refusal_is_one_only_where_somebody_was_asked():
    for url in ("/local/a.root", "https://door.org/a.root"):
        assert find_refusal(url, OSError("Auth failed")) is None
    assert find_refusal("root://door.org//a.root", OSError("[3011] no such file")) is None


def test_what_is_missing_for_s3_is_said():
    class NoCredentialsError(Exception):
        """As botocore calls it."""

    for error in (NoCredentialsError("Unable to locate credentials"), PermissionError("Forbidden")):
        explained = explain_file_error("s3://bucket/a.root", error)
        assert type(explained) is FileAccessError
        assert "AWS_ACCESS_KEY_ID" in explained.fix
        assert "FSSPEC_S3_ANON" in explained.fix
