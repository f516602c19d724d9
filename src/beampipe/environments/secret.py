"""Bytes that no text shows: not a representation, not a log, not the locals of a traceback."""

from __future__ import annotations

import hmac
from typing import final


@final
class Secret:
    """A passphrase, a key or a token; written as ``<secret>``, whoever writes it.

    IPython's verbose tracebacks, ``pytest -l`` and services that collect errors show the locals of
    every function on the way.

    Parameters
    ----------
    value : bytes
        What nobody should see.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes; for what needs them, and for nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a digest would be a way to guess it

    def __reduce__(self) -> tuple[type[Secret], tuple[bytes]]:
        return Secret, (self._value,)
