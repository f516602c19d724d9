"""What a run went through without ending on it: retries, deaths of workers, hosts to avoid, ..."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from beampipe.results.quantities import count_noun, format_time

MAX_INCIDENTS = 100
# In the order of what a reader wants to know first: (singular, plural).
_NAMES = {
    "worker-died": ("worker died", "workers died"),
    "retry": ("retry", "retries"),
    "breaker": ("host avoided for a while", "hosts avoided for a while"),
    "twin": ("bundle started again elsewhere", "bundles started again elsewhere"),
    "split": ("chunk split", "chunks split"),
}


@dataclass(frozen=True, slots=True)
class IncidentGroup:
    """Incidents with the same words.

    Attributes
    ----------
    what : str
        ``"retry"``, ``"worker-died"``, ...
    name : str
        The same in words.
    text : str
        What happened, and where.
    count : int
        How often.
    first, last : str
        When, in ISO 8601; empty where it was not said.
    """

    what: str
    name: str
    text: str
    count: int
    first: str
    last: str

    @property
    def when(self) -> str:
        """The time, or from when to when."""
        begin, end = format_time(self.first), format_time(self.last)
        return begin if begin == end else f"{begin} to {end}"


class RunWithMarks(Protocol):
    """What `list_remarks` looks at."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What was measured."""

    @property
    def incidents(self) -> tuple[Mapping[str, Any], ...]:
        """What happened on the way."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken from earlier runs, and the like."""

    @property
    def accepted_changes(self) -> tuple[str, ...]:
        """What had changed, and was accepted."""


def group_incidents(incidents: Iterable[Mapping[str, Any]]) -> list[IncidentGroup]:
    """Put incidents with the same words together, in the order in which they first came."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for incident in incidents:
        place = (str(incident.get("what", "")), str(incident.get("text", "")))
        groups.setdefault(place, []).append(incident)
    return [_make_group(what, text, members) for (what, text), members in groups.items()]


def _make_group(what: str, text: str, members: list[Mapping[str, Any]]) -> IncidentGroup:
    times = sorted(str(member["time"]) for member in members if member.get("time"))
    return IncidentGroup(
        what=what,
        name=_NAMES.get(what, (what.replace("-", " "),))[0],
        text=text,
        count=sum(_count(member) for member in members),
        first=times[0] if times else "",
        last=times[-1] if times else "",
    )


def _count(incident: Mapping[str, Any]) -> int:
    count = incident.get("count", 1)
    return count if isinstance(count, int) else 1


def sum_incidents(incidents: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Count the incidents of each kind."""
    totals: dict[str, int] = {}
    for incident in incidents:
        what = str(incident.get("what", ""))
        totals[what] = totals.get(what, 0) + _count(incident)
    return totals


def count_incidents(incidents: Iterable[Mapping[str, Any]]) -> str:
    """Say how many of each kind: "2 workers died, 14 retries"; empty for none."""
    totals = sum_incidents(incidents)
    known = [what for what in _NAMES if totals.get(what)]
    others = [what for what in totals if what not in _NAMES and totals[what]]
    return ", ".join(
        count_noun(totals[what], *_NAMES.get(what, (what.replace("-", " "),) * 2))
        for what in (*known, *others)
    )


def list_remarks(run: RunWithMarks) -> tuple[str, ...]:
    """What a reader of the numbers must know besides their completeness, in sentences."""
    remarks = [f"Gone on with although this had changed: {one}" for one in run.accepted_changes]
    remarks += run.notes
    if "reproducible" in run.metrics:
        if run.metrics["reproducible"]:
            remarks.append("Reproducible to the bit on processors with the same features.")
        else:
            why = run.metrics.get("reproducible_why") or "the reason was not recorded"
            remarks.append(f"Not reproducible to the bit, although that was asked for: {why}")
    return tuple(remarks)
