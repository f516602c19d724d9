from __future__ import annotations

import inspect
import pickle

import pytest

from beampipe import errors
from beampipe.errors import BeampipeError, TreeNotFoundError

CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, BeampipeError)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_survives_the_way_between_processes(cls):
    error = cls("Cannot read 'Z → µµ \"q\".root'.", why="it is gone", fix="look", url="a b", n=3)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert str(copy) == str(error)
    assert (copy.message, copy.why, copy.fix) == (error.message, "it is gone", "look")
    assert copy.facts == {"url": "a b", "n": 3}
    assert (copy.url, copy.n) == ("a b", 3)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_is_caught_as_ours_and_shown_in_full(cls):
    text = str(cls("It broke.", why="a reason", fix="a remedy"))
    assert text.splitlines() == [
        f"[{cls.code}] It broke.",
        "  why: a reason",
        "  fix: a remedy",
        f"  see: docs/reference/errors.md#{cls.code}",
    ]


def test_what_is_not_known_is_left_out():
    assert "why:" not in str(BeampipeError("It broke."))
    assert "fix:" not in str(BeampipeError("It broke."))


def test_a_builtin_is_caught_where_callers_expect_one():
    error = TreeNotFoundError("No tree 'Events'.")
    assert isinstance(error, KeyError)
    assert str(error).startswith("[dataset-tree-not-found]")  # not KeyError's repr
