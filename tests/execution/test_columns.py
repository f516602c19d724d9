import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.execution.columns import Columns

BIG = 2**62
tables = st.integers(0, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(-BIG, BIG) | st.integers(0, 70_000), min_size=n, max_size=n),
        min_size=1,
        max_size=4,
    )
)


def pack(columns):
    return Columns.pack(np.array(column, np.int64) for column in columns)


@given(tables)
def test_what_is_packed_comes_back_also_from_elsewhere(columns):
    packed = pack(columns)
    for one in (packed, pickle.loads(pickle.dumps(packed))):
        assert [column.tolist() for column in one.unpack()] == columns
        assert one == packed
        assert hash(one) == hash(packed)


@pytest.mark.parametrize(
    ("most", "n_bytes"), [(0, 1), (255, 1), (256, 2), (65_536, 4), (2**32, 8), (-1, 8)]
)
def test_each_column_takes_what_its_largest_number_takes(most, n_bytes):
    assert len(pack([[0, most]]).data) == 2 * n_bytes


def test_equal_numbers_are_equal_whatever_type_they_had():
    narrow = Columns.pack([np.array([1, 2], np.uint8)])
    assert narrow == pack([[1, 2]])
    assert narrow != pack([[1, 3]])
    assert narrow != (1, 2)


def test_nobody_can_write_to_them():
    with pytest.raises(ValueError, match="read-only"):
        pack([[1, 2]]).unpack()[0][0] = 5
