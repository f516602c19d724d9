import awkward as ak
import numpy as np
import pytest
from coffea.processor import (
    column_accumulator,
    defaultdict_accumulator,
    dict_accumulator,
    list_accumulator,
    set_accumulator,
    value_accumulator,
)

from beampipe.errors import RunFormatError


class OwnAccumulator(dict_accumulator):
    """A user's subclass."""


@pytest.mark.parametrize(
    "value",
    [
        list_accumulator([1, [2]]),
        set_accumulator({"a", "µ"}),
        dict_accumulator(b=1, a=list_accumulator([1])),
        defaultdict_accumulator(int, b=1, a=2),
        defaultdict_accumulator(list, a=[1]),
    ],
)
def test_containers_come_back(value, round_trip):
    back = round_trip({"v": value})["v"]
    assert back == value
    assert type(back) is type(value)
    assert isinstance(value, set) or list(back) == list(value)
    assert getattr(back, "default_factory", None) is getattr(value, "default_factory", None)


def test_values_come_back(round_trip):
    back = round_trip(value_accumulator(float, 2.5))
    assert type(back) is value_accumulator
    assert back.value == 2.5
    assert back.default_factory is float
    assert (back + back).value == 5


@pytest.mark.parametrize("array", [np.arange(4.0).reshape(2, 2), ak.Array([[1], []])])
def test_columns_come_back_and_can_be_added_to(array, round_trip):
    value = column_accumulator(array)
    back = round_trip(value)
    assert type(back) is column_accumulator
    assert (back + value).value.tolist() == (value + value).value.tolist()


def test_a_lambda_needs_pickle(store):
    archive = store(defaultdict_accumulator(lambda: 5, a=1))
    assert not archive.is_open
    assert archive.read(trust=True)["missing"] == 5


def make_tagged():
    value = list_accumulator([1])
    value.tag = "kept"
    return value


def make_odd_value():
    value = value_accumulator(int, 1)
    value.tag = "kept"
    return value


@pytest.mark.parametrize("make", [make_tagged, make_odd_value])
def test_attributes_are_never_dropped(make, store):
    archive = store(make())
    assert not archive.is_open
    assert archive.read(trust=True).tag == "kept"


def test_subclasses_need_pickle(store):
    archive = store(OwnAccumulator(a=1))
    assert not archive.is_open
    assert type(archive.read(trust=True)) is OwnAccumulator


def test_a_made_up_accumulator_is_refused(store):
    archive = store(list_accumulator([1]))
    archive.replace("coffea.list_accumulator", "coffea.Accumulatable")
    with pytest.raises(RunFormatError, match="there is no"):
        archive.read()
