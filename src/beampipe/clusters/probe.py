"""What is measured on a worker, from within its job."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from beampipe.worker_environment import DEADLINE

_CGROUP_LIMITS: Final = ("memory.max", "memory.limit_in_bytes")
_NO_LIMIT_BYTES: Final = 1 << 60  # what version 1 of control groups writes for none


def measure_worker(
    paths: Iterable[str], folders: Iterable[str] = (), dask_worker: Any = None
) -> dict[str, Any]:
    """Measure the worker that this runs on (a function for `Client.run`).

    Parameters
    ----------
    paths : iterable of str
        Local files that a run is to read.
    folders : iterable of str
        That the worker should see, or should not.
    dask_worker : distributed.Worker
        Given by Dask.

    Returns
    -------
    dict
        ``host``, ``python``, ``cores``; ``memory_bytes`` (the limit that holds, or None),
        ``scratch_bytes`` and ``scratch`` (free where the worker puts what does not fit into
        memory), ``time`` [s since 1970], ``ends_at`` (of the job, or None), ``unseen`` (paths that
        cannot be read, with the reason), ``folders`` (those that are there).
    """
    scratch = Path(dask_worker.local_directory) if dask_worker is not None else Path.cwd()
    ends_at = os.environ.get(DEADLINE, "")
    return {
        "host": socket.gethostname(),
        "python": sys.executable,
        "cores": _count_cores(),
        "memory_bytes": find_memory_limit(),
        "scratch": str(scratch),
        "scratch_bytes": shutil.disk_usage(scratch).free,
        "time": time.time(),
        "ends_at": float(ends_at) if ends_at else None,
        "unseen": {path: reason for path in paths if (reason := _why_unseen(path))},
        "folders": [folder for folder in folders if Path(folder).expanduser().is_dir()],
    }


def _count_cores() -> int:
    with contextlib.suppress(AttributeError):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_memory_limit(
    groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """The smallest limit of memory that holds for this process [bytes]; None where there is none.

    That of its control groups, all the way up, and of its address space.
    """
    limits: list[int] = []
    with contextlib.suppress(OSError):
        for line in groups.read_text().splitlines():
            _, controllers, inner = line.split(":", 2)
            if controllers in {"", "memory"} or "memory" in controllers.split(","):
                base = root / "memory" if controllers else root
                limits += _limits_below(base, inner)
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft)
    return min((limit for limit in limits if limit < _NO_LIMIT_BYTES), default=None)


def _limits_below(base: Path, inner: str) -> Iterable[int]:
    place = base / inner.strip("/")
    while place.is_relative_to(base):
        for name in _CGROUP_LIMITS:
            with contextlib.suppress(OSError, ValueError):  # "max" is no number
                yield int((place / name).read_text())
        if place == base:
            return
        place = place.parent


def _why_unseen(path: str) -> str:
    try:
        with Path(path).open("rb") as stream:
            stream.read(4)
    except OSError as error:
        return error.strerror or str(error)
    return ""
