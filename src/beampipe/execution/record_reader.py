"""A run read back from its directory, with or without its values."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beampipe.datasets.model import Plan
from beampipe.datasets.plan_format import plan_from_json
from beampipe.errors import NotARunError
from beampipe.execution.accounting import (
    Accounting,
    Failure,
    account,
    list_failures,
    tally_manifests,
)
from beampipe.execution.encoding import read_value, write_value
from beampipe.execution.ledger import is_held, read_segments
from beampipe.execution.partials import Partial, merge_partials
from beampipe.execution.record import RunRecord
from beampipe.execution.run_directory import RunDirectory, open_run_directory
from beampipe.execution.segments import Segment
from beampipe.execution.storage import open_atomic

RESULT_FORMAT = "beampipe-result"


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run without its values: what a list of runs shows."""

    run_dir: Path
    run_id: str
    name: str
    created: str
    status: str
    accounting: Accounting
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any]


def is_own_directory(path: Path) -> bool:
    """Whether a directory is the user's own and no one else may write to it.

    Only then are pickles in it loaded unasked: a pickle can run any code.
    """
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def read_plan(directory: RunDirectory) -> Plan:
    """Read the plan of a run.

    Raises
    ------
    NotARunError
        ``run-not-found``: the plan is not there or is damaged.
    """
    try:
        return plan_from_json(json.loads(directory.plan_file.read_bytes()))
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise NotARunError(
            f"The plan of {directory.path} cannot be read.",
            why=f"{type(error).__name__}: {error}",
            fix="the directory was damaged; run the analysis again",
        ) from error


def read_outcome(directory: RunDirectory) -> dict[str, Any]:
    """What the last driver left; empty while it is at work, or when it was killed."""
    try:
        outcome = json.loads(directory.outcome_file.read_bytes())
    except (OSError, ValueError):
        return {}
    return outcome if isinstance(outcome, dict) else {}


def read_summary(run_dir: Path) -> RunSummary:
    """Read everything of a run but its values.

    Raises
    ------
    NotARunError
        ``run-not-found``
    RunFormatError
        ``run-format``
    """
    directory, run = open_run_directory(run_dir)
    outcome = read_outcome(directory)
    if "accounting" in outcome and "status" in outcome:
        accounting = Accounting.from_json(outcome["accounting"])
    else:
        segments = read_segments(directory, run["run_id"])
        tally = tally_manifests(segment.manifest for segment in segments)
        accounting = account(read_plan(directory), tally)
    return RunSummary(
        run_dir=run_dir,
        run_id=run["run_id"],
        name=run["name"],
        created=run["created"],
        status=_status(directory, outcome),
        accounting=accounting,
        metrics=outcome.get("metrics", {}),
        provenance=run.get("provenance", {}),
    )


def _status(directory: RunDirectory, outcome: Mapping[str, Any]) -> str:
    if is_held(directory):
        return "running"
    return str(outcome.get("status", "interrupted"))


def read_failures(run_dir: Path) -> tuple[Failure, ...]:
    """Read the holes of a run with their reasons."""
    directory, run = open_run_directory(run_dir)
    segments = read_segments(directory, run["run_id"])
    tally = tally_manifests(segment.manifest for segment in segments)
    return list_failures(read_plan(directory), tally)


def read_record(run_dir: Path, *, trust: bool | None = None) -> RunRecord:
    """Read a run with its values.

    Parameters
    ----------
    run_dir : Path
    trust : bool, optional
        Load values that need pickle. By default only from a directory that is the user's own
        and that no one else may write to.

    Raises
    ------
    NotARunError, RunFormatError
        As `read_summary`.
    TrustError
        ``run-trust``: values need pickle, and the directory is not trusted.
    """
    directory, run = open_run_directory(run_dir)
    trust = is_own_directory(run_dir) if trust is None else trust
    plan = read_plan(directory)
    segments = list(read_segments(directory, run["run_id"]))
    outcome = read_outcome(directory)
    reused = set(outcome.get("reused_segments", []))
    tally = tally_manifests(
        (segment.manifest for segment in segments if segment.number not in reused),
        reused=(segment.manifest for segment in segments if segment.number in reused),
    )
    accounting = account(plan, tally)
    values = _read_result(directory, segments, trust=trust)
    if values is None:
        by_dataset = sum_segments(segments, trust=trust)
        values = (add_datasets(by_dataset), by_dataset)
    return RunRecord(
        run_dir=run_dir,
        run_id=run["run_id"],
        name=run["name"],
        created=run["created"],
        status=_status(directory, outcome),
        output=values[0],
        by_dataset=values[1],
        accounting=accounting,
        failures=list_failures(plan, tally),
        metrics=outcome.get("metrics", {}),
        provenance=run.get("provenance", {}),
    )


def sum_segments(segments: list[Segment], *, trust: bool) -> dict[str, Any]:
    """Add the segments up, dataset by dataset; at most two values are in memory at once."""
    sums: dict[str, Partial] = {}
    for segment in segments:
        if not segment.manifest.done:
            continue
        name = segment.manifest.dataset
        partial = Partial(segment.manifest, segment.read_value(trust=trust))
        sums[name] = merge_partials([sums[name], partial]) if name in sums else partial
    return {name: partial.value for name, partial in sums.items()}


def add_datasets(by_dataset: Mapping[str, Any]) -> Any:
    """The sum over datasets, as coffea sums; None when there is nothing.

    Raises
    ------
    AccumulationError
        ``output-not-addable``
    """
    from beampipe.execution.accumulators import add_into, copy_output

    values = iter(by_dataset.values())
    total = copy_output(next(values, None))
    for value in values:
        total = add_into(total, value)
    return total


def _fingerprint(segments: list[Segment]) -> str:
    text = json.dumps([[segment.number, segment.sha256] for segment in segments])
    return hashlib.sha256(text.encode()).hexdigest()


def write_result(
    directory: RunDirectory, segments: list[Segment], output: Any, by_dataset: Mapping[str, Any]
) -> None:
    """Keep the finished sum, so that it is read at once later; it can be lost."""
    with open_atomic(directory.result_file) as stream, zipfile.ZipFile(stream, "w") as archive:
        write_value(archive, "output", output)
        for number, value in enumerate(by_dataset.values()):
            write_value(archive, f"by_dataset/{number}", value)
        index = {
            "format": RESULT_FORMAT,
            "version": 1,
            "datasets": list(by_dataset),
            "fingerprint": _fingerprint(segments),
        }
        archive.writestr("index.json", json.dumps(index, ensure_ascii=False))


def _read_result(
    directory: RunDirectory, segments: list[Segment], *, trust: bool
) -> tuple[Any, dict[str, Any]] | None:
    """The kept sum, if it is the sum of exactly these segments."""
    try:
        with zipfile.ZipFile(directory.result_file) as archive:
            index = json.loads(archive.read("index.json"))
            if index["fingerprint"] != _fingerprint(segments):
                return None
            by_dataset = {
                name: read_value(archive, f"by_dataset/{number}", trust=trust)
                for number, name in enumerate(index["datasets"])
            }
            return read_value(archive, "output", trust=trust), by_dataset
    except (OSError, zipfile.BadZipFile, KeyError, json.JSONDecodeError):
        return None
