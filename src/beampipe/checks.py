"""What a finding is: a code, a status, the fact that was measured, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Status = Literal["ok", "warning", "error"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    code : str
        Stable kebab-case name of the check.
    status : {"ok", "warning", "error"}
        How it came out.
    fact : str
        What was measured, in one sentence.
    remedy : str
        What to do about it; needed unless the status is ``ok``.

    Raises
    ------
    ValueError
        The status is none of the three, or a remedy is missing.
    """

    code: str
    status: Status
    fact: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"finding {self.code!r}: {self.status!r} is none of {STATUSES}")
        if self.status != "ok" and not self.remedy:
            raise ValueError(f"finding {self.code!r} has status {self.status!r} and no remedy")


def render_findings(findings: Iterable[Finding], *, code_width: int = 0) -> str:
    r"""Write findings as plain text, one per line, remedies below their findings.

    Parameters
    ----------
    findings : iterable of Finding
        In the order in which they are to stand.
    code_width : int
        At least so wide is the column of codes, where findings are written one by one.

    Returns
    -------
    str
        Without a newline at the end; empty when there is nothing to say.

    Examples
    --------
    >>> print(render_findings([Finding("disk", "warning", "2 GB free", "delete old runs")]))
    warning  disk  2 GB free
             fix: delete old runs
    """
    rows = list(findings)
    code_width = max([code_width, *(len(row.code) for row in rows)])
    status_width = max(len(status) for status in STATUSES)
    lines = []
    for row in rows:
        lines.append(f"{row.status:<{status_width}}  {row.code:<{code_width}}  {row.fact}")
        if row.remedy:
            lines.append(f"{'':<{status_width}}  fix: {row.remedy}")
    return "\n".join(lines)
