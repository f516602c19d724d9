"""Failures of one kind put together, so that a thousand of them make one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from beampipe.execution.accounting import Failure

MAX_PLACES = 50


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures with the same code, exception and first line of the message.

    Attributes
    ----------
    headline : str
        ``"ValueError: first line"``.
    code : str
        The stable code.
    events : int
        Entries in the ranges that failed [events].
    failures : tuple of Failure
        The first `MAX_PLACES`.
    count : int
        How many there are in all.
    """

    headline: str
    code: str
    events: int
    failures: tuple[Failure, ...]
    count: int


def group_failures(failures: Sequence[Failure]) -> list[FailureGroup]:
    """Group failures, the kind that cost the most events first."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        lines = failure.message.strip().splitlines() or [""]
        headline = f"{failure.error_type}: {lines[0]}"
        groups.setdefault((failure.code, headline), []).append(failure)
    found = [
        FailureGroup(
            headline,
            code,
            sum(max(failure.stop - failure.start, 0) for failure in members),
            tuple(members[:MAX_PLACES]),
            len(members),
        )
        for (code, headline), members in groups.items()
    ]
    return sorted(found, key=lambda group: (-group.events, -group.count))
