from __future__ import annotations

import asyncio
import resource

import pytest
from distributed import Scheduler

from beampipe.clusters import descriptors
from beampipe.clusters.descriptors import count_served, make_room, raise_limit

# Tornado leaves a socket to the garbage collector whose port was taken.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def limits(monkeypatch):
    """The limits of a process that is not this one."""
    there = {"now": (1_024, 20_000)}

    def change(_which, pair):
        there["now"] = pair

    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _which: there["now"])
    monkeypatch.setattr(descriptors.resource, "setrlimit", change)
    return there


def test_the_limit_is_raised_to_what_the_system_allows(limits):
    assert raise_limit() == 20_000
    assert limits["now"] == (20_000, 20_000)


def test_no_limit_is_not_taken_by_its_word(limits):
    limits["now"] = (1_024, resource.RLIM_INFINITY)
    assert raise_limit() == 131_072
    assert limits["now"] == (131_072, resource.RLIM_INFINITY)


@pytest.mark.parametrize("soft", [200_000, resource.RLIM_INFINITY])
def test_a_limit_is_never_lowered(limits, soft):
    limits["now"] = (soft, resource.RLIM_INFINITY)
    assert raise_limit() >= 131_072
    assert limits["now"] == (soft, resource.RLIM_INFINITY)


def test_twenty_thousand_files_do_for_some_eight_thousand_workers(limits):
    assert 8_000 < count_served() < 9_000
    limits["now"] = (1_024, 1_024)
    assert 300 < count_served() < 400


def test_the_scheduler_keeps_few_connections_for_calls(limits):
    async def story():
        scheduler = Scheduler(port=0, dashboard=False)
        make_room(scheduler)
        async with scheduler:
            return scheduler.rpc.limit, scheduler.rpc.semaphore._value

    limit, free = asyncio.run(story())
    assert limit == 2_500
    assert free <= limit
