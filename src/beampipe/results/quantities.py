"""Numbers written for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beampipe.execution.accounting import Accounting, DatasetAccounting


def format_number(value: Any) -> str:
    """Write a number for people: whole ones with commas, others with six digits."""
    number = float(value)
    if number.is_integer() and abs(number) < 1e15:
        return f"{int(value):,}"
    return f"{number:,.6g}"


def format_quantity(number: float, unit: str = "") -> str:
    """Write a number with a decimal prefix: ``"12.3 k"``, ``"1.5 GB"``."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= factor:
            return f"{number / factor:.3g} {prefix}{unit}"
    return f"{number:.3g} {unit}".rstrip()


def format_bytes(count: float) -> str:
    """Write a size in decimal units."""
    return format_quantity(count, "B")


def count_noun(count: int, noun: str, plural: str = "") -> str:
    """Write a count with its noun: ``"1 file"``, ``"1,200 files"``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def format_seconds(seconds: float) -> str:
    """Write a duration with the precision that matters."""
    if 0 < seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def format_share(part: float, whole: float) -> str:
    """Write part of whole in percent; never 100 % for less, never 0 % for something."""
    if whole <= 0:
        return "n/a"
    percent = 100 * part / whole
    if percent > 99.9 and part < whole:
        return "> 99.9 %"
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.0f} %" if part in (0, whole) else f"{percent:.1f} %"


def format_missing(sums: Accounting | DatasetAccounting) -> str:
    """Write which part is missing; files that were not counted make it a guess."""
    if sums.is_complete:
        return "0 %"
    share = format_share(sums.missing_share, 1.0) if sums.missing_share else "some"
    return f"about {share}" if sums.files_uncounted and sums.missing_share else share


def format_time(created: str) -> str:
    """Write an ISO time as date and time of day; what is none stays as it is."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}".strip()
