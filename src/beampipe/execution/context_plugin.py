"""What every bundle of a run needs, kept on every worker of a Dask cluster."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask.sizeof import sizeof
from distributed import get_worker
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.protocol import dask_deserialize, dask_serialize
from distributed.protocol.serialize import pickle_dumps, pickle_loads

from beampipe.environments.code_archive import lay_out_code, take_away_code
from beampipe.environments.version_gate import Mismatch, compare, sort_out, versions_here
from beampipe.errors import WorkersLostError
from beampipe.execution.accumulators import approximate_bytes
from beampipe.execution.breadcrumbs import CrumbFile, open_crumbs
from beampipe.execution.bundles import Bundle, RunContext, Trail, run_bundle
from beampipe.execution.handover import Budget, Departure, leave_departure, watch_departure
from beampipe.execution.partials import Partial
from beampipe.execution.summaries import tell_summary
from beampipe.execution.unpacking import import_early
from beampipe.execution.worker_settings import UNSET, list_unset, slow_profiler, switch_often
from beampipe.execution.worker_shelf import count_indexes, lay_out_indexes
from beampipe.reading.index.shelf import Place

if TYPE_CHECKING:
    from distributed import Worker


def _pickle_partial(partial: Partial) -> Any:
    """Pickle a partial as for a worker, also where it goes by way of the scheduler.

    What has no serializer of its own Dask pickles in protocol 4 then, into a copy more.
    """
    return pickle_dumps(partial)


dask_serialize.register(Partial, _pickle_partial)
dask_deserialize.register(Partial, pickle_loads)
# So that merges go to where most of their inputs lies, and spilling knows what it spills.
sizeof.register(Partial, lambda partial: approximate_bytes(partial.value))


class ContextPlugin(WorkerPlugin):
    """Holds a run's context on a worker, and the file of its breadcrumbs.

    The scheduler gives it once to every worker there is, and to those that come later. Were it
    a task that bundles depend on, Dask would send the bundles to the worker that holds it and
    leave the others idle.

    Parameters
    ----------
    context : RunContext
        What every bundle needs.
    """

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self._crumbs: CrumbFile | None = None
        self._lock: threading.Lock | None = None  # made on the worker: it cannot travel
        self.departure: Departure | None = None
        self.unset: tuple[str, ...] = ()
        self.mismatches: tuple[Mismatch, ...] = ()
        self._code: Path | None = None
        self._restorers: tuple[Callable[[], None], ...] = ()

    def setup(self, worker: Worker) -> None:
        """Get ready on a worker."""
        self._lock = threading.Lock()
        self.departure = watch_departure(worker, str(id(self)))
        self._restorers = (slow_profiler(worker), switch_often())
        self.unset = list_unset(worker)
        self._code = lay_out_code(self.context.code, Path(worker.local_directory))
        if self.context.versions is not None:
            self.mismatches = tuple(
                compare(
                    self.context.versions,
                    versions_here(self.context.versions),
                    example=worker.address,
                )
            )
        if not worker.periodic_callbacks["heartbeat"].is_running():  # it has only just come
            import_early(self.context.payload)

    def teardown(self, worker: Worker) -> None:
        """Take away what was there for the run: it is over, or the worker closes."""
        leave_departure(worker, str(id(self)))
        for restore in self._restorers:
            restore()
        take_away_code(self._code, self.context.code)
        if self._crumbs is not None:
            self._crumbs.close()

    def trail(self, name: str, worker: Worker) -> contextlib.AbstractContextManager[Trail]:
        """Where one bundle leaves word of its chunks; the file is made for the first one."""
        with self._lock or contextlib.nullcontext():
            if self._crumbs is None:
                self._crumbs = open_crumbs(
                    name, worker.address, worker.state.nthreads, has_nanny=bool(worker.nanny)
                )
        return self._crumbs.trail() if self._crumbs else contextlib.nullcontext(Trail())


@dataclass(frozen=True, slots=True)
class Sent:
    """Encoded indexes that are sent beside a bundle (a class, so that Dask does not look in)."""

    indexes: Mapping[Place, bytes]


def pack_bundle(bundle: Bundle) -> bytes:
    """Make of a bundle what the scheduler only passes on, and need not unpack and pack again."""
    return pickle.dumps(bundle)


def run_with_plugin(name: str, packed: bytes, sent: Sent | None = None) -> Partial:
    """Do a bundle with the context that a plugin holds (what a Dask task calls).

    Parameters
    ----------
    name : str
        The plugin's.
    packed : bytes
        What `pack_bundle` gave.
    sent : Sent, optional
        What goes beside the bundle.

    Raises
    ------
    WorkersLostError
        ``run-workers-lost``: the plugin is not there; somebody took it away.
    VersionMismatchError
        ``run-versions-differ``: this worker came later, with versions that break the run.
    """
    bundle: Bundle = pickle.loads(packed)  # noqa: S301 (from our own driver)
    worker = get_worker()
    plugin = worker.plugins.get(name)
    if not isinstance(plugin, ContextPlugin):
        raise WorkersLostError(
            "A worker does not have what the run needs.",
            why=f"the worker plugin {name} is gone",
            fix="`beampipe resume` the run",
        )
    sort_out(plugin.mismatches, "stop")
    key = worker.get_current_task()
    departure = plugin.departure
    budget = Budget(departure.ends_at) if departure is not None else None

    def is_unwanted() -> bool:
        """Whether the driver has let go (the run is over), or the worker is about to go."""
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            return True
        if departure is None or budget is None:
            return False
        return budget.is_over() or departure.is_leaving()

    lay_out_indexes(plugin.context.store, sent.indexes if sent is not None else None)
    at_work = departure.bundle(key) if departure is not None else contextlib.nullcontext()
    with at_work, plugin.trail(name, worker) as trail:
        partial = run_bundle(plugin.context, bundle, is_unwanted=is_unwanted, trail=trail)
    partial = count_indexes(partial)
    metrics = {**partial.metrics, **dict.fromkeys((UNSET + name for name in plugin.unset), 1.0)}
    ends_at = departure.ends_at() if departure is not None else partial.worker_ends_at
    partial = replace(partial, metrics=metrics, worker_ends_at=ends_at)
    tell_summary(worker, name, str(key), partial)
    return partial
