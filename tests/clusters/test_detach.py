"""Processes that stay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from beampipe.clusters.detach import start_detached


def test_a_process_is_nobodys_child_and_writes_into_its_log(tmp_path):
    log = tmp_path / "log µ"
    code = (
        "import json, os, sys; print(json.dumps([os.getpid(), os.getsid(0), os.getppid(), "
        "sys.stdin.read(), os.getcwd()])); print('trouble', file=sys.stderr)"
    )
    pid = start_detached([sys.executable, "-c", code], log)
    give_up = time.monotonic() + 120
    while psutil.pid_exists(pid) and time.monotonic() < give_up:
        time.sleep(0.02)
    first, second = log.read_text().splitlines()
    if first == "trouble":
        first, second = second, first
    told_pid, session, parent, stdin, _ = json.loads(first)
    assert told_pid == session == pid
    assert parent != os.getpid()
    assert stdin == ""
    assert second == "trouble"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_log_that_cannot_be_written_starts_nothing(tmp_path):
    pid = start_detached([sys.executable, "-c", ""], tmp_path / "no" / "log")
    give_up = time.monotonic() + 120
    while psutil.pid_exists(pid):
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_without_a_starter_there_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(subprocess.CalledProcessError):
        start_detached(["x"], tmp_path / "log")
