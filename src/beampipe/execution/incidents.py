"""What went wrong in a run and was got over: said once, counted, and kept with the outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_MOST = 200


@dataclass(slots=True)
class Incidents:
    """A list that stays short however much goes wrong.

    Attributes
    ----------
    left_out : int
        Incidents of new kinds that found the list full.
    """

    left_out: int = 0
    _entries: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def note(self, what: str, text: str, **facts: Any) -> None:
        """Write down that something happened, or that it happened again.

        Parameters
        ----------
        what : str
            ``"retry"``, ``"worker-died"``, ``"breaker"``, ``"twin"``, ``"split"``, ...
        text : str
            In words; the same text again is counted, not repeated.
        **facts
            What else JSON can hold; the first ones are kept.
        """
        entry = self._entries.get((what, text))
        if entry is not None:
            entry["count"] += 1
        elif len(self._entries) >= _MOST:
            self.left_out += 1
        else:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._entries[what, text] = {"time": now, "what": what, "text": text, "count": 1}
            self._entries[what, text].update(facts)

    def to_json(self) -> list[dict[str, Any]]:
        """The list, in the order in which things first happened."""
        entries = list(self._entries.values())
        if self.left_out:
            text = f"{self.left_out:,} more incidents"
            entries.append({**entries[-1], "what": "more", "text": text, "count": self.left_out})
        return entries
