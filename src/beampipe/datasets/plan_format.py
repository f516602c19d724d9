"""A plan as JSON: what a run directory keeps in ``plan.json``, and its digest."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from beampipe.datasets.model import DatasetPlan, FileEntry, FilePlan, Plan, UncountedFile
from beampipe.errors import DatasetError, PlanFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORMAT = "beampipe-plan"
VERSION = 1

COLUMNS = (
    "urls",
    "treename",
    "uuid",
    "entries",
    "size_bytes",
    "kind",
    "n_chunks",
    "used_chunks",
    "stop",
    "steps",
)
"""What each row of a dataset's `files` holds; one row per file keeps 40,000 files small."""


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Turn a plan into plain values for ``json.dump``.

    Parameters
    ----------
    plan : Plan
        A plan.

    Returns
    -------
    dict
        With ``format``, ``version``, ``chunksize``, ``columns`` (names of the values in each
        file's row) and ``datasets``: a list of ``{"name", "metadata", "files", "uncounted"}``.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "chunksize": plan.chunksize,
        "columns": list(COLUMNS),
        "datasets": [
            {
                "name": dataset.name,
                "metadata": dict(dataset.metadata),
                "files": [_row(file) for file in dataset.files],
                "uncounted": [_uncounted_to_json(file) for file in dataset.uncounted],
            }
            for dataset in plan.datasets
        ],
    }


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """Make a plan again from what :func:`plan_to_json` gave.

    Parameters
    ----------
    data : mapping
        The parsed JSON.

    Returns
    -------
    Plan
        Equal to the one that was stored (the errors of uncounted files are made again from
        their texts).

    Raises
    ------
    PlanFormatError
        ``dataset-plan-format``: not a plan, or one of a version that is not known here.
    """
    found = (data.get("format"), data.get("version"))
    if found != (FORMAT, VERSION):
        raise PlanFormatError(
            f"This is no plan that this version of Beampipe reads: {found[0]!r} {found[1]!r}.",
            why=f"it reads {FORMAT!r} version {VERSION}",
            fix="use the version of Beampipe that wrote it, or plan again",
        )
    try:
        return _build(data)
    except (KeyError, TypeError, ValueError) as error:
        raise PlanFormatError(
            "The stored plan is damaged.",
            why=f"{type(error).__name__}: {error}",
            fix="take it from a backup, or plan again",
        ) from error


def plan_digest(plan: Plan) -> str:
    """Give a digest of what a plan does, wherever the files lie.

    Parameters
    ----------
    plan : Plan
        A plan.

    Returns
    -------
    str
        SHA-256 as 64 hexadecimal digits, of dataset names, uuids, trees, entries and cuts.
        URLs, sizes and metadata have no part in it.
    """
    digest = hashlib.sha256(f"{FORMAT} {VERSION}\n".encode())
    for line in _digest_lines(plan):
        digest.update(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def _digest_lines(plan: Plan) -> Iterator[list[Any]]:
    for dataset in plan.datasets:
        yield ["dataset", dataset.name]
        for cut in dataset.files:
            file = cut.file
            cuts = [cut.n_chunks, cut.used_chunks, cut.stop, cut.steps]
            yield [file.uuid, file.treename, file.entries, *cuts]


def _row(plan: FilePlan) -> list[Any]:
    file = plan.file
    return [
        list(file.urls),
        file.treename,
        file.uuid,
        file.entries,
        file.size_bytes,
        file.kind,
        plan.n_chunks,
        plan.used_chunks,
        plan.stop,
        None if plan.steps is None else [list(step) for step in plan.steps],
    ]


def _uncounted_to_json(file: UncountedFile) -> dict[str, Any]:
    error = file.error
    return {
        "urls": list(file.urls),
        "treename": file.treename,
        "error": {
            "code": error.code,
            "message": error.message,
            "why": error.why,
            "fix": error.fix,
            "kind": error.facts.get("kind", ""),
            "rule": error.facts.get("rule", ""),
        },
    }


def _build(data: Mapping[str, Any]) -> Plan:
    columns = data["columns"]
    return Plan(
        tuple(
            DatasetPlan(
                dataset["name"],
                tuple(
                    _file_plan(dataset["name"], dict(zip(columns, row, strict=True)))
                    for row in dataset["files"]
                ),
                tuple(_uncounted(dataset["name"], file) for file in dataset["uncounted"]),
                dataset["metadata"],
            )
            for dataset in data["datasets"]
        ),
        data["chunksize"],
    )


def _file_plan(dataset: str, row: dict[str, Any]) -> FilePlan:
    file = FileEntry(
        dataset,
        tuple(row["urls"]),
        row["treename"],
        row["uuid"],
        row["entries"],
        row["size_bytes"],
        row["kind"],
    )
    steps = row["steps"]
    if steps is not None:
        steps = tuple((start, stop) for start, stop in steps)
    return FilePlan(file, row["n_chunks"], row["used_chunks"], row["stop"], steps)


def _uncounted(dataset: str, data: Mapping[str, Any]) -> UncountedFile:
    stored = data["error"]
    kinds = {kind.code: kind for kind in DatasetError.__subclasses__()}
    error = kinds.get(stored["code"], DatasetError)(
        stored["message"],
        why=stored["why"],
        fix=stored["fix"],
        kind=stored.get("kind", ""),
        rule=stored.get("rule", ""),
    )
    return UncountedFile(dataset, tuple(data["urls"]), error, data.get("treename"))
