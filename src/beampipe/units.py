"""What people write with a unit: memory and times, turned into numbers once, at the edge."""

from __future__ import annotations

import re
from typing import Any

SMALLEST_MEMORY_BYTES = 2**20
_UNITS: dict[str, int] = {
    unit + suffix: base**power
    for base, suffix in ((1000, "b"), (1000, ""), (1024, "ib"))
    for power, unit in enumerate(("", "k", "m", "g", "t", "p"))
    if unit or suffix != "ib"
}
_SECONDS = {
    unit: seconds
    for units, seconds in (
        ("s sec second seconds", 1),
        ("min minute minutes", 60),
        ("h hour hours", 3600),
        ("d day days", 86400),
    )
    for unit in units.split()
}


def parse_memory(text: str | int) -> int:
    """Turn ``"2 GiB"`` into bytes.

    Parameters
    ----------
    text : str or int
        A number with a unit (kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB of 1024;
        case does not matter), or bytes.

    Returns
    -------
    int
        Memory [bytes].

    Raises
    ------
    ValueError
        No number, an unknown unit, or less than 1 MiB, which is a forgotten unit.

    Examples
    --------
    >>> parse_memory("2 GiB")
    2147483648
    """
    match = re.fullmatch(r"\s*([\d_]*\.?\d+)\s*([A-Za-z]*)\s*", str(text))
    unit = match[2].lower() if match else ""
    if match is None or unit not in _UNITS:
        raise ValueError(f"{text!r} is no amount of memory; write it like '2 GiB' or '500 MB'")
    size_bytes = round(float(match[1]) * _UNITS[unit])
    if size_bytes < SMALLEST_MEMORY_BYTES:
        raise ValueError(f"{text!r} is less than 1 MiB; write the unit, like '2 GiB'")
    return size_bytes


def parse_time(text: str | float) -> float:
    """Turn ``"01:30:00"`` or ``"90 min"`` into seconds.

    Parameters
    ----------
    text : str
        Hours, minutes and seconds with colons, days before them as ``"2-00:00:00"``; or a
        number with a unit (s, min, h, d).

    Returns
    -------
    float
        Time [s].

    Raises
    ------
    ValueError
        It is neither. A bare number, and two numbers with a colon, mean another thing to every
        batch system, and are refused.

    Examples
    --------
    >>> parse_time("01:30:00"), parse_time("90 min"), parse_time("2-00:00:00")
    (5400.0, 5400.0, 172800.0)
    """
    clock = re.fullmatch(r"\s*(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)\s*", str(text), re.ASCII)
    if clock:
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    number = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([A-Za-z]+)\s*", str(text), re.ASCII)
    if number and number[2].lower() in _SECONDS:
        return float(number[1]) * _SECONDS[number[2].lower()]
    raise ValueError(
        f"{text!r} is no time that is clear; write it like '2 h', '90 min' or '02:00:00'"
    )


def refuse_bool(value: Any) -> Any:
    """Stop ``true`` where a number is needed, which Python would take for 1."""
    if isinstance(value, bool):
        raise ValueError("a number is needed here, not true or false")  # noqa: TRY004 for pydantic
    return value


def parse_optional_memory(value: Any) -> Any:
    """For pydantic: memory as people write it; what is no text or number is left to it."""
    return parse_memory(value) if isinstance(value, str | int) else value
