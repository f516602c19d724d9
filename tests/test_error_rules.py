from __future__ import annotations

import pickle
import re
import urllib.error
from types import SimpleNamespace

import aiohttp
import pytest
import requests

from beampipe.error_rules import (
    KINDS,
    ErrorRule,
    follow_chain,
    http_status,
    is_called,
    parse_error_rules,
)
from beampipe.errors import FileMissingError, ReadingError


class Flaky(Exception):  # noqa: N818
    """Stands for a class of a user's own package."""


def raised(error, *, cause=None, context=None):
    error.__cause__, error.__context__ = cause, context
    error.__suppress_context__ = cause is not None
    return error


def rule(**criteria):
    return ErrorRule(name="a rule", kind="transient", **criteria)


def test_causes_contexts_groups_and_wrapped_errors_are_all_followed():
    deepest = OSError(5, "x")
    wrapped = urllib.error.URLError(deepest)
    error = raised(ValueError(), context=raised(KeyError(), cause=wrapped))
    assert deepest in follow_chain(error).errors
    group = ExceptionGroup("several", [TypeError(), raised(ValueError(), cause=deepest)])
    assert deepest in follow_chain(raised(RuntimeError(), cause=group)).errors
    assert deepest in follow_chain(requests.ConnectionError(OSError(deepest))).errors


def test_what_was_dismissed_is_not_followed():
    error = raised(ValueError(), context=TimeoutError())
    error.__suppress_context__ = True  # raise ... from None
    assert follow_chain(error).errors == (error,)


def test_a_circle_ends():
    first, second = ValueError(), KeyError()
    raised(first, cause=second), raised(second, context=first)
    assert follow_chain(first).errors == (first, second)
    itself = ValueError()
    itself.args = (itself,)
    assert follow_chain(itself).errors == (itself,)


def test_a_chain_of_thousands_is_looked_at_in_part():
    error = OSError()
    for _ in range(5000):
        error = raised(ValueError(), cause=error)
    assert len(follow_chain(error).errors) == 64


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://door.org/a.root", True),
        ("simplecache::root://door.org//a.root", True),
        ("/eos/a.root", False),
        ("file:///eos/a.root", False),
    ],
)
def test_whether_a_file_lies_behind_a_url_is_told_by_our_own_errors(url, expected):
    error = raised(AttributeError("field"), cause=ReadingError("broken", url=url))
    assert follow_chain(error).is_of_url is expected
    assert follow_chain(error.__cause__).is_of_url is expected


def test_no_file_is_neither():
    assert follow_chain(ValueError()).is_of_url is None
    assert follow_chain(ReadingError("x")).is_of_url is None
    error = ValueError()
    error.url = "https://door.org"
    assert follow_chain(error).is_of_url is None


@pytest.mark.parametrize(
    ("error", "name", "expected"),
    [
        (ConnectionResetError(), "ConnectionError", True),
        (ConnectionResetError(), "OSError", True),
        (ConnectionResetError(), "builtins.OSError", True),
        (OSError(), "ConnectionError", False),
        (aiohttp.ServerDisconnectedError(), "aiohttp.ClientError", True),
        (aiohttp.ServerDisconnectedError(), "aiohttp.client_exceptions.ClientError", True),
        (aiohttp.ServerDisconnectedError(), "aio.ClientError", False),
        (requests.ConnectionError(), "requests.ConnectionError", True),
        (Flaky(), f"{__name__}.Flaky", True),
        (Flaky(), "Flaky", True),
        (FileMissingError("x"), "beampipe.errors.DatasetError", True),
        (FileMissingError("x"), "FileNotFoundError", False),
        (FileMissingError("x"), "OSError", False),
    ],
)
def test_classes_are_called_as_one_imports_them(error, name, expected):
    assert is_called(error, name) is expected


def test_the_http_status_is_found_where_libraries_keep_it():
    assert http_status(urllib.error.HTTPError("u", 503, "m", {}, None)) == 503
    answer = requests.Response()
    answer.status_code = 429
    assert http_status(requests.HTTPError(response=answer)) == 429
    assert http_status(aiohttp.ClientResponseError(None, (), status=502)) == 502
    assert http_status(ValueError()) is None
    error = ValueError()
    error.status = 7  # not all that is called so is HTTP's
    assert http_status(error) is None
    error.status, error.response = "503", SimpleNamespace(status_code=None)
    assert http_status(error) is None


def test_all_that_is_given_must_hold_for_the_same_error():
    both = rule(errors=("OSError",), message="stale")
    assert both.holds(follow_chain(OSError("STALE handle")))
    assert not both.holds(follow_chain(OSError("other")))
    assert not both.holds(follow_chain(ValueError("stale")))
    apart = raised(OSError("other"), cause=ValueError("stale"))
    assert not both.holds(follow_chain(apart))
    assert rule().holds(follow_chain(ValueError()))


def test_an_error_that_cannot_be_printed_is_no_match():
    class Broken(Exception):  # noqa: N818
        def __str__(self):
            raise RuntimeError

    assert not rule(message=".").holds(follow_chain(Broken()))


def test_an_error_whose_attributes_cannot_be_had_is_no_match():
    class Broken(Exception):  # noqa: N818
        @property
        def status(self):
            raise RuntimeError

        response = reason = status

    assert not rule(statuses=(503,)).holds(follow_chain(Broken()))


def test_rules_travel_to_workers():
    (parsed,) = parse_error_rules([{"kind": "transient", "message": "µ?"}])
    again = pickle.loads(pickle.dumps(parsed))
    assert again == parsed
    assert again.holds(follow_chain(ValueError("µ")))


def test_rules_are_parsed():
    tables = [
        {"error": "my_storage.Busy", "kind": "transient"},
        {"message": r"quota of \w+", "kind": "resource", "fix": "ask for more"},
    ]
    assert parse_error_rules(tables) == (
        ErrorRule(name="error_rules 1", kind="transient", errors=("my_storage.Busy",)),
        ErrorRule(
            name="error_rules 2", kind="resource", message=r"quota of \w+", fix="ask for more"
        ),
    )
    assert parse_error_rules(parse_error_rules(tables)) == parse_error_rules(tables)
    assert parse_error_rules([]) == ()


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ("transient", "[[error_rules]]"),
        ({"kind": "data", "error": "X"}, "[[error_rules]]"),
        ([7], "rule 1 is no table"),
        ([{"error": "X", "kind": "data"}, {"error": "X"}], "rule 2: 'kind' is ''"),
        ([{"error": "X", "kind": "temporary"}], "one of 'transient', 'data'"),
        ([{"kind": "data"}], "rule 1 needs 'error'"),
        ([{"kind": "data", "error": "no class!"}], "'no class!' names no class"),
        ([{"kind": "data", "error": "a..b"}], "names no class"),
        ([{"kind": "data", "message": "(["}], "no regular expression"),
        ([{"kind": "data", "mesage": "x"}], "unknown key 'mesage'"),
        ([{"kind": "data", "error": 5}], "'error' must be a text"),
        ([{"kind": "data", "error": ""}], "'error' must be a text"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(tables, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_error_rules(tables)


def test_the_kinds_are_those_of_the_ledger():
    assert KINDS == ("transient", "data", "processor", "resource", "worker")
