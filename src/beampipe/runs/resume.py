"""Going on with a run that was stopped."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from beampipe.datasets.metadata_cache import MetadataCache
from beampipe.datasets.model import FilePlan
from beampipe.errors import RunChangedError
from beampipe.execution.accounting import tally_manifests
from beampipe.execution.assembly import missing_chunks
from beampipe.execution.engine import Job, load_job
from beampipe.execution.interrupts import resumable
from beampipe.execution.lease import check_lease
from beampipe.execution.ledger import read_segments
from beampipe.execution.record_reader import read_summary
from beampipe.execution.runs_index import find_run
from beampipe.results.result import RunResult
from beampipe.runs.arguments import ON_ERROR, check_budget, check_choice
from beampipe.runs.changes import accept, check_chunksize, find_changes, record_remarks
from beampipe.runs.pools import INLINE, check_client, find_differences, prepared_workers
from beampipe.runs.run import RunOptions, drive
from beampipe.settings import load_settings

if TYPE_CHECKING:
    from distributed import Client


def resume(  # noqa: PLR0913 (as `run` has them)
    run_dir: str | Path,
    *,
    client: Client | Literal["inline"] | None = None,
    on_error: str | None = None,
    max_failed: str | int | None = None,
    workers: int | None = None,
    chunksize: int | None = None,
    accept_changes: bool = False,
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
    chunksize : int, optional
        Refused unless it is what the run began with: what is done was cut that way.
    accept_changes : bool, default False
        Go on although code, versions, declared inputs or files are not what they were when the
        run began. The result says so from then on.
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
    RunChangedError
        ``run-changed``: names what is not as it was; see `accept_changes`.
    """
    check_choice("on_error", on_error, ON_ERROR)
    check_client(client)
    begun = time.monotonic()
    path = find_run(run_dir)
    job = load_job(path)
    check_chunksize(job, chunksize)
    job = compare_with_now(job, accept_changes=accept_changes)
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
        differences=find_differences(client, settings),
    )
    with resumable(job.directory.run_file), prepared_workers(client, options.workers):
        return drive(job, client=client, options=options, begun=begun, stages_s={})


def compare_with_now(job: Job, *, accept_changes: bool) -> Job:
    """Hold a run against what is there now, before anything is added to it.

    Raises
    ------
    RunChangedError
        ``run-changed``
    RunHeldError
        ``run-held``
    """
    check_lease(job.directory, "")
    missing = _unfinished_files(job)
    if not missing:  # nothing is computed any more, so nothing can be different
        return job
    cache = MetadataCache(Path(load_settings().cache_dir).expanduser() / "metadata")
    changes = find_changes(job, missing, cache=cache)
    if changes.texts and not accept_changes:
        quoted = shlex.quote(str(job.directory.path))
        count = len(changes.texts)
        raise RunChangedError(
            f"The run cannot simply be gone on with: {count} "
            f"{'thing is' if count == 1 else 'things are'} not as when it began.",
            why="; ".join(changes.texts),
            fix="run anew, which takes over whatever is still the same; or go on nevertheless "
            f"with `beampipe resume {quoted} --accept-changes` (accept_changes=True), and the "
            "result will say so",
            changes=changes.texts,
        )
    record_remarks(job, changes.remarks)
    return accept(job, changes) if changes.texts else job


def _unfinished_files(job: Job) -> list[FilePlan]:
    segments = read_segments(job.directory, job.run_id)
    tally = tally_manifests(segment.manifest for segment in segments)
    plans = {id(chunk.plan): chunk.plan for chunk in missing_chunks(job.plan, tally)}
    return list(plans.values())
