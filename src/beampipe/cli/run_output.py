"""What `run` and `resume` print at the end, for people and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from beampipe.cli.main import COMPLETE, INCOMPLETE
from beampipe.errors import BeampipeError, RunInterruptedError

if TYPE_CHECKING:
    from pathlib import Path

    from beampipe.execution.accounting import Accounting
    from beampipe.results.result import RunResult

_DATASET_FIELDS = (
    "files",
    "files_uncounted",
    "events_planned",
    "events_processed",
    "events_failed",
    "events_not_reached",
    "chunks_planned",
    "chunks_processed",
    "chunks_failed",
    "chunks_reused",
)


def finish_run(go: Callable[[], RunResult], *, as_json: bool, quiet: bool) -> None:
    """Do the run and say how it went; errors go on to the command line's border."""
    try:
        result = go()
    except BeampipeError as error:
        if as_json:
            click.echo(json.dumps(failed_json(error), ensure_ascii=False))
        elif error.facts.get("run_dir") and not isinstance(error, RunInterruptedError):
            run_dir = error.facts["run_dir"]
            click.echo(f"what was done is kept: beampipe show '{run_dir}'", err=True)
        raise
    if as_json:
        click.echo(json.dumps(result_json(result), ensure_ascii=False))
    elif not quiet:
        from rich.console import Console

        from beampipe.results.summary import format_summary, print_summary

        if sys.stdout.isatty():
            print_summary(result.record, Console())
        else:
            click.echo(format_summary(result.record))
    click.get_current_context().exit(COMPLETE if result.is_complete else INCOMPLETE)


def result_json(result: RunResult) -> dict[str, Any]:
    """The documented object of ``--json``."""
    return {
        "status": result.status,
        "run_dir": str(result.run_dir),
        "wall_s": result.metrics.get("wall_s"),
        "datasets": datasets_json(result.accounting),
        "failures": [asdict(failure) for failure in result.failures],
        "metrics": dict(result.metrics),
    }


def datasets_json(accounting: Accounting) -> dict[str, Mapping[str, int]]:
    """The accounting, dataset by dataset."""
    return {
        dataset.name: {name: getattr(dataset, name) for name in _DATASET_FIELDS}
        for dataset in accounting.datasets
    }


def failed_json(error: BeampipeError) -> dict[str, Any]:
    """The same object for a run that ended early, or never began; with the error."""
    status = "interrupted" if isinstance(error, RunInterruptedError) else "failed"
    described: dict[str, Any] = {
        "status": status,
        "run_dir": None,
        "wall_s": None,
        "datasets": {},
        "failures": [],
        "metrics": {},
        "error": {
            "code": error.code,
            "message": error.message,
            "why": error.why,
            "fix": error.fix,
        },
    }
    run_dir: Path | None = error.facts.get("run_dir")
    if run_dir is None:
        return described
    from beampipe.execution.record_reader import read_failures, read_summary

    summary = read_summary(run_dir)
    described["run_dir"] = str(run_dir)
    described["wall_s"] = summary.metrics.get("wall_s")
    described["datasets"] = datasets_json(summary.accounting)
    described["failures"] = [asdict(failure) for failure in read_failures(run_dir)]
    described["metrics"] = dict(summary.metrics)
    return described
