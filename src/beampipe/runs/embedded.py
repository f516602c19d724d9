"""A Dask cluster on this machine that lives as long as one run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from beampipe.errors import WorkersLostError
from beampipe.execution.worker_settings import (
    ENOUGH_SATURATION,
    PROFILE_EVERY_MS,
    PROFILER,
    SATURATION,
)
from beampipe.runs.fork_server import (
    added_environment,
    is_warm,
    shielded_from_interrupt,
    warm_fork_server,
)
from beampipe.worker_environment import ENVIRONMENT

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

# Who is to blame for a worker's death is found out here. Dask would count what only waited there,
# merges too, among the guilty, and fail it.
_DEATHS = 5
_HOST = "127.0.0.1"
_PORT = 8787  # Dask's own for the dashboard
_GIVE_UP_S = 10.0
_BUSY_S = 0.5
_DASHBOARD_AFTER_S = 2.0
_ROUTES = "distributed.scheduler.http.routes"


@contextlib.contextmanager
def warm_workers() -> Iterator[None]:
    """Let worker processes prepare themselves while there is other work to do.

    At a prompt and in a notebook they stay prepared for the next run.
    """
    with warm_fork_server(ENVIRONMENT, keep=_is_interactive()):
        yield


def _is_interactive() -> bool:
    return hasattr(sys, "ps1")  # IPython and its kernels have it, too


@contextlib.contextmanager
def embedded_client(
    n_workers: int | None = None, memory_limit: int | None = None
) -> Iterator[Client]:
    """Start one worker process per core, and end them afterwards.

    Everything listens on this machine's own address only, and the scheduler and the workers
    talk to nobody without the keys of this run, which are kept in memory: on a login node any
    user could else send them code to run. (The dashboard's pages can be looked at.)

    Parameters
    ----------
    n_workers : int, optional
        By default one per core that this process may use.
    memory_limit : int, optional
        Per worker [bytes]; by default the machine's memory is shared out.

    Raises
    ------
    WorkersLostError
        ``run-workers-lost``: they cannot be started.
    """
    from dask.system import CPU_COUNT

    with warm_workers(), _surroundings() as surroundings, _hidden_main():
        start = partial(
            _Embedded.start,
            n_workers=n_workers or CPU_COUNT,
            memory_limit=memory_limit,
            surroundings=surroundings,
        )
        with _started(start) as client:
            yield client


_SURROUNDINGS_LOCK = threading.Lock()
_surroundings_kept = contextlib.ExitStack()
_surroundings_used_by = 0
_surroundings_shared: _Surroundings


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What all embedded clusters of this process share.

    Attributes
    ----------
    scratch : str
        A directory for what workers spill.
    routes : list of str
        The modules that a scheduler's web server has its pages from.
    """

    scratch: str
    routes: list[str]


@contextlib.contextmanager
def _surroundings() -> Iterator[_Surroundings]:
    """Give a scratch directory, with the environment and Dask's settings for workers in force.

    All threads share these, and runs in several threads may end in any order, so the first one
    brings them and the last one puts back what was there before.
    """
    import dask
    import distributed.config  # noqa: F401 (brings Dask its defaults)

    global _surroundings_used_by, _surroundings_shared  # noqa: PLW0603 (as said above)
    with _SURROUNDINGS_LOCK:
        if _surroundings_used_by == 0:
            with contextlib.ExitStack() as stack:
                scratch = tempfile.TemporaryDirectory(
                    prefix="beampipe-", ignore_cleanup_errors=True
                )
                shared = _Surroundings(stack.enter_context(scratch), dask.config.get(_ROUTES))
                stack.enter_context(added_environment(ENVIRONMENT))
                settings = {**_settings(), "temporary-directory": shared.scratch}
                stack.enter_context(dask.config.set(settings))
                _surroundings_kept.push(stack.pop_all())
                _surroundings_shared = shared
        _surroundings_used_by += 1
    try:
        yield _surroundings_shared
    finally:
        with _SURROUNDINGS_LOCK:
            _surroundings_used_by -= 1
            if _surroundings_used_by == 0:
                _surroundings_kept.close()


def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = {
        "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
        SATURATION: ENOUGH_SATURATION,
        PROFILER: f"{PROFILE_EVERY_MS:.0f}ms",
        "distributed.scheduler.allowed-failures": _DEATHS,
        # A worker that is short of memory must merge what it holds, which a paused one does not.
        "distributed.worker.memory.pause": False,
        _ROUTES: [],  # they come later, with the dashboard
    }
    if is_warm():
        import distributed.utils

        # Else Dask imports in this process, unasked, what it would have its own fork server load.
        distributed.utils._forkserver_preload_set = True  # noqa: SLF001
        settings["distributed.worker.multiprocessing-method"] = "forkserver"
    return settings


@dataclass(slots=True)
class _Embedded:
    """A cluster, its client, and the clock that brings the dashboard."""

    cluster: LocalCluster
    client: Client
    timer: threading.Timer

    @classmethod
    def start(
        cls, *, n_workers: int, memory_limit: int | None, surroundings: _Surroundings
    ) -> _Embedded:
        from distributed import Client, LocalCluster
        from distributed.security import Security

        with warnings.catch_warnings():
            # Somebody may take the port just now; Dask then has another, and its link is shown.
            warnings.filterwarnings("ignore", message=f"Port {_PORT} is already in use")
            cluster = LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                memory_limit=memory_limit or "auto",
                host=_HOST,
                dashboard_address=f"{_HOST}:{find_dashboard_port()}",
                scheduler_kwargs={"dashboard": False},  # its pages come later
                local_directory=surroundings.scratch,
                security=Security.temporary(),
                silence_logs=logging.CRITICAL,
            )
        # By way of the scheduler a value would go through this process twice.
        client = Client(cluster, set_as_default=False, direct_to_workers=True)
        pages = [cluster, surroundings.routes]
        timer = threading.Timer(_DASHBOARD_AFTER_S, _connect_dashboard, pages)
        timer.daemon = True
        timer.start()
        return cls(cluster, client, timer)

    def close(self, *, at_once: bool) -> None:
        """End everything; at once means not to wait for what workers are still at."""
        self.cluster.shutdown_on_close = False  # else Dask would close it once more, at exit
        self.timer.cancel()
        self.timer.join(_GIVE_UP_S)  # else the pages could come to a cluster that is closed
        self.client.close()
        if at_once:
            self.cluster.sync(self._end_workers)
        self.cluster.close()

    async def _end_workers(self) -> None:
        workers: Any = list(self.cluster.workers.values())
        ends = (worker.close(timeout=_BUSY_S) for worker in workers)
        await asyncio.gather(*ends, return_exceptions=True)


