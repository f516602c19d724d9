"""What a rule about errors is, and when it holds: by class, code, errno, HTTP status or words."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, get_args

from beampipe.errors import BeampipeError

ErrorKind = Literal["transient", "data", "processor", "resource", "worker"]
KINDS: Final[tuple[str, ...]] = get_args(ErrorKind)

_MOST_ERRORS = 64
_HTTP_STATUSES = range(100, 600)
_CLASS_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_KEYS = ("error", "message", "kind", "fix")
# Where libraries keep the error that theirs stands for: aiohttp, urllib, ssl in aiohttp.
_BEHIND = ("os_error", "reason", "certificate_error")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """One line of the table that tells errors apart.

    Of the things that are given, each must hold, and for the same error of a chain.

    Attributes
    ----------
    name : str
        How the line is called.
    kind : {"transient", "data", "processor", "resource", "worker"}
        What an error that it holds for is.
    errors : tuple of str
        Classes, their subclasses included: ``"ConnectionError"``, ``"aiohttp.ClientError"``
        (the package from which one imports it, or any module in it).
    codes : tuple of str
        Codes of Beampipe's own errors.
    errnos : tuple of int
        What the operating system said.
    statuses : tuple of int
        HTTP statuses.
    message : str
        A regular expression that is searched for in the error's text, in whatever case.
    of_url : bool, optional
        Whether it is about a file behind a URL (True) or on a local path (False).
    elsewhere : bool
        Whether another host may fare better, although another try here would not.
    what, fix : str
        For people: what it is, and what to do about it.
    """

    name: str
    kind: ErrorKind
    errors: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    errnos: tuple[int, ...] = ()
    statuses: tuple[int, ...] = ()
    message: str = ""
    of_url: bool | None = None
    elsewhere: bool = False
    what: str = ""
    fix: str = ""

    def holds(self, chain: Chain) -> bool:
        """Tell whether one of the errors of a chain is of this kind."""
        if self.of_url is not None and self.of_url is not chain.is_of_url:
            return False
        return any(self._holds_for(error) for error in chain.errors)

    def _holds_for(self, error: BaseException) -> bool:
        return (
            (not self.errors or any(is_called(error, name) for name in self.errors))
            and (not self.codes or (isinstance(error, BeampipeError) and error.code in self.codes))
            and (not self.errnos or _errno_of(error) in self.errnos)
            and (not self.statuses or http_status(error) in self.statuses)
            and (not self.message or _compiled(self.message).search(_text_of(error)) is not None)
        )


@dataclass(frozen=True, slots=True)
class Chain:
    """An error and all that it came from.

    Attributes
    ----------
    errors : tuple of BaseException
        The error first, then causes and contexts.
    is_of_url : bool or None
        Whether the file that they are about lies behind a URL; None if they name no file.
    """

    errors: tuple[BaseException, ...]
    is_of_url: bool | None = None


def follow_chain(error: BaseException) -> Chain:
    """Collect what stands behind an error: causes, contexts, members of groups, wrapped errors.

    Parameters
    ----------
    error : BaseException
        What was caught.

    Returns
    -------
    Chain
        Each error once, also where they go round in a circle.
    """
    found: dict[int, BaseException] = {}
    waiting = deque([error])
    while waiting and len(found) < _MOST_ERRORS:
        one = waiting.popleft()
        if id(one) not in found:
            found[id(one)] = one
            waiting.extend(_behind(one))
    errors = tuple(found.values())
    ours = (one.facts.get("url") for one in errors if isinstance(one, BeampipeError))
    urls = [url for url in ours if isinstance(url, str)]
    is_of_url = "://" in urls[0] and not urls[0].startswith("file://") if urls else None
    return Chain(errors, is_of_url)


def _behind(error: BaseException) -> Iterator[BaseException]:
    if error.__cause__ is not None:
        yield error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions
    wrapped = (*error.args, *(_attribute(error, name) for name in _BEHIND))
    yield from (one for one in wrapped if isinstance(one, BaseException))


def is_called(error: BaseException, name: str) -> bool:
    """Tell whether an error is of a class of this name.

    Parameters
    ----------
    error : BaseException
        The error.
    name : str
        ``"OSError"``, ``"aiohttp.ClientError"``. A package stands for all of its modules, as
        classes seldom live where one imports them from.

    Returns
    -------
    bool
        That our own errors also are a builtin (`FileMissingError` a FileNotFoundError) is for
        those who catch them, and does not count.
    """
    package, _, last = name.rpartition(".")
    for cls in type(error).__mro__:
        if cls.__name__ != last or (isinstance(error, BeampipeError) and _is_builtin(cls)):
            continue
        if not package or cls.__module__ == package or cls.__module__.startswith(package + "."):
            return True
    return False


def http_status(error: BaseException) -> int | None:
    """Find the HTTP status that an error of aiohttp, requests, urllib or their like carries."""
    answer = _attribute(error, "response")
    for holder, name in ((error, "status"), (answer, "status_code"), (answer, "status")):
        status = _attribute(holder, name)
        if isinstance(status, int) and status in _HTTP_STATUSES:
            return status
    return None


def parse_error_rules(tables: Any) -> tuple[ErrorRule, ...]:
    """Make rules of what people wrote in ``[[error_rules]]``.

    Parameters
    ----------
    tables : sequence of mappings
        With the keys ``kind``, ``error`` (a class), ``message`` (a regular expression) and
        ``fix``; `error` or `message` or both.

    Returns
    -------
    tuple of ErrorRule

    Raises
    ------
    ValueError
        Says which rule, and what is wrong with it.
    """
    if isinstance(tables, str) or not isinstance(tables, Sequence):
        raise ValueError("a list of tables is needed; write them as [[error_rules]] in a file")  # noqa: TRY004 for pydantic
    return tuple(_parse_rule(table, number) for number, table in enumerate(tables, start=1))


def _parse_rule(table: Any, number: int) -> ErrorRule:
    if isinstance(table, ErrorRule):
        return table
    where = f"rule {number}"
    if not isinstance(table, Mapping):
        raise ValueError(f"{where} is no table; write it as [[error_rules]]")  # noqa: TRY004
    for key, value in table.items():
        if key not in _KEYS:
            raise ValueError(f"{where} has an unknown key {key!r}; known: {_list(_KEYS)}")
        if not isinstance(value, str) or not value:
            raise ValueError(f"{where}: {key!r} must be a text that is not empty")
    kind, error, message = (table.get(key, "") for key in ("kind", "error", "message"))
    if kind not in KINDS:
        raise ValueError(f"{where}: 'kind' is {kind!r}; it must be one of {_list(KINDS)}")
    if not error and not message:
        raise ValueError(
            f"{where} needs 'error' (a class), 'message' (a regular expression) or both"
        )
    if error and not _CLASS_NAME.fullmatch(error):
        raise ValueError(f"{where}: {error!r} names no class; write it like 'package.SomeError'")
    try:
        re.compile(message)
    except re.error as problem:
        raise ValueError(f"{where}: {message!r} is no regular expression: {problem}") from problem
    return ErrorRule(
        name=f"error_rules {number}",
        kind=kind,
        errors=(error,) if error else (),
        message=message,
        fix=table.get("fix", ""),
    )


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _errno_of(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _is_builtin(cls: type) -> bool:
    return cls.__module__ == "builtins"


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _attribute(holder: Any, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except BaseException:  # noqa: BLE001 (a property of whoever's class)
        return None


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 (the user's own exception class, and it is broken)
        return ""
