"""Going on with a run that was stopped."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from beampipe.execution.engine import load_job
from beampipe.execution.record_reader import read_summary
from beampipe.execution.runs_index import find_run
from beampipe.results.result import RunResult
from beampipe.runs.arguments import ON_ERROR, check_budget, check_choice
from beampipe.runs.pools import INLINE, check_client, prepared_workers
from beampipe.runs.run import RunOptions, drive
from beampipe.settings import load_settings

if TYPE_CHECKING:
    from distributed import Client


def resume(
    run_dir: str | Path,
    *,
    client: Client | Literal["inline"] | None = None,
    on_error: str | None = None,
    max_failed: str | int | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> RunResult:
    """Do what is missing of a run, and nothing else.

    Parameters
    ----------
    run_dir : path or str
        The run directory, its name below the run root, or ``"latest"``.
    client : distributed.Client or "inline", optional
        As in `run`; it need not be the cluster that the run began on.
    on_error : {"stop", "skip"}, optional
        As in `run`; by default what the run began with.
    max_failed : str or int, optional
        As in `run`; by default what the run began with.
    workers : int, optional
        As in `run`.
    progress : bool, default True
        As in `run`.

    Returns
    -------
    RunResult
        Of the whole run. Chunks that failed before are tried again.

    Raises
    ------
    NotARunError, RunFormatError, TrustError
        The directory holds no run that can be gone on with.
    RunHeldError
        ``run-held``: its driver is still at work.
    """
    check_choice("on_error", on_error, ON_ERROR)
    check_client(client)
    begun = time.monotonic()
    path = find_run(run_dir)
    job = load_job(path)
    if client is None and read_summary(path).accounting.is_complete:
        client = INLINE  # nothing to do is no reason to start workers
    settings = load_settings(
        on_error=on_error or job.options.get("on_error"),
        max_failed=job.options.get("max_failed") if max_failed is None else max_failed,
        checkpoint_s=job.options.get("checkpoint_s"),
        workers=workers,
    )
    check_budget(max_failed, settings.on_error)
    options = RunOptions(
        workers=settings.workers,
        reproducible=bool(job.options.get("reproducible")),
        progress=progress,
        settings=settings,
    )
    with prepared_workers(client, options.workers):
        return drive(job, client=client, options=options, begun=begun, stages_s={})
