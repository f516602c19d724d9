"""The events of a chunk as they were built; light to import, where nothing is read yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


class Learns(Protocol):
    """What `BuiltEvents` needs of a `Narrowing`."""

    form: Any
    asked: set[tuple[str, ...]]

    def learn(self, form_keys: set[str]) -> None:
        """Keep from now on what was loaded, and what was asked for."""


class LeftOutError(BaseException):
    """A processor asked for something that was left out; the chunk is processed again.

    No `Exception`: neither Awkward nor the processor is to take it for an error and go on.
    """


@dataclass(frozen=True, slots=True)
class BuiltEvents:
    """The events of a chunk, and how they were built.

    Attributes
    ----------
    events : awkward.Array
    narrowing : Narrowing or None
        Learns what was used; None where nothing is ever left out.
    used : set of str
        Keys of the form whose buffers were loaded so far.
    is_narrow : bool
        Whether something was left out.
    """

    events: Any
    narrowing: Learns | None = None
    used: set[str] = field(default_factory=set)
    is_narrow: bool = False

    @property
    def form(self) -> Any:
        """Of the events with all columns."""
        return self.events.layout.form if self.narrowing is None else self.narrowing.form

    @property
    def was_asked_for_more(self) -> bool:
        """Whether somebody asked for what was left out."""
        return self.narrowing is not None and bool(self.narrowing.asked)

    def learn(self) -> None:
        """Leave out no more, in later chunks, what was used or asked for in this one."""
        if self.narrowing is not None:
            self.narrowing.learn(self.used)
