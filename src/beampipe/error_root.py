"""The root of the error tree: what every error of Beampipe's says, and how it crosses processes.

Every error says what happened, why, and what to do about it. A worker raises, the driver shows:
each is rebuilt from one message and its facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

ERRORS_PAGE = "docs/reference/errors.md"


class BeampipeError(Exception):
    """Root of everything Beampipe raises on purpose.

    Parameters
    ----------
    message : str
        What happened, in one sentence.
    why : str, optional
        The measured reason.
    fix : str, optional
        What the user can do about it.
    **facts
        Anything else worth keeping; each becomes an attribute.

    Attributes
    ----------
    code : str
        Stable kebab-case name, looked up in ``docs/reference/errors.md``.
    """

    code: ClassVar[str] = "beampipe"

    def __init__(self, message: str, *, why: str = "", fix: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.why = why
        self.fix = fix
        self.facts: dict[str, Any] = {}
        self.add_facts(**facts)

    if TYPE_CHECKING:  # facts differ from leaf to leaf

        def __getattr__(self, name: str) -> Any: ...

    def add_facts(self, **facts: Any) -> None:
        """Keep something that was not known where the error was raised."""
        self.facts.update(facts)
        for name, value in facts.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        lines = [f"[{self.code}] {self.message}"]
        lines += [f"  why: {self.why}"] if self.why else []
        lines += [f"  fix: {self.fix}"] if self.fix else []
        lines.append(f"  see: {ERRORS_PAGE}#{self.code}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.why, self.fix, self.facts)

    @classmethod
    def rebuild(cls, message: str, why: str, fix: str, facts: dict[str, Any]) -> Self:
        """Make the error again from its parts (what unpickling calls)."""
        return cls(message, why=why, fix=fix, **facts)


def _rebuild(cls: type[BeampipeError], *parts: Any) -> BeampipeError:
    return cls.rebuild(*parts)


def join_fixes(first: str, *others: str) -> str:
    """Put remedies into one text: "do this, or do that".

    >>> join_fixes("did you mean 'x'?", "leave it out")
    "did you mean 'x'? Or leave it out"
    """
    text = first
    for other in others:
        text += f" Or {other}" if text.endswith(("?", ".")) else f"; or {other}"
    return text
