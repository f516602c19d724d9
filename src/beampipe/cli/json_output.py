"""The one JSON object that ``--json`` prints, however a command ends."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from beampipe.errors import BeampipeError

if TYPE_CHECKING:
    from pathlib import Path

    from beampipe.execution.accounting import Accounting

FAILED, STOPPED = "failed", "interrupted"
_ARGS, _PRINTED = "beampipe.args", "beampipe.printed"
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
    "missing_share",
)


def remember_arguments(ctx: click.Context, args: Sequence[str]) -> None:
    """Keep what was typed: whether JSON is wanted must be known even if it does not parse."""
    ctx.meta[_ARGS] = list(args)


def is_wanted(ctx: click.Context) -> bool:
    """Whether somebody waits for a JSON object that was not printed yet."""
    args: list[str] = ctx.meta.get(_ARGS, [])
    options = args[: args.index("--")] if "--" in args else args
    return "--json" in options and not ctx.meta.get(_PRINTED, False)


def print_json(data: Any) -> None:
    """Print it in one line; what JSON cannot hold becomes null or text."""
    text = json.dumps(_finite(data), ensure_ascii=False, default=str)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # names of files need not be UTF-8, terminals neither
        text = json.dumps(_finite(data), default=str)
    click.echo(text)
    click.get_current_context().meta[_PRINTED] = True


def _finite(data: Any) -> Any:
    """The same without NaN and infinities, which are no JSON and stop other readers."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data


def failed_json(error: BeampipeError, *, status: str = FAILED) -> dict[str, Any]:
    """The object of a run that ended early, or never began; with the error."""
    described = plain_failure(
        status, code=error.code, message=error.message, why=error.why, fix=error.fix
    )
    run_dir: Path | None = error.facts.get("run_dir")
    if run_dir is None:
        return described
    from beampipe.execution.record_reader import read_failures, read_summary
    from beampipe.results.timing import explain_timing

    described["run_dir"] = str(run_dir)
    with contextlib.suppress(BeampipeError, OSError):  # the first error is the one to tell
        summary = read_summary(run_dir)
        described["wall_s"] = summary.metrics.get("wall_s")
        described["datasets"] = datasets_json(summary.accounting)
        described["metrics"] = dict(summary.metrics)
        described["timing"] = explain_timing(summary.metrics).to_json()
        described["incidents"] = list(summary.incidents)
        described["accepted_changes"] = list(summary.accepted_changes)
        described["notes"] = list(summary.notes)
        described["failures"] = [asdict(failure) for failure in read_failures(run_dir)]
    return described


def plain_failure(status: str, **error: str) -> dict[str, Any]:
    """The object where there is no run to tell of; keys as those of a whole run."""
    return {
        "status": status,
        "run_dir": None,
        "wall_s": None,
        "datasets": {},
        "failures": [],
        "metrics": {},
        "timing": {},
        "incidents": [],
        "accepted_changes": [],
        "notes": [],
        "error": {"why": "", "fix": ""} | error,
    }


def datasets_json(accounting: Accounting) -> dict[str, Mapping[str, float]]:
    """The accounting, dataset by dataset."""
    return {
        dataset.name: {name: getattr(dataset, name) for name in _DATASET_FIELDS}
        for dataset in accounting.datasets
    }
