"""A column that is not there: recognised among other errors, with the closest names offered."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from beampipe.errors import ColumnNotFoundError

_PATTERNS = (
    re.compile(r"^no field named '(?P<name>.+)'"),  # awkward: array.x
    re.compile(r"^no field '(?P<name>.+)' in record"),  # awkward: array["x"]
    re.compile(r"^not found: '(?P<name>.+?)'"),  # uproot: tree["x"]
)
_MOST_OFFERED = 3


def explain_missing_column(
    exception: BaseException, columns: Iterable[str]
) -> ColumnNotFoundError | None:
    """Recognise that a processor asked for a column which is not there.

    Parameters
    ----------
    exception : BaseException
        What the processor raised, with its traceback.
    columns : iterable of str
        Names that are there: ``"Muon"``, ``"Muon.pt"``, ``"Muon_pt"``, as `known_columns` gives
        them.

    Returns
    -------
    ColumnNotFoundError or None
        None where the error is about something else. Otherwise with the facts `column` (as a
        processor would write it, ``"Muon.ptt"``) and `close` (names to offer).
    """
    name = _missing_name(exception)
    if name is None:
        return None
    array, outer = _asked_of(exception, name)
    collection = outer or _collection_name(array)
    wanted = f"{collection}.{name}" if collection else name
    close = _closest(name, _inside(array, outer), prefix=f"{collection}." if collection else "")
    close = close or _closest(wanted, columns)
    return ColumnNotFoundError(
        f"There is no column {wanted!r}.",
        why=str(exception).strip().splitlines()[0],
        fix=f"did you mean {' or '.join(map(repr, close))}?"
        if close
        else "see which columns there are with `beampipe try`, and which schema you run with",
        column=wanted,
        close=close,
    )


def known_columns(form: Any) -> tuple[str, ...]:
    """Name every field of the events, and every field of its collections.

    Parameters
    ----------
    form : awkward.forms.Form
        Of what a processor gets.

    Returns
    -------
    tuple of str
        ``"Muon"``, ``"Muon.pt"``, ... in the order of the file.
    """
    names: list[str] = []
    for field, content in zip(form.fields, form.contents, strict=True):
        names.append(field)
        names += [f"{field}.{inner}" for inner in content.fields]
    return tuple(names)


def _missing_name(exception: BaseException) -> str | None:
    if not isinstance(exception, AttributeError | LookupError):
        return None
    # A KeyError shows its argument in quotes; uproot's shows a text of its own.
    text = str(exception)
    matches = (pattern.match(text) for pattern in _PATTERNS)
    return next((match["name"] for match in matches if match), None)


def _asked_of(exception: BaseException, name: str) -> tuple[Any, str]:
    """Find the array that was asked, and what was asked of it before the missing field."""
    array = getattr(exception, "obj", None)
    if array is not None:
        return array, ""
    for frame, code in _frames(exception.__traceback__):
        if code == "__getitem__" and frame.f_globals.get("__name__") == "awkward.highlevel":
            where = frame.f_locals.get("where")
            parts = where if type(where) is tuple else ()
            names = [part for part in parts if isinstance(part, str)]
            before = names[: names.index(name)] if name in names else []
            return frame.f_locals.get("self"), ".".join(before)
    return None, ""


def _frames(trace: TracebackType | None) -> Iterator[tuple[Any, str]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_frame.f_code.co_name
        trace = trace.tb_next


def _collection_name(array: Any) -> str:
    layout = getattr(array, "layout", None)
    layout = getattr(layout, "array", layout)  # a single record points to the array it is from
    if layout is None or not hasattr(layout, "purelist_parameter"):
        return ""
    return str(layout.purelist_parameter("collection_name") or "")


def _inside(array: Any, outer: str) -> list[str]:
    if outer:
        array = array[tuple(outer.split("."))]
    methods = (name for name in dir(type(array)) if not name.startswith("_"))
    return [*getattr(array, "fields", []), *methods]


def _closest(wanted: str, names: Iterable[str], *, prefix: str = "") -> tuple[str, ...]:
    folded: dict[str, str] = {}
    for name in names:
        folded.setdefault(name.casefold(), name)
    close = difflib.get_close_matches(wanted.casefold(), folded, n=_MOST_OFFERED, cutoff=0.6)
    return tuple(prefix + folded[name] for name in close)
