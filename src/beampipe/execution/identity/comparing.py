"""What changed between two identities, in words."""

from __future__ import annotations

from dataclasses import dataclass

from beampipe.execution.identity.model import Identity, Part

# What is new or gone of these is no matter of a function or class that changed.
_APART = ("parameter ", "input ", "package ")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was.

    Attributes
    ----------
    name : str
        The part: ``"constant CUT"``.
    before, after : Part or None
        None where there was none, or is none any more.
    """

    name: str
    before: Part | None
    after: Part | None

    def __str__(self) -> str:
        """As a person would say it: ``constant CUT: 20 → 25``."""
        if self.before is None:
            return f"{self.name} is new"
        if self.after is None:
            return f"{self.name} is gone"
        if self.before.shown and self.after.shown and self.before.shown != self.after.shown:
            return f"{self.name}: {self.before.shown} → {self.after.shown}"
        return f"{self.name} changed"


def compare(before: Identity, after: Identity) -> tuple[Difference, ...]:
    """List what differs, in the order of the names.

    What a changed function or class newly refers to, or no longer does, goes with that change
    and is not told apart.
    """
    names = sorted(before.parts.keys() | after.parts.keys())
    found = [
        Difference(name, before.parts.get(name), after.parts.get(name))
        for name in names
        if _digest(before, name) != _digest(after, name)
    ]
    told = [
        one
        for one in found
        if (one.before is not None and one.after is not None) or one.name.startswith(_APART)
    ]
    return tuple(told or found)


def _digest(identity: Identity, name: str) -> str:
    part = identity.parts.get(name)
    return part.digest if part is not None else ""
