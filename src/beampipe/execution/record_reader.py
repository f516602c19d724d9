"""A run read back from its directory, with or without its values."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beampipe.datasets.model import Plan
from beampipe.datasets.plan_format import plan_from_json
from beampipe.environments.own_code import users_code_importable
from beampipe.errors import AccumulationError, NotARunError, PlanFormatError, TrustError
from beampipe.execution.accounting import (
    Accounting,
    Failure,
    account,
    list_failures,
    tally_manifests,
)
from beampipe.execution.accumulators import add_into, copy_output
from beampipe.execution.claims import last_driver
from beampipe.execution.encoding import read_value, write_value
from beampipe.execution.history import (
    ACCEPTED,
    NOT_REUSED,
    REMARK,
    REUSED,
    list_texts,
    read_history,
)
from beampipe.execution.lease import is_held
from beampipe.execution.ledger import read_segments
from beampipe.execution.record import RunRecord
from beampipe.execution.run_directory import RunDirectory, check_member, open_run_directory
from beampipe.execution.segments import TORN, Segment
from beampipe.execution.storage import dump_json, is_own, load_sealed, open_atomic
from beampipe.execution.summing import sum_segments

RESULT_FORMAT = "beampipe-result"
RESULT_VERSION = 1


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
    incidents: tuple[Mapping[str, Any], ...] = ()
    accepted_changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def is_own_directory(path: Path) -> bool:
    """Whether a run directory is the user's own and no one else may write to it.

    Only then are pickles in it loaded unasked: a pickle can run any code. What is in it is
    looked at too, because a file that others may write to can be changed where it lies.
    """
    directory = RunDirectory(path)
    parts = [path, directory.segments, directory.processor_file, directory.result_file]
    parts += path.glob("processor-*.pkl")
    parts += directory.segments.glob("*.zip")
    return all(map(is_own, parts))


def read_plan(directory: RunDirectory, run: Mapping[str, Any]) -> Plan:
    """Read the plan of a run.

    Raises
    ------
    NotARunError
        ``run-not-found``: the plan is not there, or not what it was when the run began.
    """
    try:
        text = directory.plan_file.read_bytes()
        check_member(run, directory.plan_file, text)
        return plan_from_json(json.loads(text))
    except (NotARunError, PlanFormatError):
        raise
    except (OSError, AttributeError, ValueError) as error:
        raise NotARunError(
            f"The plan of {directory.path} cannot be read.",
            why=f"{type(error).__name__}: {error}",
            fix="the directory was damaged; run the analysis again",
        ) from error


def read_incidents(directory: RunDirectory) -> tuple[Mapping[str, Any], ...]:
    """What earlier drivers wrote down of what went wrong and was got over."""
    return _read_incidents(_load_outcome(directory))


def _load_outcome(directory: RunDirectory) -> dict[str, Any]:
    try:
        return load_sealed(directory.outcome_file.read_bytes())
    except (OSError, ValueError):
        return {}


def read_outcome(directory: RunDirectory) -> dict[str, Any]:
    """What the last driver left; empty while it is at work, or when it was killed."""
    outcome = _load_outcome(directory)
    if outcome.get("driver") != last_driver(directory):
        return {}  # of an earlier driver, and the ledger went on since
    return outcome


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
    accounting = _read_accounting(outcome)
    segments: list[Segment] = []
    if accounting is None:
        segments = list(read_segments(directory, run["run_id"]))
        tally = tally_manifests(segment.manifest for segment in segments)
        accounting = account(read_plan(directory, run), tally)
    return RunSummary(
        run_dir=run_dir,
        run_id=run["run_id"],
        name=run["name"],
        created=run["created"],
        status=_status(directory, outcome, accounting, segments),
        accounting=accounting,
        metrics=outcome.get("metrics", {}),
        provenance=run.get("provenance", {}),
        incidents=_read_incidents(outcome),
        accepted_changes=_read_accepted_changes(run_dir, run, outcome),
        notes=list_texts(read_history(run_dir), REUSED, NOT_REUSED, REMARK),
    )


def _read_incidents(outcome: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    return tuple(entry for entry in _read_list(outcome, "incidents") if isinstance(entry, dict))


def _read_accepted_changes(
    run_dir: Path, run: Mapping[str, Any], outcome: Mapping[str, Any]
) -> tuple[str, ...]:
    texts = [_read_list(source, "accepted_changes") for source in (run, outcome)]
    texts.append(list(list_texts(read_history(run_dir), ACCEPTED)))
    return tuple(dict.fromkeys(str(text) for some in texts for text in some))


def _tell_undeclared(run: Mapping[str, Any], segments: Iterable[Segment]) -> Iterator[str]:
    """Name the files that the processor opened without being declared."""
    declared = {os.path.realpath(path) for path in _read_list(run.get("options", {}), "inputs")}
    opened = {path for segment in segments for path in segment.manifest.opened}
    names = sorted(
        path for path in opened if not any(Path(path).is_relative_to(known) for known in declared)
    )
    if names:
        yield (
            f"The processor opened files that were not declared: {', '.join(names)}. A later run "
            "would not notice a change of them; declare them with inputs= (--input)."
        )


def _read_list(source: Mapping[str, Any], key: str) -> list[Any]:
    """A list that may be absent; one that makes no sense is no reason not to show the run."""
    found = source.get(key)
    return found if isinstance(found, list) else []


def _read_accounting(outcome: Mapping[str, Any]) -> Accounting | None:
    try:
        return Accounting.from_json(outcome["accounting"])
    except (KeyError, TypeError):
        return None


def _status(
    directory: RunDirectory,
    outcome: Mapping[str, Any],
    accounting: Accounting,
    segments: list[Segment],
) -> str:
    if is_held(directory):
        return "running"
    # The ledger has the last word, also where how the run ended was not, or is not, written down.
    if not outcome and accounting.is_complete and _is_summed_up(directory, segments):
        return "complete"
    status = str(outcome.get("status", "interrupted"))
    return "incomplete" if status == "complete" and not accounting.is_complete else status


def read_failures(run_dir: Path) -> tuple[Failure, ...]:
    """Read the holes of a run with their reasons."""
    directory, run = open_run_directory(run_dir)
    segments = read_segments(directory, run["run_id"])
    tally = tally_manifests(segment.manifest for segment in segments)
    return list_failures(read_plan(directory, run), tally)


def read_record(
    run_dir: Path, *, trust: bool | None = None, segments: list[Segment] | None = None
) -> RunRecord:
    """Read a run with its values.

    Parameters
    ----------
    run_dir : Path
    segments : list of Segment, optional
        All that count, where the caller has read and checked them already.
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
    plan = read_plan(directory, run)
    if segments is None:
        segments = list(read_segments(directory, run["run_id"]))
    outcome = read_outcome(directory)
    reused = set(outcome.get("reused_segments", []))
    tally = tally_manifests(
        (segment.manifest for segment in segments if segment.number not in reused),
        reused=(segment.manifest for segment in segments if segment.number in reused),
    )
    accounting = account(plan, tally)
    processor_file = run.get("provenance", {}).get("processor_file", "")
    with users_code_importable(processor_file if trust else ""):
        values = _read_result(directory, segments, trust=trust)
        if values is None:
            by_dataset = sum_segments(segments, trust=trust)
            values = (_add_if_possible(by_dataset), by_dataset)
    return RunRecord(
        run_dir=run_dir,
        run_id=run["run_id"],
        name=run["name"],
        created=run["created"],
        status=_status(directory, outcome, accounting, segments),
        output=values[0],
        by_dataset=values[1],
        accounting=accounting,
        failures=list_failures(plan, tally),
        metrics=outcome.get("metrics", {}),
        provenance=run.get("provenance", {}),
        metadata={dataset.name: dataset.metadata for dataset in plan.datasets},
        incidents=_read_incidents(outcome),
        accepted_changes=_read_accepted_changes(run_dir, run, outcome),
        notes=(
            *list_texts(read_history(run_dir), REUSED, NOT_REUSED, REMARK),
            *_tell_undeclared(run, segments),
        ),
    )


