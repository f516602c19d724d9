"""One failed chunk of a run, once more, in this process."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import cloudpickle

from beampipe.datasets.counting import count_file
from beampipe.datasets.model import Chunk, DatasetPlan, FileSpec
from beampipe.datasets.urls import show_url
from beampipe.errors import ArgumentError
from beampipe.execution.accounting import Failure
from beampipe.execution.engine import Job, load_job
from beampipe.execution.record_reader import read_failures
from beampipe.execution.runs_index import find_run
from beampipe.runs.chunk_here import ChunkTrial, run_chunk_here


def reproduce(run_dir: str | Path, *, failure: int = 1) -> ChunkTrial | None:
    """Run one failed chunk here; what it raises comes out as it is.

    Parameters
    ----------
    run_dir : path or str
        The run directory, its name below the run root, or ``"latest"``.
    failure : int, default 1
        The number of the failure, as `RunResult.failures` and the report give it.

    Returns
    -------
    ChunkTrial or None
        What the chunk did, if it does not fail any more; None for a file that could not be
        counted and now can.

    Raises
    ------
    ArgumentError
        ``run-argument``: there is no failure of that number.
    Exception
        Whatever the chunk fails with.
    """
    path = find_run(run_dir)
    job = load_job(path)
    wanted = find_failure(path, failure)
    dataset = next(one for one in job.plan.datasets if one.name == wanted.dataset)
    if not wanted.uuid:
        _count_again(dataset, wanted)
        return None
    return run_chunk_here(
        job.processor,
        _find_chunk(dataset, wanted),
        schema=_schema(job),
        metadata=job.context.metadata.get(dataset.name, {}),
    )


def find_failure(path: Path, number: int) -> Failure:
    """The failure of this number.

    Raises
    ------
    ArgumentError
        ``run-argument``: says which there are.
    """
    failures = read_failures(path)
    for failure in failures:
        if failure.number == number:
            return failure
    raise ArgumentError(
        f"The run has no failure {number}.",
        why=f"it has {len(failures)}" if failures else "nothing failed",
        fix=f"`beampipe show {shlex.quote(str(path))} --failures` lists them",
    )


def _find_chunk(dataset: DatasetPlan, failure: Failure) -> Chunk:
    plan = next(plan for plan in dataset.files if plan.file.uuid == failure.uuid)
    return Chunk(plan, failure.k)


def _count_again(dataset: DatasetPlan, failure: Failure) -> None:
    file = next(file for file in dataset.uncounted if failure.url in map(show_url, file.urls))
    count_file(FileSpec(file.urls, file.treename), dataset.name)


def _schema(job: Job) -> Any:
    _, schema = cloudpickle.loads(job.context.payload)
    return schema
