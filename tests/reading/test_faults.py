from __future__ import annotations

import pickle
import zlib
from types import SimpleNamespace

import pytest
from tests.environments import grid

from beampipe.error_kinds import classify_error
from beampipe.errors import ChunkUnreadableError, FileMissingError
from beampipe.reading.faults import MappedReadErrors, find_read_error


def opened(url="/data/Z µµ.root", *, is_local=True):
    return SimpleNamespace(url=url, is_local=is_local, is_suspect=False)


def test_a_foreign_error_becomes_one_that_names_file_column_and_entries():
    tree = opened()
    context = MappedReadErrors(tree, entries=(100, 160), column="Muon_pt")
    with pytest.raises(ChunkUnreadableError) as caught, context:
        raise zlib.error("Error -3 while decompressing")
    error = caught.value
    assert tree.is_suspect
    assert isinstance(error.__cause__, zlib.error)
    assert (error.column, error.start, error.stop, error.url) == ("Muon_pt", 100, 160, tree.url)
    assert "Error -3" in error.why
    assert classify_error(error).kind == "data"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.column) == (str(error), "Muon_pt")


def test_a_secret_in_a_url_is_not_told():
    tree = opened("https://me:s3cret@host/a.root?token=t0ken", is_local=False)
    with pytest.raises(ChunkUnreadableError) as caught, MappedReadErrors(tree, entries=(0, 1)):
        raise OSError("https://me:s3cret@host/a.root?token=t0ken timed out")
    told = repr(vars(caught.value)) + str(caught.value)
    assert "s3cret" not in told
    assert "t0ken" not in told
    assert classify_error(caught.value).kind == "transient"


@pytest.mark.parametrize("error", [FileMissingError("no file"), MemoryError(), KeyboardInterrupt()])
def test_our_own_errors_and_this_machines_pass(error):
    tree = opened()
    with pytest.raises(type(error)) as caught, MappedReadErrors(tree, entries=(0, 1)):
        raise error
    assert caught.value is error
    assert not tree.is_suspect


@pytest.mark.parametrize(
    ("error", "url", "remedy"),
    [
        (TimeoutError(), "/nfs/a.root", "try again later"),
        (ConnectionResetError(), "https://door.org/a.root", "try again later"),
        (OSError("[ERROR] Operation expired"), "root://door.org//a.root", "try again later"),
        (OSError(24, "Too many open files"), "/data/a.root", "ulimit"),
        (zlib.error(), "/data/a.root", "make the file again"),
    ],
)
def test_the_remedy_is_that_of_the_kind_of_error(error, url, remedy):
    tree = opened(url, is_local=url[0] == "/")
    with pytest.raises(ChunkUnreadableError) as caught, MappedReadErrors(tree, entries=(0, 1)):
        raise error
    assert remedy in caught.value.fix


def raised_from(error, cause, *, explicit=True):
    try:
        try:
            raise cause
        except type(cause) as caught:
            if explicit:
                raise error from caught
            raise error  # noqa: B904  the context only
    except type(error) as caught:
        return caught


def test_a_read_error_is_found_behind_what_wraps_it():
    broken = ChunkUnreadableError("broken")
    wrapped = raised_from(AttributeError("while trying to get field 'Muon'"), broken)
    assert find_read_error(wrapped) is broken
    assert find_read_error(raised_from(ValueError(), wrapped, explicit=False)) is broken
    assert find_read_error(broken) is broken


def test_a_processors_own_error_is_not_taken_for_one():
    assert find_read_error(ZeroDivisionError()) is None
    assert find_read_error(raised_from(ValueError(), KeyError("x"))) is None
    dismissed = raised_from(ValueError(), ChunkUnreadableError("dealt with"), explicit=False)
    dismissed.__suppress_context__ = True  # raise ... from None
    assert find_read_error(dismissed) is None
    loop = ValueError()
    loop.__context__ = KeyError()
    loop.__context__.__context__ = loop
    assert find_read_error(loop) is None


def test_a_proxy_that_ended_while_the_file_was_read(tmp_path, monkeypatch):
    made = grid.proxy(grid.user(), oid=grid.RFC, begin_h=-5, end_h=-1)
    monkeypatch.setenv("X509_USER_PROXY", str(grid.write(tmp_path / "x509up", made.pem())))
    tree = opened("root://door.org//a.root", is_local=False)
    with pytest.raises(ChunkUnreadableError) as caught, MappedReadErrors(tree, entries=(0, 1)):
        raise OSError("[FATAL] Auth failed: No protocols left to try")
    error = caught.value
    assert "has expired" in error.why
    assert "No protocols left" in error.why
    assert "voms-proxy-init" in error.fix
    assert classify_error(error).rule == "xrootd-refused"
