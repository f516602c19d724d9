"""Failures of one kind put together, so that a thousand of them make one line."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from beampipe.execution.accounting import Failure
from beampipe.results.quantities import count_noun, format_bytes

MAX_PLACES = 50
_MAX_COLUMNS = 6
_KINDS = {
    "transient": "network or storage",
    "data": "the file",
    "processor": "the processor",
    "resource": "memory or disk",
    "worker": "a worker's death",
}


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures with the same code, exception and first line of the message.

    Attributes
    ----------
    headline : str
        ``"ValueError: first line"``.
    code : str
        The stable code.
    kind : str
        What it is, in words; empty where nobody said.
    events : int
        Entries in the ranges that failed [events].
    failures : tuple of Failure
        The first `MAX_PLACES`.
    count : int
        How many there are in all.
    by_dataset : mapping of str to int
        How many there are in each dataset, the most first.
    """

    headline: str
    code: str
    events: int
    failures: tuple[Failure, ...]
    count: int
    kind: str = ""
    by_dataset: Mapping[str, int] = field(default_factory=dict)

    @property
    def extent(self) -> str:
        """How much it is: "12 chunks with 3,000 events, of DY (8), TT (4)"."""
        noun = "chunk" if self.failures[0].n else "file"
        events = count_noun(self.events, "event") if self.events else "an unknown number of events"
        names = list(self.by_dataset)
        if len(names) > 1:
            names = [f"{name} ({n:,})" for name, n in self.by_dataset.items()]
        return f"{count_noun(self.count, noun)} with {events}, of {', '.join(names)}"


def group_failures(failures: Sequence[Failure]) -> list[FailureGroup]:
    """Group failures, the kind that cost the most events first."""
    groups: dict[tuple[str, str, str], list[Failure]] = {}
    for failure in failures:
        lines = failure.message.strip().splitlines() or [""]
        headline = f"{failure.error_type}: {lines[0]}"
        groups.setdefault((failure.kind, failure.code, headline), []).append(failure)
    found = [
        FailureGroup(
            headline,
            code,
            sum(max(failure.stop - failure.start, 0) for failure in members),
            tuple(members[:MAX_PLACES]),
            len(members),
            kind=describe_kind(kind),
            by_dataset=dict(Counter(failure.dataset for failure in members).most_common()),
        )
        for (kind, code, headline), members in groups.items()
    ]
    return sorted(found, key=lambda group: (-group.events, -group.count))


def describe_kind(kind: str) -> str:
    """Say in words what kind of error it is; a kind of a later version is shown as it stands."""
    return _KINDS.get(kind, kind)


def describe_seen(seen: Mapping[str, Any]) -> str:
    """Say what was seen of the death of a worker; empty for nothing.

    Examples
    --------
    >>> describe_seen({"signal": 9, "memory_bytes": 1.42e9, "memory_limit_bytes": 1.5e9})
    'killed by signal 9 (SIGKILL); memory 1.42 GB of 1.5 GB'
    """
    parts = []
    if seen.get("signal"):
        parts.append(f"killed by signal {_name_signal(seen['signal'])}")
    elif seen.get("exit_code") is not None:
        parts.append(f"ended with exit code {seen['exit_code']}")
    if seen.get("memory_bytes"):
        limit = seen.get("memory_limit_bytes")
        of = f" of {format_bytes(limit)}" if limit else ", no limit known"
        parts.append(f"memory {format_bytes(seen['memory_bytes'])}{of}")
    if columns := tuple(seen.get("columns") or ()):
        more = len(columns) - _MAX_COLUMNS
        named = ", ".join(map(str, columns[-_MAX_COLUMNS:]))
        parts.append(f"last columns read: {named}" + (f" (and {more} before)" if more > 0 else ""))
    if killed := seen.get("workers_killed"):
        parts.append(f"killed {count_noun(int(killed), 'worker')}")
    return "; ".join(parts)


def describe_death(failure: Failure) -> str:
    """What was seen of the death of the worker that had a chunk; empty if none died."""
    if failure.seen or failure.kind == "worker":
        return describe_seen(failure.seen) or "exit code, signal and memory are not available"
    return ""


def _name_signal(number: Any) -> str:
    try:
        return f"{int(number)} ({signal.Signals(int(number)).name})"
    except (TypeError, ValueError):
        return str(number)
