"""Which process something belongs to, told so that another host or a later boot is not fooled."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

# Clocks are set now and then, and the time when a process began moves with them.
_SAME_BEGIN_S = 60.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")


def who_am_i() -> dict[str, Any]:
    """Host and process, as records name them."""
    return identify(os.getpid())


def identify(pid: int) -> dict[str, Any]:
    """Name a process of this host.

    Process numbers are used again, so the time when the process began belongs to its name:
    for people, and in ticks since the kernel's start, which no setting of clocks moves. A number
    means something only in the `kernel` (boot, and container) that gave it.
    """
    try:
        begun = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        begun = 0.0  # it has ended already: no other is like it
    me = {"host": socket.gethostname(), "pid": pid, "begun": begun}
    kernel, ticks = _kernel(), _read_ticks(pid)
    return {**me, "kernel": kernel, "ticks": ticks} if kernel and ticks else me


@functools.cache
def _kernel() -> str:
    """What process numbers belong to: a boot of a machine, and a container on it."""
    try:
        return f"{_BOOT_ID.read_text().strip()} {_PROCESSES.readlink()}"
    except OSError:  # not a Linux
        return ""


def _read_ticks(pid: int) -> int | None:
    """When a process began, in clock ticks since the kernel's start."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def is_known_here(identity: Mapping[str, Any]) -> bool:
    """Whether its process number means something here: same host, and not another container."""
    kernel = identity.get("kernel")
    is_host = identity.get("host") == socket.gethostname()
    return is_host and (not kernel or kernel == _kernel())


def is_alive(identity: Mapping[str, Any]) -> bool:
    """Whether the process lives, and is not another one that was given its number.

    Only where it `is_known_here`.
    """
    try:
        process = psutil.Process(int(_number(identity.get("pid", -1))))
        is_ended = process.status() == psutil.STATUS_ZOMBIE
        return _is_same(process, identity) and not is_ended
    except psutil.AccessDenied:
        return True
    except (psutil.Error, ValueError, OverflowError):
        return False


def is_this_process(identity: Mapping[str, Any]) -> bool:
    """Whether it is this very process, as far as that can be told for certain."""
    is_mine = identity.get("pid") == os.getpid() and isinstance(identity.get("ticks"), int)
    return is_mine and is_known_here(identity) and _is_same(psutil.Process(), identity)


def _is_same(process: psutil.Process, identity: Mapping[str, Any]) -> bool:
    ticks = identity.get("ticks")
    if isinstance(ticks, int):
        return _read_ticks(process.pid) == ticks
    begun = process.create_time()
    return abs(begun - _number(identity.get("begun", begun))) <= _SAME_BEGIN_S


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
