"""A Dask cluster on this machine that lives as long as one run."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client

# With Dask's own settings a worker that reads ROOT files spends up to half its time in page
# faults; these keep freed memory in the process (see BENCHMARKS).
MALLOC = {
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TOP_PAD_": "67108864",
}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# At Dask's 1.1 every small task waits for a round trip to the scheduler.
_SATURATION = 10
# A worker's death is held against what was on it; the second one sends it to run alone.
_DEATHS = 1
_HERE = "127.0.0.1"
_DASHBOARD_PORT = 8787


@contextlib.contextmanager
def embedded_client(
    n_workers: int | None = None, memory_limit: int | None = None
) -> Iterator[Client]:
    """Start one worker process per core, and end them afterwards.

    Parameters
    ----------
    n_workers : int, optional
        By default one per core that this process may use.
    memory_limit : int, optional
        Per worker [bytes]; by default the machine's memory is shared out.
    """
    import dask
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    settings = {
        "distributed.nanny.pre-spawn-environ": {**MALLOC, **ONE_THREAD},
        "distributed.scheduler.worker-saturation": _SATURATION,
        "distributed.scheduler.allowed-failures": _DEATHS,
    }
    with (
        tempfile.TemporaryDirectory(prefix="beampipe-", ignore_cleanup_errors=True) as scratch,
        dask.config.set(settings),
        _hidden_main(),
    ):
        with _shielded_from_interrupt():
            cluster = LocalCluster(
                n_workers=n_workers or CPU_COUNT,
                threads_per_worker=1,
                memory_limit=memory_limit or "auto",
                host=_HERE,
                dashboard_address=f"{_HERE}:{find_dashboard_port()}",
                local_directory=scratch,
                silence_logs=logging.CRITICAL,
            )
        with cluster, Client(cluster) as client:
            yield client


@contextlib.contextmanager
def _hidden_main() -> Iterator[None]:
    """Keep worker processes from running the user's script again.

    Python's `multiprocessing` imports the main script in every new process, so a script without
    ``if __name__ == "__main__":`` would start runs within runs. Functions of the script reach
    the workers by value, so nothing needs the import.
    """
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    main.__spec__ = None
    with contextlib.suppress(AttributeError):
        del main.__file__
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


@contextlib.contextmanager
def _shielded_from_interrupt() -> Iterator[None]:
    """Start processes that a Ctrl-C in the terminal does not reach.

    It goes to the whole foreground group, and the workers must live until what they hold is
    committed. A blocked signal stays blocked in threads and processes that are started here,
    also in workers that are restarted later; for this thread it comes through at the end.
    """
    # Its start unblocks the signal in the thread that it happens in, so it comes first.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def find_dashboard_port() -> int:
    """Dask's usual port if nobody has it, else 0 for any; the link is shown."""
    with socket.socket() as probe:
        try:
            probe.bind((_HERE, _DASHBOARD_PORT))
        except OSError:
            return 0
    return _DASHBOARD_PORT
