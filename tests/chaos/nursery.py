"""Processes that are there at once: each is forked from one that has imported everything.

A run of a scenario starts a driver, a scheduler and some workers, and Python needs two seconds of
imports for each. So one process (`python -m tests.chaos.nursery`) imports once, and forks what it
is asked for. Every child leads a session of its own, as a login shell's would, and is a
process like any other: it can be killed, stopped, and starved.

One line of JSON asks for a child (see `Nursery.start`); a line tells its number, and another one
how it ended. When the nursery's input ends, so does everything that it has started.
"""

import contextlib
import ctypes
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[2]
PRELOADED = (
    "beampipe",
    "beampipe.cli.resume",
    "beampipe.cli.run",
    "beampipe.cli.verify",
    "beampipe.runs.embedded",
    "beampipe.execution.dask_pool",
    "beampipe.reading.allocator",
    "beampipe.reading.events",
    "beampipe.reading.reader",
    "beampipe.execution.encoding",
    "distributed.cli.dask_scheduler",
    "distributed.cli.dask_worker",
    "distributed.http.scheduler.prometheus",
    "coffea.nanoevents",
    "aiohttp",
    "fsspec.implementations.http",
    "hist",
    "uproot",
)
PATIENCE_S = 100
_POLL_S = 0.02
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_PR_CAPBSET_DROP = 24
_NEW_NET, _NEW_UTS = 0x40000000, 0x04000000


# -- the side of the harness --------------------------------------------------------------------


class GaveUpError(AssertionError):
    """Something did not happen in the time that it was given."""


def wait_until(condition, what, patience_s=PATIENCE_S):
    """Wait for a condition, and give what it gives."""
    end = time.monotonic() + patience_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise GaveUpError(f"waited for {patience_s} s until {what}")
        time.sleep(_POLL_S)
    return value


@dataclass
class Child:
    """A process that the nursery has started, and all that belongs to its session."""

    nursery: "Nursery"
    pid: int
    output: Path
    name: str
    status: int | None = None

    @property
    def is_running(self):
        self.nursery.listen(0)
        if self.status is None:
            self.status = self.nursery.ended.pop(self.pid, None)
        return self.status is None

    def kill(self, number=signal.SIGKILL):
        """Send the process itself a signal."""
        with contextlib.suppress(ProcessLookupError):
            if self.is_running:
                os.kill(self.pid, number)

    def wait(self, patience_s=PATIENCE_S):
        """Wait for its end; gives what `Popen.returncode` would."""
        wait_until(lambda: not self.is_running, f"{self.name} ends", patience_s)
        return os.waitstatus_to_exitcode(self.status)

    def session(self):
        """Every living process of its session, the leader included."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                is_here = os.getsid(process.pid) == self.pid
                if is_here and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def end(self):
        """End the whole session."""
        while processes := self.session():
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self.nursery.listen(_POLL_S)

    def text(self):
        """What it wrote on standard output and standard error."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""


@dataclass
class Nursery:
    """The process that forks, as seen from the harness."""

    process: subprocess.Popen = None
    children: dict[int, Child] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    _answers: list = field(default_factory=list)
    _unread: bytes = b""

    def __enter__(self):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        os.set_blocking(self.process.stdout.fileno(), False)
        return self

    def __exit__(self, *_):
        for child in self.children.values():
            child.end()
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def start(self, main, arguments, output, **options):
        """Start a child.

        Parameters
        ----------
        main : str
            ``"package.module:function"``; called with the arguments, as a program's `main`.
        output : Path
            Where standard output and standard error go.
        options
            ``environment`` (dict), ``cwd``, ``hostname``, ``netns`` (a path): what to have;
            ``obeys_permissions``: also when it is root.
        """
        asked = {"main": main, "arguments": [str(word) for word in arguments], **options}
        asked["output"] = str(output)
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        pid = wait_until(self._next_answer, "the nursery answers")
        child = self.children[pid] = Child(self, pid, output, main)
        return child

    def _next_answer(self):
        self.listen(_POLL_S)
        return self._answers.pop(0) if self._answers else None

    def listen(self, timeout_s):
        """Take in what the nursery tells."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                return
        data = self.process.stdout.read()
        if data == b"":
            raise RuntimeError("the nursery is gone; its errors are above")
        *lines, self._unread = (self._unread + (data or b"")).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "status" in told:  # perhaps in the same breath as its number
                self.ended[told["pid"]] = told["status"]
            else:
                self.ended.pop(told["pid"], None)  # numbers are used again
                self._answers.append(told["pid"])


# -- the nursery itself -------------------------------------------------------------------------


def serve():
    """Fork on demand until the input ends; in a child, give what it is to do."""
    stream, unread = sys.stdin.fileno(), b""
    children = set()
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if selector.select(_POLL_S):
                data = os.read(stream, 1 << 16)
                if not data:
                    break
                *lines, unread = (unread + data).split(b"\n")
                for line in lines:
                    asked = json.loads(line)
                    pid = os.fork()
                    if pid == 0:
                        selector.close()
                        return asked
                    children.add(pid)
                    tell(pid=pid)
            children -= reap()
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    return None


def reap():
    """Tell of the children that have ended."""
    ended = set()
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            tell(pid=found[0], status=found[1])
            ended.add(found[0])
    return ended


def tell(**what):
    os.write(1, json.dumps(what).encode() + b"\n")


def become(asked):
    """Turn this fork into what was asked for, and do it."""
    os.setsid()
    output = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(output)
    os.close(nothing)
    settle(asked)
    module, _, name = asked["main"].partition(":")
    main = getattr(importlib.import_module(module), name)
    sys.argv = [name, *asked["arguments"]]
    return main(asked["arguments"])


def settle(asked):
    """Take on the environment, the rights and the place on the network that were asked for."""
    libc = ctypes.CDLL(None, use_errno=True)
    if asked.get("obeys_permissions"):
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            check(libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
        drop_from_now(libc)
    if "hostname" in asked:
        check(libc.unshare(_NEW_UTS))
        name = asked["hostname"].encode()
        check(libc.sethostname(name, len(name)))
    if "netns" in asked:
        handle = os.open(asked["netns"], os.O_RDONLY)
        check(libc.setns(handle, _NEW_NET))
        os.close(handle)
    os.environ.update(asked.get("environment", {}))
    if "cwd" in asked:
        os.chdir(asked["cwd"])
    import dask

    dask.config.refresh()


def drop_from_now(libc):
    """Take the two rights to pass over permissions from this very process."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    check(libc.capget(header, sets))
    without = ~((1 << _CAP_DAC_OVERRIDE) | (1 << _CAP_DAC_READ_SEARCH))
    for place in range(3):
        sets[place] &= without
    check(libc.capset(header, sets))


def check(code):
    if code != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def worker(arguments):
    """Be a `dask worker`; a nanny's workers are forked from a process that is prepared, too."""
    import multiprocessing

    import distributed.utils
    from distributed.cli.dask_worker import main

    multiprocessing.set_forkserver_preload(list(PRELOADED))
    distributed.utils._forkserver_preload_set = True
    return main(arguments)


def scheduler(arguments):
    """Be a `dask scheduler`."""
    from distributed.cli.dask_scheduler import main

    return main(arguments)


def beampipe(arguments):
    """Be the command `beampipe`."""
    from beampipe.cli.main import cli

    return cli(arguments)


if __name__ == "__main__":
    for module_name in PRELOADED:
        importlib.import_module(module_name)
    task = serve()
    if task is not None:
        try:
            sys.exit(become(task))
        except Exception:  # noqa: BLE001 (the border)
            traceback.print_exc()
            sys.exit(70)
