from __future__ import annotations

import pickle

import pytest

from beampipe import errors
from beampipe.error_root import BeampipeError, join_fixes


def test_people_find_the_root_with_its_leaves():
    assert errors.BeampipeError is BeampipeError
    assert issubclass(errors.ClusterError, BeampipeError)


def test_facts_may_come_later_and_travel_along():
    error = BeampipeError("It broke.", file="a")
    error.add_facts(line=3)
    again = pickle.loads(pickle.dumps(error))
    assert (again.file, again.line) == ("a", 3)


@pytest.mark.parametrize(
    ("fixes", "text"),
    [
        (("do this",), "do this"),
        (("do this", "do that"), "do this; or do that"),
        (("did you mean 'x'?", "leave it out"), "did you mean 'x'? Or leave it out"),
    ],
)
def test_remedies_become_one_text(fixes, text):
    assert join_fixes(*fixes) == text
