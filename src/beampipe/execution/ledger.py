"""The ledger: numbered, immutable segments, each claimed before it is written.

The claim on the next segment is the token of the driver that holds the run. A driver claims
its first segment when it starts and the next one after every commit, so a second driver (or
one that was stopped and wakes up) meets a claim that exists, and stops. A segment whose
driver was overtaken is marked void by the one that overtook it, and is never counted.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from beampipe.errors import RunHeldError, RunStorageError
from beampipe.execution.partials import Partial
from beampipe.execution.run_directory import RunDirectory, who_am_i
from beampipe.execution.segments import Segment, read_segment, write_segment
from beampipe.execution.storage import create_exclusive, write_json

LEASE_S = 60.0
_HEARTBEAT_S = 10.0


def claim_name(number: int) -> str:
    """The name of a claim file."""
    return f"{number:06d}"


def segment_name(number: int) -> str:
    """The name of a segment file."""
    return f"{number:06d}.zip"


def read_segments(directory: RunDirectory, run_id: str) -> Iterator[Segment]:
    """Go through the segments that count, in their order.

    Torn, foreign, unclaimed and void ones are passed over.
    """
    for path in sorted(directory.segments.glob("[0-9]*.zip")):
        name = path.stem
        claim = directory.claims / name
        if not claim.exists() or (directory.claims / f"{name}.void").exists():
            continue
        segment = read_segment(path, run_id=run_id)
        if segment is not None and segment_name(segment.number) == path.name:
            yield segment


@dataclass(slots=True)
class Ledger:
    """The right to append to one run; there is one holder at a time."""

    directory: RunDirectory
    run_id: str
    driver: str
    _next: int = 0
    _beat: float = field(default=0.0)

    @classmethod
    def take(cls, directory: RunDirectory, *, run_id: str, driver: str) -> Ledger:
        """Become the run's driver.

        Raises
        ------
        RunHeldError
            ``run-held``: another driver is alive, or was quicker.
        """
        check_lease(directory, driver)
        ledger = cls(directory, run_id, driver)
        claimed = [int(path.name) for path in directory.claims.glob("[0-9]*[0-9]")]
        ledger._claim(max(claimed, default=0) + 1)
        # From here on the former driver, if it lives, cannot commit another segment. The one
        # that it may have been writing counts if it is there now, and never if it is not.
        for number in sorted(claimed):
            if read_segment_if_whole(directory, run_id, number) is None:
                void = directory.claims / f"{claim_name(number)}.void"
                create_exclusive(void, json.dumps({"by": driver, **who_am_i()}).encode())
        ledger.heartbeat()
        return ledger

    def _claim(self, number: int) -> None:
        text = json.dumps({**who_am_i(), "driver": self.driver, "time": time.time()})
        path = self.directory.claims / claim_name(number)
        if not create_exclusive(path, text.encode()):
            raise _held(path, "it claimed the next segment first")
        self._next = number

    def commit(self, partial: Partial) -> int:
        """Write one segment, then claim the next.

        Returns
        -------
        int
            The number of the segment.

        Raises
        ------
        RunHeldError
            ``run-held``: another driver has taken the run over; this one must stop.
        RunStorageError
            ``run-storage``: the disk is full, or the like.
        """
        number = self._next
        path = self.directory.segments / segment_name(number)
        write_segment(path, run_id=self.run_id, number=number, partial=partial)
        self._claim(number + 1)
        self.heartbeat()
        return number

    def heartbeat(self) -> None:
        """Say that this driver lives; at most every few seconds."""
        now = time.time()
        if now - self._beat >= _HEARTBEAT_S:
            self._beat = now
            lease = {**who_am_i(), "driver": self.driver, "time": now}
            # The lease is a courtesy; the claims decide, and they tell of a full disk.
            with contextlib.suppress(RunStorageError):
                write_json(self.directory.lease_file, lease)

    def release(self) -> None:
        """Let the next driver in without a wait."""
        lease = _read_lease(self.directory)
        if lease.get("driver") == self.driver:
            self.directory.lease_file.unlink(missing_ok=True)


def read_segment_if_whole(directory: RunDirectory, run_id: str, number: int) -> Segment | None:
    """The segment of this number if it is there and whole."""
    path = directory.segments / segment_name(number)
    return read_segment(path, run_id=run_id) if path.exists() else None


def check_lease(directory: RunDirectory, driver: str) -> None:
    """Leave a run alone whose driver is alive.

    This is a courtesy, and serves the message; what keeps two drivers apart are the claims.

    Raises
    ------
    RunHeldError
        ``run-held``
    """
    lease = _read_lease(directory)
    if lease.get("driver") != driver and is_held(directory):
        age_s = time.time() - float(lease.get("time", 0.0))
        raise _held(directory.lease_file, f"it was last heard of {age_s:.0f} s ago")


def is_held(directory: RunDirectory) -> bool:
    """Whether a driver seems to be at work on the run, here or on another host."""
    lease = _read_lease(directory)
    if not lease:
        return False
    if lease.get("host") == who_am_i()["host"]:
        return psutil.pid_exists(int(lease.get("pid", -1)))
    return time.time() - float(lease.get("time", 0.0)) <= LEASE_S


def _read_lease(directory: RunDirectory) -> dict[str, Any]:
    try:
        lease = json.loads(directory.lease_file.read_bytes())
    except (OSError, ValueError):
        return {}
    return lease if isinstance(lease, dict) else {}


def _held(path: Path, why: str) -> RunHeldError:
    try:
        holder = json.loads(path.read_bytes())
    except (OSError, ValueError):
        holder = {}
    who = f"process {holder.get('pid', '?')} on {holder.get('host', 'an unknown host')}"
    return RunHeldError(
        f"Another driver holds this run: {who}.",
        why=why,
        fix="let it finish or end that process, then `beampipe resume` the run",
        holder=holder,
    )
