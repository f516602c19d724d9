"""The plan read for the proof, from the file as it is documented."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beampipe.results.intervals import Range, find_overlap

_FORMAT = ("beampipe-plan", 1)
_DIGESTED = ("uuid", "treename", "entries", "n_chunks", "used_chunks", "stop", "steps")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file and the entries of it that are in the plan.

    Attributes
    ----------
    n, used : int
        The file is cut into `n` parts, of which the first `used` are in the plan.
    ranges : tuple of (int, int)
        The planned entries.
    steps : tuple of (int, int) or None
        What the parts must be exactly; None where workers choose the borders.
    """

    uuid: str
    n: int
    used: int
    ranges: tuple[Range, ...]
    steps: tuple[Range, ...] | None


@dataclass(frozen=True, slots=True)
class PlannedDataset:
    """A dataset, its files by uuid, and how many files could not be counted."""

    name: str
    files: Mapping[str, PlannedFile]
    uncounted: int


def read_plan_file(
    run_dir: Path, run: Mapping[str, Any], errors: list[str], notes: list[str]
) -> tuple[PlannedDataset, ...] | None:
    """Read ``plan.json`` and hold it against the digest in ``run.json``.

    Returns
    -------
    tuple of PlannedDataset or None
        None if it cannot be read; that and all other contradictions are added to `errors`.
    """
    try:
        text = (run_dir / "plan.json").read_bytes()
        plan = json.loads(text)
        rows = [_read_rows(plan, dataset) for dataset in plan["datasets"]]
        datasets = list(zip(plan["datasets"], rows, strict=True))
        if (plan["format"], plan["version"]) != _FORMAT:
            errors.append(f"plan.json: {plan['format']!r} {plan['version']!r} is not known here")
            return None
        _check_bytes(text, run, errors)
        _check_digest(datasets, run, errors, notes)
        return tuple(_read_dataset(dataset, rows, errors) for dataset, rows in datasets)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        errors.append(f"plan.json cannot be read, so nothing can be proved ({why})")
        return None


def _read_rows(plan: Mapping[str, Any], dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(plan["columns"], row, strict=True)) for row in dataset["files"]]


def _check_bytes(text: bytes, run: Mapping[str, Any], errors: list[str]) -> None:
    digests = run.get("sha256", {})
    expected = digests.get("plan.json") if isinstance(digests, dict) else None
    if expected is not None and hashlib.sha256(text).hexdigest() != expected:
        errors.append("plan.json was changed or damaged since the run began")


def _check_digest(
    datasets: list[tuple[Any, list[dict[str, Any]]]],
    run: Mapping[str, Any],
    errors: list[str],
    notes: list[str],
) -> None:
    digest = hashlib.sha256(" ".join(map(str, _FORMAT)).encode() + b"\n")
    for dataset, rows in datasets:
        lines = [["dataset", dataset["name"]], *([row[key] for key in _DIGESTED] for row in rows)]
        for line in lines:
            digest.update(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    expected = run.get("provenance", {}).get("plan_sha256")
    if expected is None:
        notes.append("run.json does not say which plan was made (no plan_sha256)")
    elif digest.hexdigest() != expected:
        errors.append("plan.json is not the plan that this run began with")


def _read_dataset(
    dataset: Mapping[str, Any], rows: list[dict[str, Any]], errors: list[str]
) -> PlannedDataset:
    files: dict[str, PlannedFile] = {}
    for row in rows:
        file = _read_file(row)
        if file.uuid in files:
            errors.append(f"dataset {dataset['name']!r}: the plan has file {file.uuid} twice")
        if not _is_sound(file, row["entries"]):
            errors.append(f"dataset {dataset['name']!r}: the cuts of file {file.uuid} are wrong")
        files[file.uuid] = file
    return PlannedDataset(dataset["name"], files, len(dataset["uncounted"]))


def _read_file(row: Mapping[str, Any]) -> PlannedFile:
    used = int(row["used_chunks"])
    steps: tuple[Range, ...] | None = None
    ranges: tuple[Range, ...] = ((0, int(row["stop"])),) if used else ()
    if row["steps"] is not None:
        steps = tuple((int(start), int(stop)) for start, stop in row["steps"])
        ranges = steps[:used]
    return PlannedFile(row["uuid"], int(row["n_chunks"]), used, ranges, steps)


def _is_sound(file: PlannedFile, entries: int) -> bool:
    return (
        0 <= file.used <= file.n
        and all(0 <= start <= stop <= entries for start, stop in file.ranges)
        and find_overlap(file.ranges) is None
    )
