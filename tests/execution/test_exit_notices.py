"""What a nanny tells of its worker's end, without a nanny; with one in test_recovery_deaths."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed.core import Status

from beampipe.execution.breadcrumbs import Crumbs
from beampipe.execution.exit_notices import (
    ExitNotices,
    from_json,
    read_notice,
    to_json,
    write_notice,
)
from beampipe.execution.pool import Crumb

HOSTILE = Crumb(3, ("µ' \udcff\n", 2**40), ("", "Jet \udc80", '"'))


@pytest.mark.parametrize("begun", [None, (), (HOSTILE,), (HOSTILE, HOSTILE)])
def test_a_notice_says_what_it_was_given(begun):
    crumbs = Crumbs(Path("x"), 1, has_nanny=True, begun=begun)
    notice = write_notice("tcp://a:1", {"exit_code": -9}, crumbs)
    notice["beampipe"].encode("ascii")  # what the scheduler's messages can hold
    assert read_notice(notice) == ("tcp://a:1", {"exit_code": -9}, begun)
    assert from_json(to_json(crumbs)).has_nanny


def test_a_worker_without_crumbs_is_one_of_whom_nobody_knows():
    assert read_notice(write_notice("tcp://a:1", {}, None)) == ("tcp://a:1", {}, None)


def test_what_is_no_notice_is_refused():
    for message in ({}, {"beampipe": "{"}, None, {"beampipe": "{}"}):
        with pytest.raises((ValueError, KeyError, TypeError)):
            read_notice(message)


class FakeNanny:
    """A nanny whose worker's process ends when a test says so."""

    def __init__(self):
        self.told = []
        self.status = Status.running
        self.worker_address = None  # so a nanny that closes has nobody to ask
        self.start_worker("tcp://a:1")
        self.memory_manager = SimpleNamespace(memory_limit=1000, _last_terminated_pid=-1)

    def start_worker(self, address):
        inner = SimpleNamespace(pid=os.getpid(), exitcode=None)
        self.process = SimpleNamespace(process=inner, status=Status.running, worker_address=address)

    def log_event(self, topic, message):
        self.told.append((topic, read_notice(message)))


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("waited in vain")


def watch(story):
    async def run():
        nanny, plugin = FakeNanny(), ExitNotices("beampipe-1")
        plugin.setup(nanny)
        try:
            await story(nanny)
        finally:
            await plugin.teardown(nanny)

    asyncio.run(run())


async def die(nanny, code):
    await asyncio.sleep(0.5)  # it looks ten times a second
    nanny.process.process.exitcode = code
    nanny.process.process = None if code == "gone" else nanny.process.process


def test_every_worker_is_told_once_and_the_next_one_is_watched():
    async def story(nanny):
        await die(nanny, -11)
        await until(lambda: len(nanny.told) == 1)
        nanny.start_worker("tcp://a:2")
        await die(nanny, 255)
        await until(lambda: len(nanny.told) == 2)
        (topic, first), (_, second) = nanny.told
        assert topic == "beampipe-1-exits"
        assert first[:1] + first[2:] == ("tcp://a:1", None)
        assert first[1]["exit_code"] == -11
        assert first[1]["memory_bytes"] > 0
        assert first[1]["memory_limit_bytes"] == 1000
        assert second[0] == "tcp://a:2"
        assert second[1]["exit_code"] is None  # Dask's word for: nobody knows

    watch(story)


def test_a_worker_that_ends_before_anybody_looks_is_told_all_the_same():
    async def story(nanny):
        nanny.process.status, nanny.process.worker_address = Status.starting, "tcp://a:0"
        await asyncio.sleep(0.3)
        nanny.process.worker_address = "tcp://a:1"
        nanny.process.process.exitcode = 3
        await until(lambda: len(nanny.told) == 1)
        ((_, (worker, seen, _)),) = nanny.told
        assert (worker, seen["exit_code"]) == ("tcp://a:1", 3)

    watch(story)


def test_a_worker_that_never_came_up_is_not_told():
    async def story(nanny):
        nanny.process.status = Status.starting
        await die(nanny, 1)
        nanny.start_worker("tcp://a:2")
        await die(nanny, 2)
        await until(lambda: nanny.told)
        assert [worker for _, (worker, *_) in nanny.told] == ["tcp://a:2"]

    watch(story)


def test_a_fault_of_ours_is_logged_and_the_nanny_lives(caplog):
    async def story(nanny):
        nanny.process = 3
        await until(lambda: "cannot see how the worker" in caplog.text)
        nanny.start_worker("tcp://a:1")
        await die(nanny, 1)
        await until(lambda: nanny.told)

    watch(story)


def test_it_never_restarts_a_worker():
    assert ExitNotices("beampipe-1").restart is False
