"""Who is at work on a run, as far as one can tell: a courtesy, and what messages are made of.

What keeps two drivers apart are the claims (see `ledger`). The lease keeps one from taking a
run away from another that lives.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beampipe.errors import RunHeldError, RunStorageError
from beampipe.execution.run_directory import RunDirectory
from beampipe.execution.storage import load_sealed, write_json
from beampipe.process_identity import is_alive, is_known_here, is_this_process, who_am_i

LEASE_S = 60.0
_HEARTBEAT_S = 10.0
_WRITING_S = 2.0


@dataclass(slots=True, weakref_slot=True)
class Lease:
    """One driver's word that it is at work on a run."""

    directory: RunDirectory
    driver: str
    _beat: float | None = None

    def heartbeat(self) -> None:
        """Say that this driver lives; at most every few seconds."""
        _AT_WORK[self.driver] = self
        # Not by the clock on the wall: one that is set back would keep the driver silent.
        now = time.monotonic()
        if self._beat is None or now - self._beat >= _HEARTBEAT_S:
            self._beat = now
            lease = {**who_am_i(), "driver": self.driver, "time": time.time()}
            # The claims decide, and they tell of a full disk.
            with contextlib.suppress(RunStorageError):
                write_json(self.directory.lease_file, lease)

    def release(self) -> None:
        """Let the next driver in without a wait."""
        _AT_WORK.pop(self.driver, None)
        if read_object(self.directory.lease_file).get("driver") == self.driver:
            with contextlib.suppress(OSError):  # it runs out by itself
                self.directory.lease_file.unlink()


# A lease that could not be taken away (the disk was read-only by then) would lock a notebook out
# of its own run for as long as its kernel lives; but a process knows which drivers it runs.
_AT_WORK: weakref.WeakValueDictionary[str, Lease] = weakref.WeakValueDictionary()


def check_lease(directory: RunDirectory, driver: str) -> None:
    """Leave a run alone whose driver is alive.

    Raises
    ------
    RunHeldError
        ``run-held``
    """
    lease = read_object(directory.lease_file)
    if lease.get("driver") != driver and is_held(directory):
        age_s = time.time() - _number(lease.get("time"))
        why = f"it was last heard of {age_s:.0f} s ago"
        if not is_known_here(lease):
            why += f"; from here one cannot see whether it lives, so {LEASE_S:.0f} s are waited"
        raise held_by(directory.lease_file, why)


def is_held(directory: RunDirectory) -> bool:
    """Whether a driver seems to be at work on the run, here or on another host."""
    lease = read_object(directory.lease_file)
    if not lease:
        return False
    if is_known_here(lease):
        return _is_driver_alive(lease)
    # A clock that goes wrong by more than that must not lock a run up for ever.
    return abs(time.time() - _number(lease.get("time"))) <= LEASE_S


def _is_driver_alive(lease: Mapping[str, Any]) -> bool:
    """Whether the process lives; of this one's drivers it is known which are at work."""
    if is_this_process(lease):
        return lease.get("driver") in _AT_WORK
    return is_alive(lease)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def read_object(path: Path) -> dict[str, Any]:
    """What a claim or lease says; empty where it is torn, damaged or not there."""
    try:
        return load_sealed(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}


def held_by(path: Path, why: str) -> RunHeldError:
    """The error that names who made a claim or lease."""
    deadline = time.monotonic() + _WRITING_S
    while not (holder := read_object(path)) and path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)  # it exists, and its maker is just writing who it is
    who = f"process {holder.get('pid', '?')} on {holder.get('host', 'an unknown host')}"
    return RunHeldError(
        f"Another driver holds this run: {who}.",
        why=why,
        fix="let it finish or end that process, then `beampipe resume` the run",
        holder=holder,
    )
