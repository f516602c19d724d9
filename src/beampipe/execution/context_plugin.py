"""What every bundle of a run needs, kept on every worker of a Dask cluster."""

from __future__ import annotations

from distributed import get_worker
from distributed.diagnostics.plugin import WorkerPlugin

from beampipe.errors import WorkersLostError
from beampipe.execution.bundles import Bundle, RunContext, run_bundle
from beampipe.execution.partials import Partial


class ContextPlugin(WorkerPlugin):
    """Holds a run's context on a worker.

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


def run_with_plugin(name: str, bundle: Bundle) -> Partial:
    """Do a bundle with the context that a plugin holds (what a Dask task calls).

    Raises
    ------
    WorkersLostError
        ``run-workers-lost``: the plugin is not there; somebody took it away.
    """
    worker = get_worker()
    plugin = worker.plugins.get(name)
    if not isinstance(plugin, ContextPlugin):
        raise WorkersLostError(
            "A worker does not have what the run needs.",
            why=f"the worker plugin {name} is gone",
            fix="`beampipe resume` the run",
        )
    key = worker.get_current_task()

    def is_unwanted() -> bool:
        """Whether the driver has let go: the run was interrupted, or is over."""
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return run_bundle(plugin.context, bundle, is_unwanted=is_unwanted)
