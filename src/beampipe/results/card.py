"""The result as a notebook shows it: the status on its face, the accounting below."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from beampipe.results.failures import FailureGroup, describe_death, group_failures
from beampipe.results.incidents import count_incidents, list_remarks
from beampipe.results.quantities import format_missing, format_share
from beampipe.results.summary import describe_run
from beampipe.results.verdict import judge_run

if TYPE_CHECKING:
    from beampipe.execution.accounting import DatasetAccounting
    from beampipe.execution.record import RunRecord

_TITLES = ("Dataset", "Files", "Planned", "Processed", "", "Failed", "Not reached", "Missing")
_MAX_ROWS = 30
_MAX_GROUPS = 3
# Half-transparent colours read on the light and on the dark theme of a notebook.
_TONES = {True: ("#1d9a55", "rgba(29,154,85,.12)"), False: ("#d9483b", "rgba(217,72,59,.13)")}


def render_card(record: RunRecord) -> str:
    """Write the card of a run.

    Parameters
    ----------
    record : RunRecord
        The run.

    Returns
    -------
    str
        An HTML fragment without scripts; every name is escaped.
    """
    verdict = judge_run(record.status, record.accounting)
    colour, ground = _TONES[verdict.is_complete]
    head = "".join(
        f'<th style="text-align:{"left" if title == "Dataset" else "right"}">{title}</th>'
        for title in _TITLES
    )
    datasets = record.accounting.datasets
    rows = "".join(_render_row(row) for row in datasets[:_MAX_ROWS])
    more = f"<div>and {len(datasets) - _MAX_ROWS} more datasets</div>"
    return (
        f'<div style="border-left:.35em solid {colour};background:{ground};'
        f'padding:.6em 1em;border-radius:.4em;max-width:60em">'
        f"<div><b>{escape(record.name)}</b>&emsp;"
        f'<b style="color:{colour}">{escape(verdict.headline)}</b></div>'
        f"<div>{escape(verdict.sentence)}</div>"
        f'<div style="opacity:.7">{escape(describe_run(record))}</div>'
        f"{''.join(f'<div>{escape(remark)}</div>' for remark in list_remarks(record))}</div>"
        f'<table style="margin:.6em 0"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        f"{more if len(datasets) > _MAX_ROWS else ''}"
        f"{_render_failures(record)}"
        f'<div style="opacity:.7"><code>{escape(str(record.run_dir))}</code></div>'
    )


def _render_row(row: DatasetAccounting) -> str:
    files = f"{row.files:,}" + (f" ({row.files_uncounted} bad)" if row.files_uncounted else "")
    cells = (
        files,
        f"{row.events_planned:,}",
        f"{row.events_processed:,}",
        format_share(row.events_processed, row.events_planned),
        f"{row.events_failed:,}",
        f"{row.events_not_reached:,}",
        format_missing(row),
    )
    numbers = "".join(f'<td style="text-align:right">{cell}</td>' for cell in cells)
    return f'<tr><th style="text-align:left">{escape(row.name)}</th>{numbers}</tr>'


def _render_failures(record: RunRecord) -> str:
    """The costliest kinds of failure, and what happened on the way."""
    groups = group_failures(record.failures)
    text = "".join(f"<li>{_render_group(group)}</li>" for group in groups[:_MAX_GROUPS])
    if len(groups) > _MAX_GROUPS:
        text += f"<li>and {len(groups) - _MAX_GROUPS} more kinds of failure</li>"
    text = f'<ul style="margin:.2em 0">{text}</ul>' if text else ""
    if counted := count_incidents(record.incidents):
        text += f'<div style="opacity:.7">On the way: {escape(counted)}</div>'
    return text


def _render_group(group: FailureGroup) -> str:
    kind = f" ({escape(group.kind)})" if group.kind else ""
    seen = describe_death(group.failures[0])
    return (
        f"<b>{escape(group.extent)}</b>{kind}: {escape(group.headline)} "
        f"<code>{escape(group.code)}</code>" + (f"<br>{escape(seen)}" if seen else "")
    )
