"""Fake commands of Torque, made from its documentation and its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from beampipe.testing.fake_batch.pbs_server import PbsServer
from beampipe.testing.fake_batch.queue import FakeQueue

COMMANDS: Final[Mapping[str, Callable[[FakeQueue, list[str]], None]]] = PbsServer(
    cores="ppn", ended="C", history=False, exit_status="exit_status", walltime_status=-11
).commands()
