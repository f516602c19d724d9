import subprocess
import sys

import pytest

from beampipe.runs import fork_server
from beampipe.runs.early import early_workers


@pytest.mark.skipif(sys.platform != "linux", reason="there is a fork server on Linux only")
def test_there_is_a_fork_server_while_the_block_lasts():
    with early_workers(None):
        assert fork_server.is_warm()
        with early_workers(2):
            pass
        assert fork_server.is_warm()
    assert not fork_server.is_warm()


def test_whoever_wants_no_workers_gets_none(monkeypatch):
    with early_workers(0):
        assert not fork_server.is_warm()
    monkeypatch.setenv("BEAMPIPE_WORKERS", "0")
    with early_workers(None):
        assert not fork_server.is_warm()
    if sys.platform == "linux":
        with early_workers(1):  # the argument is stronger
            assert fork_server.is_warm()


def test_a_mistake_ends_it():
    with pytest.raises(ZeroDivisionError), early_workers(None):
        raise ZeroDivisionError
    assert not fork_server.is_warm()


def test_it_comes_before_everything_that_takes_long():
    code = """
import sys
from beampipe.runs.early import early_workers
heavy = {"numpy", "pydantic", "dask", "distributed", "awkward", "uproot", "coffea", "hist"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
