"""The kinds of cluster on which scenarios are played."""

import contextlib
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.chaos.nursery import Child, wait_until

EMBEDDED, LOCAL, NANNY, BARE = "embedded", "local", "nanny", "bare"
INLINE = "inline"  # no cluster, for references
KINDS = (EMBEDDED, LOCAL, NANNY, BARE)
# What a scheduler is told, so that scenarios with cut links and stopped workers end in seconds.
QUICK = {
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "12s",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s",
}
SETTINGS = {
    "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver",
    "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "1000",
    "PYTHONHASHSEED": "6640",
}


@dataclass
class Separate:
    """A `dask scheduler` and `dask worker`s, each a process of its own.

    They can outlive a scenario: `mend` brings back what was killed.
    """

    nursery: object
    folder: Path
    kind: str = BARE
    n_workers: int = 2
    memory_limit: str = "0"
    environment: dict = field(default_factory=dict)
    host: str = "127.0.0.1"
    options: dict = field(default_factory=dict)  # of every process, see `Nursery.start`
    scheduler: Child = None
    address: str = ""
    workers: list = field(default_factory=list)
    _number: int = 0

    def start(self):
        """Start all of it; the driver waits for the workers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        port = free_port(self.host)
        words = ["--host", self.host, "--port", port, "--no-dashboard", "--no-show"]
        self.scheduler = self.fork("scheduler", words)
        self.address = f"tcp://{self.host}:{port}"
        wait_until(lambda: is_listening(self.host, port), "the scheduler listens")
        for _ in range(self.n_workers):
            self.add_worker()
        return self

    def fork(self, what, words, **options):
        self._number += 1
        output = self.folder / f"{what}-{self._number}.log"
        variables = {**SETTINGS, **self.environment, **options.pop("environment", {})}
        return self.nursery.start(
            f"tests.chaos.nursery:{what}",
            words,
            output,
            environment=variables,
            **{**self.options, **options},
        )

    def add_worker(self, **options):
        words = [self.address, "--nthreads", "1", "--no-dashboard"]
        words += ["--memory-limit", self.memory_limit, "--death-timeout", "60"]
        words += ["--local-directory", self.folder / "scratch"]
        words += ["--nanny" if self.kind == NANNY else "--no-nanny"]
        self.workers.append(self.fork("worker", words, **options))
        return self.workers[-1]

    def mend(self):
        """Bring back what has died since."""
        if self.scheduler is None or not self.scheduler.is_running:
            self.end()
            return self.start()
        self.workers = [worker for worker in self.workers if worker.is_running]
        for _ in range(self.n_workers - len(self.workers)):
            self.add_worker()
        return self

    def describe(self):
        """What a driver needs to know."""
        return {"kind": self.kind, "address": self.address, "workers": self.n_workers}

    def end(self):
        for child in (*self.workers, self.scheduler):
            if child is not None:
                child.end()
        self.workers, self.scheduler = [], None

    def logs(self):
        return "\n".join(
            f"-- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(self.folder.glob("*.log"))
        )


@dataclass
class InDriver:
    """A cluster that the driver starts: the embedded one, or a LocalCluster of the user."""

    kind: str
    n_workers: int = 2
    memory_limit: int | None = None

    def describe(self):
        return {"kind": self.kind, "workers": self.n_workers, "memory_limit": self.memory_limit}

    def mend(self):
        return self

    def end(self):
        """It ends with its driver."""

    def logs(self):
        return ""


def free_port(host):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def is_listening(host, port):
    with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
        return True
    return False


def nanny_of(pid):
    """The process that watches over a worker: a nanny started it, perhaps by a fork server."""
    for process in psutil.Process(pid).parents():
        if "forkserver" not in " ".join(process.cmdline()) and process.pid != os.getpid():
            return process
    raise LookupError(pid)
