"""Real processes in sessions of their own, as a terminal starts them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

BEAMPIPE = [sys.executable, "-m", "beampipe"]
PATIENCE_S = 120


@dataclass
class Ended:
    """How a process ended."""

    returncode: int
    out: str
    err: str


class Session:
    """A process that leads a session, and all that it starts."""

    def __init__(self, arguments, cwd):
        self.process = subprocess.Popen(
            arguments,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self.process.pid

    def press_ctrl_c(self):
        """The signal goes to the whole foreground group, as a terminal sends it."""
        os.killpg(self.pid, signal.SIGINT)

    def kill(self, number):
        os.kill(self.pid, number)

    def wait(self) -> Ended:
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return Ended(self.process.returncode, out, err)

    def others(self):
        """What lives in the session besides its leader."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                is_here = os.getsid(process.pid) == self.pid and process.pid != self.pid
                if is_here and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.others():
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate(timeout=PATIENCE_S)


def run_to_the_end(arguments, cwd) -> Ended:
    with Session(arguments, cwd) as session:
        ended = session.wait()
        assert_nothing_is_left(session)
        return ended


def assert_nothing_is_left(session):
    """A moment is granted: the resource tracker of multiprocessing outlives its process."""
    wait_until(lambda: not session.others(), "nothing is left of the session", patience_s=5)


def wait_until(condition, what, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"waited for {patience_s} s until {what}"
        time.sleep(0.02)


def count_lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0
