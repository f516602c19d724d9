"""What an identity is made of: named parts, each with its own digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

RULE = 1
"""How identities are made; to be raised with every change of it, so that none is mistaken."""


class UnhashableError(Exception):
    """A value has no form that is the same in every process; says which and why."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a result depends on.

    Attributes
    ----------
    digest : str
        Of its content; 32 hexadecimal digits.
    shown : str
        The value itself where it is short; empty for others.
    """

    digest: str
    shown: str = ""


PACKAGE, MODULE = "package ", "module "
"""How the parts begin that are installed, and those that are files of the user's own."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a run computes: two runs of one identity do the same to the same chunk.

    Attributes
    ----------
    parts : mapping of str to Part
        By a name for people: ``"function select"``, ``"constant CUT"``, ``"package numpy"``.
    unhashable : mapping of str to str
        Parts that cannot be compared, and why; with any of them nothing is taken over.
    datasets : mapping of str to str
        The digest of what the processor is told of each dataset; empty where it has none.
    module : str
        Where the processor was defined.
    """

    parts: Mapping[str, Part]
    unhashable: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    module: str = ""

    @property
    def packages(self) -> tuple[str, ...]:
        """The installed packages that have a hand in it."""
        return tuple(self._named(PACKAGE))

    @property
    def modules(self) -> tuple[str, ...]:
        """The user's own modules that are imported when the processor runs."""
        return tuple(self._named(MODULE))

    def _named(self, kind: str) -> Iterator[str]:
        for name in self.parts:
            if name.startswith(kind):
                yield name[len(kind) :].partition(" ")[0]

    @property
    def digest(self) -> str:
        """One digest for all parts; empty where something cannot be compared."""
        if self.unhashable:
            return ""
        pairs = sorted((name, part.digest) for name, part in self.parts.items())
        words = [word.encode() for pair in pairs for word in pair]
        return combine(f"identity {RULE}", *words).hex()

    def to_json(self) -> dict[str, Any]:
        """The form it has in ``run.json``."""
        return {
            "rule": RULE,
            "digest": self.digest,
            "parts": {
                name: {"digest": part.digest} | ({"value": part.shown} if part.shown else {})
                for name, part in sorted(self.parts.items())
            },
            "unhashable": dict(self.unhashable),
            "datasets": dict(self.datasets),
            "module": self.module,
        }

    @classmethod
    def from_json(cls, data: Any) -> Identity | None:
        """The inverse of `to_json`; None for what an older or newer Beampipe wrote, or nobody."""
        try:
            if data["rule"] != RULE:
                return None
            parts = {
                name: Part(str(part["digest"]), str(part.get("value", "")))
                for name, part in data["parts"].items()
            }
            return cls(parts, dict(data["unhashable"]), dict(data["datasets"]), data["module"])
        except (AttributeError, KeyError, TypeError, ValueError):
            return None


def combine(tag: str, *parts: bytes) -> bytes:
    """Digest a tag and byte strings so that no two different lists give the same.

    >>> combine("list", b"ab", b"c") == combine("list", b"a", b"bc")
    False
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (tag.encode(), *parts):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def encode_text(text: str) -> bytes:
    """Give bytes for any string, also one that UTF-8 cannot hold."""
    return text.encode("utf-8", "surrogatepass")
