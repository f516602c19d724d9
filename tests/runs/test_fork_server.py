import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver

import psutil
import pytest

from beampipe.runs import fork_server
from beampipe.runs.fork_server import (
    added_environment,
    is_warm,
    shielded_from_interrupt,
    warm_fork_server,
)

SETTINGS = {"BEAMPIPE_TEST_PAD": "1"}


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """What is imported does not matter here."""
    monkeypatch.setattr(fork_server, "_PRELOAD", ["json"])
    yield
    fork_server._stop()


def server():
    return psutil.Process(fork_server._pid())


def test_it_lives_as_long_as_the_block():
    assert not is_warm()
    with warm_fork_server(SETTINGS):
        assert is_warm()
        process = server()
        end = time.monotonic() + 5
        while process.environ().get("BEAMPIPE_TEST_PAD") != "1":  # it was forked just now
            assert time.monotonic() < end
        with warm_fork_server(SETTINGS):
            assert server() == process
        assert is_warm()
    assert not is_warm()
    assert not process.is_running()
    assert "BEAMPIPE_TEST_PAD" not in os.environ


def test_kept_it_serves_the_next_block():
    with warm_fork_server(SETTINGS, keep=True):
        process = server()
    assert is_warm()
    with warm_fork_server(SETTINGS, keep=True):
        assert server() == process


@pytest.mark.parametrize("change", ["environment", "path", "folder"])
def test_it_is_started_anew_when_workers_would_inherit_something_else(
    change, monkeypatch, tmp_path
):
    with warm_fork_server(SETTINGS, keep=True):
        process = server()
    if change == "environment":
        monkeypatch.setenv("X509_USER_PROXY", "/tmp/x509up_u1000")
    elif change == "path":
        monkeypatch.syspath_prepend(tmp_path)
    else:
        monkeypatch.chdir(tmp_path)
    with warm_fork_server(SETTINGS, keep=True):
        assert server() != process
        assert not process.is_running()


def test_an_error_in_the_block_ends_it():
    processes = []

    def fail():
        with warm_fork_server(SETTINGS):
            processes.append(server())
            raise ValueError("no such fileset")

    with pytest.raises(ValueError, match="no such fileset"):
        fail()
    assert not processes[0].is_running()


def test_somebody_elses_is_left_alone():
    forkserver.ensure_running()
    process = server()
    try:
        with warm_fork_server(SETTINGS):
            assert not is_warm()
        assert process.is_running()
    finally:
        forkserver._forkserver._stop()


def test_no_fork_where_the_system_does_not_bear_it(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with warm_fork_server(SETTINGS):
        assert not is_warm()


def test_a_path_too_long_for_a_socket(monkeypatch, tmp_path):
    def refuse():
        raise OSError("AF_UNIX path too long")

    monkeypatch.setattr(forkserver, "ensure_running", refuse)
    with warm_fork_server(SETTINGS):
        assert not is_warm()


def test_the_environment_is_as_it_was(monkeypatch):
    monkeypatch.setenv("MINE", "kept")
    monkeypatch.delenv("ADDED", raising=False)
    with added_environment({"MINE": "yours", "ADDED": "1"}):
        assert os.environ["MINE"] == "kept"
        assert os.environ["ADDED"] == "1"
        os.environ["ADDED"] = os.environ["MINE"] = "Dask's"
        os.environ["OTHER"] = "set meanwhile"
    assert os.environ["MINE"] == "kept"
    assert "ADDED" not in os.environ
    assert os.environ.pop("OTHER") == "set meanwhile"


def test_ctrl_c_does_not_reach_what_is_started():
    with shielded_from_interrupt():
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    sleeper.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        sleeper.wait(0.5)
    sleeper.kill()
    sleeper.wait()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
