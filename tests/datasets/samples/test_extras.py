from __future__ import annotations

import numpy as np
import pytest

from beampipe.datasets.samples.extras import BLOCK, build_extras
from beampipe.datasets.samples.tables import Collection

N = 200


def count_branches(columns):
    return sum(1 + len(c.fields) if isinstance(c, Collection) else 1 for c in columns.values())


@pytest.mark.parametrize("wanted", [0, 1, 9, 10, 11, 25, 26, 27, 49, 50, 51, 76, 1000, 2500])
def test_there_are_exactly_as_many_as_asked_for(wanted):
    assert count_branches(build_extras(np.random.default_rng(1), N, wanted)) == wanted


def test_columns_differ_and_have_the_right_length():
    columns = build_extras(np.random.default_rng(1), N, 2 * BLOCK)
    seen = set()
    for values in columns.values():
        flats = values.fields.values() if isinstance(values, Collection) else [values]
        for flat in flats:
            assert len(flat) == (values.counts.sum() if isinstance(values, Collection) else N)
            seen.add((flat.dtype.str, flat.tobytes()))
    assert len(seen) == 2 * BLOCK - 2  # all but the counters


def test_more_of_them_changes_none_that_were_there():
    few, many = (build_extras(np.random.default_rng(1), N, n) for n in (100, 160))
    for name in few:
        if isinstance(few[name], Collection):
            np.testing.assert_array_equal(few[name].counts, many[name].counts)
        else:
            np.testing.assert_array_equal(few[name], many[name])
