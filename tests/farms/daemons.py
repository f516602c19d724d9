"""Programs in the background that are found again, and ended, by their process ids alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PATIENCE_S = 200


def wait_until(holds: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition; say which it was if it never comes."""
    give_up = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > give_up:
            raise TimeoutError(f"waited {patience_s:.0f} s for {what}")
        time.sleep(0.1)


def run(*argv: str, env: Mapping[str, str] | None = None, check: bool = True) -> str:
    """Run a command to its end and give back what it printed."""
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=env
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind((address, 0))
        return taken.getsockname()[1]


def _born(pid: int) -> str:
    """When a process began, in the kernel's ticks: with its id, this names it for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # Of one that was killed other threads may hold its ports for a while.
    is_gone = fields[0] == "Z" and int(fields[17]) <= 1
    return "" if is_gone else fields[19]


# Ours to wait for, as long as this process lives.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


class Daemons:
    """What runs for one farm, written down in its folder, so that any process can end it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.list = folder / "pids"

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Start one, with no open file of ours: it would hold a pipe or a lock of the caller."""
        with (self.folder / f"{name}.out").open("ab") as output:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env,
                start_new_session=True,
            )  # fmt: skip
        with self.list.open("a") as lines:
            lines.write(f"{child.pid} {_born(child.pid)} {name}\n")
        _CHILDREN[child.pid] = child

    def running(self) -> dict[int, str]:
        """Those that still run: process id to name, in the order of their start."""
        if not self.list.exists():
            return {}
        rows = [line.split() for line in self.list.read_text().splitlines()]
        return {
            int(row[0]): row[2] for row in rows if len(row) == 3 and _born(int(row[0])) == row[1]
        }

    def stop(self, signum: int = signal.SIGTERM, patience_s: float = 15) -> None:
        """End all, the last one first; what does not go is killed."""
        for pid in reversed(self.running()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not self.running(), "daemons to end", patience_s)
        for pid in self.running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in [pid for pid, child in _CHILDREN.items() if child.poll() is not None]:
            del _CHILDREN[pid]
        self.list.unlink(missing_ok=True)
