"""Fake commands of PBS Pro, made from its documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from beampipe.testing.fake_batch.pbs_server import PbsServer
from beampipe.testing.fake_batch.queue import FakeQueue

COMMANDS: Final[Mapping[str, Callable[[FakeQueue, list[str]], None]]] = PbsServer(
    cores="ncpus", ended="F", history=True, exit_status="Exit_status", walltime_status=-29
).commands()
