"""Seals held against the bytes they were made of, by nobody's code but this."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_DIGITS = 64


def read_sealed(text: bytes) -> dict[str, Any]:
    """Read a JSON object and hold its seal, if it has one, against the rest of it.

    Raises
    ------
    ValueError
        It is no JSON object, or not what its writer wrote.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  as what is no JSON at all
    seal = data.get("seal")
    if seal is None:
        return data
    place = text.rfind(str(seal).encode())
    blank = text[:place] + b"0" * _DIGITS + text[place + _DIGITS :]
    if hashlib.sha256(blank).hexdigest() != seal:
        raise ValueError("its seal does not match, so it was damaged or changed")
    return data
