"""Every kind of value finds its rule."""

import datetime as dt
import functools
import pathlib
import re
import types

import numpy as np
import pytest

from beampipe.execution.identity.describe import describe
from beampipe.execution.identity.walk import Walk

VALUES = [
    functools.partial(max, 1, key=len),
    "abc".upper,
    [].append,
    np.add,
    np.random.default_rng(3),
    np.dtype([("a", "<f4")]),
    re.compile("a"),
    pathlib.PurePosixPath("/x"),
    dt.timedelta(1),
    types.MappingProxyType({"a": 1}),
    int,
    list[int],
    functools,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_it_has_a_digest_of_its_own(value):
    found = Walk(describe).value(value)
    assert found == Walk(describe).value(value)
    others = [Walk(describe).value(other) for other in VALUES if other is not value]
    assert found not in others


def test_a_function_that_numpy_made_of_anothers_is_refused():
    walk = Walk(describe)
    walk.named(walk, "x", "x", np.frompyfunc(lambda x: x, 1, 1))
    assert "known by its name only" in walk.unhashable["x"]
