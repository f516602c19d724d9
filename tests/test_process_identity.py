"""Which process something belongs to. What runs make of it: tests/execution/test_lease.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import psutil

from beampipe.process_identity import is_alive, is_known_here, is_this_process, who_am_i


def test_a_process_is_named_so_that_its_number_may_be_used_again():
    me = who_am_i()
    assert me["host"] == socket.gethostname()
    assert me["pid"] == os.getpid()
    assert me["begun"] == psutil.Process().create_time()
    if sys.platform == "linux":
        assert me["ticks"] > 0
        assert "pid:[" in me["kernel"]


def test_this_process_lives_and_is_this_one():
    assert is_known_here(who_am_i())
    assert is_alive(who_am_i())
    assert is_this_process(who_am_i())


def test_one_that_has_ended_is_dead():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    ended = who_am_i() | {"pid": process.pid}
    assert not is_alive(ended)
    assert not is_this_process(ended)


def test_a_number_that_was_given_again_is_another_process():
    assert not is_alive(who_am_i() | {"ticks": 1})
    without_ticks = {"host": socket.gethostname(), "pid": os.getpid(), "begun": 1000.0}
    assert not is_alive(without_ticks)


def test_of_another_host_or_boot_nothing_is_known():
    assert not is_known_here(who_am_i() | {"host": "elsewhere"})
    assert not is_known_here(who_am_i() | {"kernel": "another boot"})
    assert not is_known_here({})


def test_what_makes_no_sense_is_dead():
    for pid in ("x", -3, None, 2**80):
        assert not is_alive({"pid": pid})
