"""Digests of values: equal for equal ones, different for different ones, in every process."""

import subprocess
import sys

import awkward as ak
import hist
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.execution.identity.describe import describe
from beampipe.execution.identity.model import UnhashableError
from beampipe.execution.identity.walk import Walk

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.frozensets(SCALARS, max_size=4)
    ),
    max_leaves=12,
)


def digest(value):
    return Walk(describe).value(value)


def spell(value):
    """As exact as a digest has to be: with types, signs of zero and the order of dictionaries."""
    if isinstance(value, frozenset):
        return ("frozenset", sorted(map(spell, value)))
    if isinstance(value, dict):
        return ("dict", [(spell(k), spell(v)) for k, v in value.items()])
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [spell(item) for item in value])
    return (type(value).__name__, repr(value))


@given(VALUES, VALUES)
def test_digests_are_equal_exactly_when_values_are(one, other):
    assert (digest(one) == digest(other)) is (str(spell(one)) == str(spell(other)))


@given(VALUES)
def test_a_copy_has_the_same_digest(value):
    import copy
    import pickle

    assert digest(copy.deepcopy(value)) == digest(value)
    assert digest(pickle.loads(pickle.dumps(value))) == digest(value)


@given(st.lists(SCALARS, unique=True))
def test_a_set_has_no_order(items):
    other = set()
    other.update(reversed(items))
    assert digest(set(items)) == digest(other)


def test_values_have_the_same_digests_with_other_hash_seeds():
    program = """
from beampipe.execution.identity.describe import describe
from beampipe.execution.identity.walk import Walk
import enum, fractions, datetime, re, pathlib, decimal, types
import numpy as np
class Colour(enum.Enum):
    RED = 1
class Thing:
    def __init__(self):
        self.names = {"a", "b", "c"}
        self.me = self
value = [Colour.RED, {Colour.RED}, Thing(), {(1, "x"), frozenset({"p", "q"})}, re.compile("a+"),
         fractions.Fraction(1, 3), datetime.date(2020, 1, 1), decimal.Decimal("1.5"), np.float32(2),
         pathlib.PurePath("x"), range(3), slice(1), {"k": {len, print}}, np.add,
         types.SimpleNamespace(a=1)
         ]
print(Walk(describe, "__main__").value(value).hex())
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in (1, 2)
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.arange(3), np.arange(3.0)),
        (np.arange(4), np.arange(4).reshape(2, 2)),
        (np.array([1, 2]), np.array([2, 1])),
        (np.float32(1), np.float64(1)),
        (np.zeros(2, dtype=[("a", "i4")]), np.zeros(2, dtype=[("b", "i4")])),
        (np.ma.masked_array([1, 2], [0, 1]), np.ma.masked_array([1, 2], [1, 0])),
        (np.array([1, "a"], dtype=object), np.array([1, "b"], dtype=object)),
        (ak.Array([[1], [2, 3]]), ak.Array([[1, 2], [3]])),
        (ak.Array([{"x": 1}]), ak.Array([{"y": 1}])),
        (hist.Hist.new.Reg(2, 0, 1).Weight(), hist.Hist.new.Reg(2, 0, 1).Double()),
        (hist.Hist.new.Reg(2, 0, 1).Int64(), hist.Hist.new.Reg(2, 0, 2).Int64()),
        (bytearray(b"a"), b"a"),
        (1j, 1 + 1j),
    ],
)
def test_arrays_and_histograms_are_told_apart(one, other):
    assert digest(one) == digest(one)
    assert digest(one) != digest(other)


def test_an_array_counts_however_it_lies_in_memory():
    array = np.arange(6).reshape(2, 3)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(np.tile(array, 2)[:, :3])
    jagged = ak.Array([[1], [2, 3], [4]])
    assert digest(jagged[1:]) == digest(ak.Array([[2, 3], [4]]))


def test_a_filled_histogram_differs_from_an_empty_one():
    one, other = (hist.Hist.new.Reg(2, 0, 1).Weight() for _ in range(2))
    assert digest(one) == digest(other)
    other.fill(0.3)
    assert digest(one) != digest(other)


def test_circles_end():
    one, other = [1], [1]
    one.append(one)
    other.append(other)
    assert digest(one) == digest(other) != digest([1, [1]])


@pytest.mark.parametrize("value", [open, iter], ids=str)
def test_what_has_no_stable_form_is_refused(value, tmp_path):
    (tmp_path / "x").write_text("a")
    bad = (line for line in "ab") if value is iter else (tmp_path / "x").open()
    with pytest.raises(UnhashableError):
        digest([{"a": bad}])
    bad.close()