def _connect_dashboard(cluster: LocalCluster, routes: list[str]) -> None:
    """Put the pages of the dashboard behind its link, which is there from the start.

    They take Bokeh, which takes longer to import than the whole cluster to start, and a proxy
    that may take half as long; the first histogram would have to wait for them.
    """
    from distributed.dashboard.scheduler import connect
    from distributed.http.utils import get_handlers

    scheduler: Any = cluster.scheduler
    application = scheduler.http_application
    handlers = get_handlers(scheduler, routes)

    def add_pages() -> None:
        application.add_handlers(".*$", handlers)
        connect(application, scheduler.http_server, scheduler)

    loop: Any = cluster.loop
    loop.add_callback(add_pages)


def find_dashboard_port() -> int:
    """Dask's usual port if nobody has it, else 0 for any; the link is shown."""
    with socket.socket() as probe:
        try:
            probe.bind((_HOST, _PORT))
        except OSError:
            return 0
    return _PORT


@contextlib.contextmanager
def _started(start: Callable[[], _Embedded]) -> Iterator[Client]:
    """Have a cluster that a thread of its own starts, and close it whatever happens.

    All that belongs to it is then shielded from Ctrl-C, while this thread is not: a start that
    takes long can be given up.
    """
    running: list[_Embedded] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            running.append(start())
        except BaseException as error:  # noqa: BLE001 (it is raised again in the other thread)
            errors.append(error)

    is_done = False
    is_started = threading.Event()

    def finish() -> None:
        is_started.wait()
        for embedded in running:
            embedded.close(at_once=not is_done)

    try:
        with shielded_from_interrupt():  # what was held back comes at its end
            _do_in_thread(work, is_started)
        is_started.wait()
        for error in errors:
            raise WorkersLostError(
                "The workers of this machine could not be started.",
                why=f"{type(error).__name__}: {error}",
                fix="look for limits on processes, memory and ports; `--workers 0` (workers=0) "
                "needs none of them",
            ) from error
        yield running[0].client
        is_done = True
    finally:
        _do_undisturbed(finish)


def _do_undisturbed(work: Callable[[], None]) -> None:
    """Do something to its end, or for some seconds; Ctrl-C is not heard.

    A cluster that is half closed keeps the process from ending, for longer than this takes.
    """
    is_done = threading.Event()
    _do_in_thread(work, is_done)
    end = time.monotonic() + _GIVE_UP_S
    while not is_done.is_set() and time.monotonic() < end:
        with contextlib.suppress(KeyboardInterrupt):
            is_done.wait(end - time.monotonic())


def _do_in_thread(work: Callable[[], None], is_done: threading.Event) -> None:
    """Do something in a thread; the event tells when it is done.

    (`Thread.join`, interrupted, takes the thread for ended, and the next one does not wait.)
    """

    def do() -> None:
        try:
            work()
        finally:
            is_done.set()

    threading.Thread(target=do, name=f"beampipe-{work.__name__}", daemon=True).start()


_MAIN_LOCK = threading.Lock()
_main_hidden_by = 0
_main_kept: dict[str, Any] = {}


@contextlib.contextmanager
def _hidden_main() -> Iterator[None]:
    """Keep worker processes from running the user's script again.

    Python's `multiprocessing` imports the main script in every new process, so a script without
    ``if __name__ == "__main__":`` would start runs within runs. Functions of the script reach
    the workers by value, so nothing needs the import.
    """
    global _main_hidden_by  # noqa: PLW0603 (runs in several threads share one main module)
    main = sys.modules["__main__"]
    with _MAIN_LOCK:
        _main_hidden_by += 1
        if _main_hidden_by == 1:
            names = [name for name in ("__file__", "__spec__") if hasattr(main, name)]
            _main_kept.update({name: getattr(main, name) for name in names})
            main.__spec__ = None
            with contextlib.suppress(AttributeError):
                del main.__file__
    try:
        yield
    finally:
        with _MAIN_LOCK:
            _main_hidden_by -= 1
            if _main_hidden_by == 0:
                for name, value in _main_kept.items():
                    setattr(main, name, value)
                _main_kept.clear()
