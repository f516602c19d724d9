"""Outputs written into other people's formats, one file of code per format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from beampipe.errors import ExportError
from beampipe.results.exports.coffea_file import write_coffea
from beampipe.results.exports.exported import Exported
from beampipe.results.exports.json_file import write_json
from beampipe.results.exports.origin import Origin, RunToExport, choose_output, describe_origin
from beampipe.results.exports.parquet_files import write_parquet
from beampipe.results.exports.root_file import write_root

ExportFormat = Literal["root", "json", "coffea", "parquet"]

EXPORTERS: dict[str, Callable[[Any, Path, Origin | None], Exported]] = {
    "root": write_root,
    "json": write_json,
    "coffea": write_coffea,
    "parquet": write_parquet,
}
"""A format's name, and what writes it."""

__all__ = ["EXPORTERS", "ExportFormat", "Exported", "export_output", "export_run"]


def export_run(
    run: RunToExport,
    path: Path,
    *,
    export_format: ExportFormat | None = None,
    dataset: str | None = None,
) -> Exported:
    """Write a run's output in a format, together with what it lacks.

    Parameters
    ----------
    run : RunResult or RunRecord
        The run.
    path, export_format
        As for `export_output`.
    dataset : str, optional
        Only the output of this dataset; the sum over datasets if not given.

    Raises
    ------
    ExportError
        ``result-export``: as `export_output`, and where there is no such output.
    """
    origin = describe_origin(run, dataset)
    output = choose_output(run, dataset)
    return export_output(output, path, export_format=export_format, origin=origin)


def export_output(
    output: Any,
    path: Path,
    *,
    export_format: ExportFormat | None = None,
    origin: Origin | None = None,
) -> Exported:
    """Write an output in a format.

    Parameters
    ----------
    output : Any
        The summed output.
    path : Path
        The file, or the directory for parquet.
    export_format : {"root", "json", "coffea", "parquet"}, optional
        The path's ending if not given.
    origin : mapping, optional
        What the file is to say of the run (see `describe_origin`); coffea files say nothing, so
        that they can be added.

    Returns
    -------
    Exported
        What was written, and what was skipped with the reason.

    Raises
    ------
    ExportError
        ``result-export``: the format is unknown, nothing in the output can be written in it, or
        the file system refuses.
    """
    chosen = export_format or path.suffix.lstrip(".").lower()
    if chosen not in EXPORTERS:
        raise ExportError(
            f"There is no export format {chosen!r}.",
            why=f"{path.name} does not end in one either" if export_format else "",
            fix=f"choose one of {', '.join(get_args(ExportFormat))}",
        )
    exported = EXPORTERS[chosen](output, path, origin)
    if not exported.written:
        reasons = [f"{name}: {reason}" for name, reason in exported.skipped.items()]
        raise ExportError(
            f"Nothing in the output can be written as {chosen}.",
            why="; ".join(reasons[:8]) or "the output is empty",
            fix="coffea takes everything: --format coffea"
            if reasons
            else "`beampipe show RUN` lists the outputs that there are",
        )
    return exported
