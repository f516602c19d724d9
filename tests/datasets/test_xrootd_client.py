from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.faults.xrootd_server import XRootDServer

from beampipe.datasets import xrootd_client
from beampipe.datasets.xrootd_client import SETTINGS, Request, XRootDError, stat_file

LOOK = """
from XRootD.client import EnvGetInt
from beampipe.datasets.xrootd_client import SETTINGS, tune_client
tune_client()
print({name: EnvGetInt(name) for name in SETTINGS})
"""


def look(**variables):
    plain = {name: text for name, text in os.environ.items() if not name.startswith("XRD_")}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=plain | variables, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return eval(done.stdout)  # noqa: S307 (a dict of ours)


def test_the_settings_hold_but_for_what_the_user_said():
    assert look() == SETTINGS
    assert look(XRD_STREAMERRORWINDOW="77") == SETTINGS | {"StreamErrorWindow": 77}


def test_an_error_of_the_server_is_raised_in_its_words():
    with XRootDServer() as server, pytest.raises(XRootDError, match=r"\[3010\].*own words"):
        stat_file(f"{server.url}//error/3010")


def test_a_server_that_is_not_there_is_an_error_within_the_window(monkeypatch):
    monkeypatch.setitem(xrootd_client.SETTINGS, "ConnectionWindow", 1)
    xrootd_client.tune_client.cache_clear()
    try:
        with pytest.raises(XRootDError, match=r"(?i)connection error|refused"):
            stat_file("root://127.0.0.1:9//a.root")
    finally:
        monkeypatch.undo()
        xrootd_client.tune_client.cache_clear()
        xrootd_client.tune_client()


def test_what_is_never_answered_ends(monkeypatch):
    xrootd_client.tune_client()
    monkeypatch.setattr(xrootd_client, "_LATE_S", 0.1)
    monkeypatch.setattr("XRootD.client.EnvGetInt", lambda _: 0)

    class Status:
        ok = True

    with pytest.raises(TimeoutError):
        Request(lambda *_, callback: callback and Status()).result()


def test_what_is_refused_at_once_is_an_error_too():
    class Status:
        ok, message = False, "[FATAL] Invalid address "

    with pytest.raises(XRootDError, match="XRootD: .FATAL. Invalid address$"):
        Request(lambda *_, callback: callback and Status()).result()
