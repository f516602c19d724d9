"""A scheduler and workers as a batch system starts them: processes of their own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

PATIENCE_S = 90
PROJECT = Path(__file__).resolve().parents[2]


class DaskProcesses:
    """`dask scheduler` and `dask worker`, each leading a process group, all ended at the end."""

    def __init__(self, folder: Path, environment=None) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen] = []
        self.n_started = 0
        place = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = self._start("scheduler", place, environment or {})

    @property
    def scheduler_file(self) -> str:
        return str(self.folder / "scheduler.json")

    @property
    def address(self) -> str:
        wait_until(Path(self.scheduler_file).exists, "the scheduler is there")
        for _ in range(100):
            with contextlib.suppress(ValueError):
                return json.loads(Path(self.scheduler_file).read_text())["address"]
            time.sleep(0.05)
        raise AssertionError("the scheduler's file is broken")

    def start_worker(self, *options, environment=None, name=None) -> subprocess.Popen:
        """Start `dask worker`; returns its main process, the nanny's where there is one."""
        name = name or f"worker-{self.n_started}"
        address = self.address
        place = ["--local-directory", str(self.folder), "--no-dashboard", "--name", name]
        return self._start("worker", [address, *place, *options], environment or {})

    def _start(self, command, options, environment) -> subprocess.Popen:
        if command == "scheduler":
            options = [*options, "--scheduler-file", self.scheduler_file]
        self.n_started += 1
        log = (self.folder / f"{command}-{self.n_started}.log").open("w")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", command, *options],
                cwd=PROJECT,  # so that workers find the tests' functions
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": str(PROJECT)} | environment,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def end_workers(self) -> None:
        """Kill what is left of them; the scheduler stays."""
        for process in reversed(self.processes[1:]):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE_S)
        del self.processes[1:]

    def logs(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text()}" for path in self.folder.glob("*.log")
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end_workers()
        os.killpg(self.scheduler.pid, signal.SIGKILL)
        self.scheduler.wait(PATIENCE_S)


def worker_pids(client) -> dict[str, int]:
    """The process of every worker, by address."""
    return client.run(os.getpid)


def wait_until(condition, what, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"waited for {patience_s} s until {what}"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