def add_datasets(by_dataset: Mapping[str, Any]) -> Any:
    """The sum over datasets, as coffea sums; None when there is nothing.

    Raises
    ------
    AccumulationError
        ``output-not-addable``
    """
    values = iter(by_dataset.values())
    total = copy_output(next(values, None))
    for name, value in zip(list(by_dataset)[1:], values, strict=True):
        try:
            total = add_into(total, value)
        except AccumulationError as error:
            error.why = f"dataset {name!r} against those before it: {error.why}"
            error.fix = (
                "let the processor return the same structure for every dataset; the sum of each "
                "dataset is kept: `beampipe.load(run_dir).by_dataset`"
            )
            raise
    return total


def _add_if_possible(by_dataset: Mapping[str, Any]) -> Any:
    """The sum over datasets; None where there is none, so that each by itself can be had."""
    try:
        return add_datasets(by_dataset)
    except AccumulationError:  # the run that found it has told, and its status does
        return None


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
            "version": RESULT_VERSION,
            "datasets": list(by_dataset),
            "fingerprint": _fingerprint(segments),
        }
        archive.writestr("index.json", dump_json(index))


def _read_result(
    directory: RunDirectory, segments: list[Segment], *, trust: bool
) -> tuple[Any, dict[str, Any]] | None:
    """The kept sum, if it is the sum of exactly these segments."""
    try:
        with zipfile.ZipFile(directory.result_file) as archive:
            index = json.loads(archive.read("index.json"))
            if not _is_index_of(index, segments):
                return None
            by_dataset = {
                name: read_value(archive, f"by_dataset/{number}", trust=trust)
                for number, name in enumerate(index["datasets"])
            }
            return read_value(archive, "output", trust=trust), by_dataset
    except TrustError:  # a sum without its `postprocess` is no stand-in for what was kept
        raise
    except (OSError, *TORN):
        return None


def _is_summed_up(directory: RunDirectory, segments: list[Segment]) -> bool:
    """Whether a driver came as far as to keep the sum of exactly these segments."""
    try:
        with zipfile.ZipFile(directory.result_file) as archive:
            return _is_index_of(json.loads(archive.read("index.json")), segments)
    except (OSError, *TORN):
        return False


def _is_index_of(index: Mapping[str, Any], segments: list[Segment]) -> bool:
    kind = (index["format"], index["version"], index["fingerprint"])
    return kind == (RESULT_FORMAT, RESULT_VERSION, _fingerprint(segments))
