"""The page put together: a template filled with what a run recorded.

The page asks nothing of the network and runs no script: its content policy forbids both, plots
are images inside it, and every name is escaped by the template engine.
"""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beampipe.errors import ResultStorageError
from beampipe.results.contents import describe_value, sort_contents
from beampipe.results.cutflow import find_cutflows
from beampipe.results.failures import describe_death, describe_kind, group_failures
from beampipe.results.incidents import (
    MAX_INCIDENTS,
    count_incidents,
    group_incidents,
    list_remarks,
)
from beampipe.results.quantities import (
    format_bytes,
    format_missing,
    format_number,
    format_quantity,
    format_seconds,
    format_share,
    format_time,
)
from beampipe.results.report.figures import draw_figures
from beampipe.results.report.provenance import flatten_provenance
from beampipe.results.summary import describe_place
from beampipe.results.timing import explain_timing
from beampipe.results.verdict import judge_run

if TYPE_CHECKING:
    from beampipe.execution.record import RunRecord


def write_report(record: RunRecord, path: Path) -> Path:
    """Write the page of a run.

    Parameters
    ----------
    record : RunRecord
        The run.
    path : Path
        The file; its folder is made if it is not there.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ResultStorageError
        ``result-storage``: the file cannot be written.
    """
    page = render_report(record)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ResultStorageError(
            f"The report cannot be written to {path}.",
            why=str(error),
            fix="give another file with --output",
        ) from error
    return path


def render_report(record: RunRecord) -> str:
    """Write the page of a run as text.

    Parameters
    ----------
    record : RunRecord
        The run.

    Returns
    -------
    str
        A whole HTML document.
    """
    import jinja2  # 0.05 s: not at import

    folder = resources.files(__package__)
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": format_number,
        "share": format_share,
        "quote": lambda path: shlex.quote(str(path)),
        "percent": _format_percent,
        "seconds": format_seconds,
        "time": format_time,
        "what": describe_value,
        "place": describe_place,
        "missing": format_missing,
        "kind": describe_kind,
        "death": describe_death,
    }
    template = environment.from_string(folder.joinpath("page.html.j2").read_text("utf-8"))
    style = folder.joinpath("page.css").read_text("utf-8")
    return template.render(style=style, **_gather(record))


def _gather(record: RunRecord) -> dict[str, Any]:
    """Gather everything that the template shows."""
    contents = sort_contents(record.output)
    cutflows, tables = find_cutflows(contents.tables, record.by_dataset)
    figures, left_out = draw_figures(record.output, record.by_dataset)
    return {
        "run": record,
        "run_dir": record.run_dir.absolute(),
        "verdict": judge_run(record.status, record.accounting),
        "facts": _list_facts(record),
        "figures": figures,
        "left_out": left_out,
        "cutflows": cutflows,
        "tables": tables,
        "scalars": contents.scalars,
        "others": (*contents.arrays, *contents.others),
        "failures": group_failures(record.failures),
        "remarks": list_remarks(record),
        "holed": [row for row in record.accounting.datasets if not row.is_complete],
        **_gather_incidents(record),
        "timing": explain_timing(record.metrics),
        "provenance": flatten_provenance(record.provenance),
        "versions": dict(record.provenance.get("versions") or {}),
    }


def _gather_incidents(record: RunRecord) -> dict[str, Any]:
    groups = group_incidents(record.incidents)
    return {
        "incidents": groups[:MAX_INCIDENTS],
        "incidents_left_out": len(groups[MAX_INCIDENTS:]),
        "incidents_counted": count_incidents(record.incidents),
    }


def _list_facts(record: RunRecord) -> list[tuple[str, str]]:
    """List the figures at the top of the page: those that were measured."""
    accounting, metrics = record.accounting, record.metrics
    facts = [("Events processed", f"{accounting.events_processed:,}")]
    if "wall_s" in metrics:
        facts.append(("Wall time", format_seconds(metrics["wall_s"])))
    if metrics.get("events_per_s"):
        facts.append(("Events per second", format_quantity(metrics["events_per_s"])))
    if metrics.get("bytes_read"):
        facts.append(("Read", format_bytes(metrics["bytes_read"])))
    if metrics.get("n_workers"):
        facts.append(("Workers", f"{metrics['n_workers']:,}"))
    facts.append(("Files", f"{sum(dataset.files for dataset in accounting.datasets):,}"))
    return facts


def _format_percent(fraction: float | None) -> str:
    return "" if fraction is None else format_share(fraction, 1.0)
