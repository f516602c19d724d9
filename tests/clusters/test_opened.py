"""Clusters that are open once they are made."""

from __future__ import annotations

import asyncio

import pytest
from distributed.core import Status

from beampipe.clusters.opened import OpenedCluster


class Door(OpenedCluster):
    """A cluster that notes what becomes of it, and may not open."""

    def __init__(self, *, is_stuck=False, asynchronous=False):
        self.told, self._is_stuck = [], is_stuck
        super().__init__(asynchronous=asynchronous, quiet=True, name="door")
        DOORS.append(self)
        self._open()

    async def _start(self):
        self.told.append("start")
        if self._is_stuck:
            raise ValueError("it is stuck")
        self.status = Status.running

    async def _close(self):
        self.told.append("close")
        self.status = Status.closed


DOORS: list[Door] = []


def test_it_is_open_once_it_is_made():
    door = Door()
    assert door.told == ["start"]
    door.close()
    assert door.told == ["start", "close"]


def test_in_async_code_it_is_opened_by_await():
    async def story():
        door = Door(asynchronous=True)
        assert door.told == []
        async with door as opened:
            assert opened is door
            await door
            assert door.told == ["start"]
        return door.told

    assert asyncio.run(story()) == ["start", "close"]


def test_one_that_does_not_open_is_closed():
    with pytest.raises(ValueError, match="stuck"):
        Door(is_stuck=True)
    assert DOORS[-1].told == ["start", "close"]

    async def story():
        await Door(is_stuck=True, asynchronous=True)

    with pytest.raises(ValueError, match="stuck"):
        asyncio.run(story())
    assert DOORS[-1].told == ["start", "close"]
