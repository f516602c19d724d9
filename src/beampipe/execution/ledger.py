"""The ledger: numbered, immutable segments, each claimed before it is written.

The claim on the next segment is the token of the driver that holds the run. A driver claims
its first segment when it starts and the next one after every commit, so a second driver (or
one that was stopped and wakes up) meets a claim that exists, and stops. A segment whose
driver was overtaken is marked void by the one that overtook it, and is never counted. Marks
are never taken away.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from beampipe.errors import RunHeldError, RunStorageError
from beampipe.execution.partials import Partial
from beampipe.execution.run_directory import RunDirectory, who_am_i
from beampipe.execution.segments import Segment, read_segment, write_segment
from beampipe.execution.storage import create_exclusive, dump_json, write_json

LEASE_S = 60.0
_HEARTBEAT_S = 10.0
# Clocks are set now and then, and the time when a process began moves with them.
_SAME_BEGIN_S = 60.0


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
    for number in _numbers(directory.segments, ".zip"):
        name = claim_name(number)
        claim = directory.claims / name
        if not claim.exists() or _void_mark(directory, number).exists():
            continue
        segment = read_segment_if_whole(directory, run_id, number)
        if segment is not None:
            yield segment


def _numbers(folder: Path, suffix: str = "") -> list[int]:
    """The numbers for which a folder has a file, in their order."""
    stems = (path.name.removesuffix(suffix) for path in folder.glob(f"[0-9]*{suffix}"))
    return sorted({int(stem) for stem in stems if stem.isascii() and stem.isdecimal()})


def _void_mark(directory: RunDirectory, number: int) -> Path:
    return directory.claims / f"{claim_name(number)}.void"


def read_segment_if_whole(directory: RunDirectory, run_id: str, number: int) -> Segment | None:
    """The segment of this number if it is there and whole."""
    path = directory.segments / segment_name(number)
    segment = read_segment(path, run_id=run_id) if path.exists() else None
    return segment if segment is not None and segment.number == number else None


@dataclass(slots=True)
class Ledger:
    """The right to append to one run; there is one holder at a time."""

    directory: RunDirectory
    run_id: str
    driver: str
    _next: int = 0
    _is_used: bool = False
    _beat: float = field(default=0.0)

    @classmethod
    def take(cls, directory: RunDirectory, *, run_id: str, driver: str) -> Ledger:
        """Become the run's driver.

        What is to be done may be found out only afterwards: until now others could commit.

        Raises
        ------
        RunHeldError
            ``run-held``: another driver is alive, or was quicker.
        RunStorageError
            ``run-storage``: the directory cannot be written.
        """
        check_lease(directory, driver)
        ledger = cls(directory, run_id, driver)
        claimed = _numbers(directory.claims)
        own = max(claimed, default=0) + 1
        ledger._claim(own)
        # From here on the former driver, if it lives, cannot commit another segment. The one
        # that it may have been writing counts if it is there now, and never if it is not.
        claimants = _read_claimants(directory, [*claimed, own])
        for number in claimed:
            mark = _void_mark(directory, number)
            if not mark.exists() and not (
                (number + 1 == own or _is_undisputed(number, claimants))
                and read_segment_if_whole(directory, run_id, number)
            ):
                create_exclusive(mark, dump_json({"by": driver, **who_am_i()}))
        ledger.heartbeat()
        return ledger

    def _claim(self, number: int) -> None:
        path = self.directory.claims / claim_name(number)
        claim = {**who_am_i(), "driver": self.driver, "time": time.time()}
        is_new = create_exclusive(path, dump_json(claim))
        # One's own claim is met again when a commit was interrupted right after it.
        if not is_new and _read_object(path).get("driver") != self.driver:
            raise _held(path, "it claimed the next segment first")
        self._next, self._is_used = number, False

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
        if self._is_used:  # the last commit failed on the way
            self._claim(self._next + 1)
        # Whatever happens now, nothing is ever written under this number again.
        number, self._is_used = self._next, True
        path = self.directory.segments / segment_name(number)
        write_segment(path, run_id=self.run_id, number=number, partial=partial)
        self._claim(number + 1)
        self.heartbeat()
        return number

    def confirm(self) -> None:
        """Make sure that nobody has taken the run over; one with nothing to commit has not heard.

        Raises
        ------
        RunHeldError
            ``run-held``: another driver has; how the run ends is for that one to tell.
        """
        path = self.directory.claims / claim_name(max(_numbers(self.directory.claims), default=0))
        if _read_object(path).get("driver", self.driver) != self.driver:
            raise _held(path, "it claimed the next segment first")

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
        if _read_object(self.directory.lease_file).get("driver") == self.driver:
            with contextlib.suppress(OSError):  # it runs out by itself
                self.directory.lease_file.unlink()


def _read_claimants(directory: RunDirectory, numbers: Iterable[int]) -> dict[int, Any]:
    """Who claimed each of these numbers."""
    claimants: dict[int, Any] = {}
    for number in numbers:
        claim = _read_object(directory.claims / claim_name(number))
        # Empty where the claimant was killed, or found the disk full, in that very moment. As
        # a rule that is the one who made the claim before.
        claimants[number] = claim.get("driver", claimants.get(number - 1))
    return claimants


def _is_undisputed(number: int, claimants: Mapping[int, Any]) -> bool:
    """Whether none of those who took the run over since may still void a segment.

    One that took over, saw no segment yet, and was stopped before it made its mark, may make
    it when it wakes up. Where that is possible the segment is better void at once, for all.
    """
    following = claimants.get(number + 1)
    return (
        following == claimants[number]  # its driver went on: it is whole, for everyone
        or following == claimants.get(number + 2)  # who took over has committed, so had looked
    )


def last_driver(directory: RunDirectory) -> str | None:
    """Who made the last claim; None where nobody can say."""
    number = max(_numbers(directory.claims), default=0)
    driver = _read_object(directory.claims / claim_name(number)).get("driver")
    return driver if isinstance(driver, str) else None


def check_lease(directory: RunDirectory, driver: str) -> None:
    """Leave a run alone whose driver is alive.

    This is a courtesy, and serves the message; what keeps two drivers apart are the claims.

    Raises
    ------
    RunHeldError
        ``run-held``
    """
    lease = _read_object(directory.lease_file)
    if lease.get("driver") != driver and is_held(directory):
        age_s = time.time() - _number(lease.get("time"))
        raise _held(directory.lease_file, f"it was last heard of {age_s:.0f} s ago")


def is_held(directory: RunDirectory) -> bool:
    """Whether a driver seems to be at work on the run, here or on another host."""
    lease = _read_object(directory.lease_file)
    if not lease:
        return False
    if lease.get("host") == who_am_i()["host"]:
        return _is_alive(lease)
    # A clock that goes wrong by more than that must not lock a run up for ever.
    return abs(time.time() - _number(lease.get("time"))) <= LEASE_S


def _is_alive(lease: Mapping[str, Any]) -> bool:
    """Whether the process lives, and is not another one that was given its number."""
    try:
        process = psutil.Process(int(_number(lease.get("pid", -1))))
        begun = process.create_time()
        is_ended = process.status() == psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True
    except (psutil.Error, ValueError, OverflowError):
        return False
    return not is_ended and abs(begun - _number(lease.get("begun", begun))) <= _SAME_BEGIN_S


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _read_object(path: Path) -> dict[str, Any]:
    """What a claim or lease says; empty where it is torn or not there."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _held(path: Path, why: str) -> RunHeldError:
    holder = _read_object(path)
    who = f"process {holder.get('pid', '?')} on {holder.get('host', 'an unknown host')}"
    return RunHeldError(
        f"Another driver holds this run: {who}.",
        why=why,
        fix="let it finish or end that process, then `beampipe resume` the run",
        holder=holder,
    )
