"""What an exported file says of the run that it is from: above all, what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from beampipe.errors import ExportError
from beampipe.execution.accounting import Accounting
from beampipe.results.verdict import judge_run

MEMBER = "beampipe_run"
"""The name under which it is in a file."""

Origin = Mapping[str, Any]


class RunToExport(Protocol):
    """What a `RunResult` and a `RunRecord` have in common."""

    @property
    def output(self) -> Any:
        """The summed output."""

    @property
    def by_dataset(self) -> Mapping[str, Any]:
        """The output of each dataset."""

    @property
    def accounting(self) -> Accounting:
        """How its events add up."""

    @property
    def status(self) -> str:
        """The recorded status."""

    @property
    def name(self) -> str:
        """The run's name."""

    @property
    def run_id(self) -> str:
        """The run's identity."""

    @property
    def created(self) -> str:
        """When it began."""


def describe_origin(run: RunToExport, dataset: str | None = None) -> Origin:
    """Describe a run for those who only have the file.

    Returns
    -------
    dict
        ``name``, ``run_id``, ``created``, ``status``, ``complete``, ``sentence``, and ``datasets``:
        per dataset the accounting and ``missing_share``; of plain values only.
    """
    verdict = judge_run(run.status, run.accounting)
    rows = [row for row in run.accounting.datasets if dataset in (None, row.name)]
    return {
        "name": run.name,
        "run_id": run.run_id,
        "created": run.created,
        "status": run.status,
        "complete": verdict.is_complete,
        "sentence": verdict.sentence,
        "datasets": [{**asdict(row), "missing_share": row.missing_share} for row in rows],
    }


def choose_output(run: RunToExport, dataset: str | None = None) -> Any:
    """Give the output that is to be exported: the sum, or that of one dataset.

    Raises
    ------
    ExportError
        ``result-export``: there is none; says what there is instead.
    """
    names = ", ".join(map(repr, run.by_dataset))
    if dataset is not None:
        if dataset in run.by_dataset:
            return run.by_dataset[dataset]
        raise ExportError(
            f"The run has no output of dataset {dataset!r}.",
            why="nothing of it was processed"
            if dataset in {row.name for row in run.accounting.datasets}
            else "it has no such dataset",
            fix=f"there are {names}" if names else "`beampipe resume RUN` does what is missing",
        )
    if run.output is None and run.by_dataset:
        raise ExportError(
            "The run has no output that is summed over its datasets.",
            why="their outputs could not be added: `beampipe resume RUN` says where they differ",
            fix=f"export one of them with --dataset: {names}",
        )
    if run.output is None:
        raise ExportError(
            "The run has no output.",
            why="none of its events was processed",
            fix="`beampipe show RUN` tells why; `beampipe resume RUN` does what is missing",
        )
    return run.output
