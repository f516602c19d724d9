import sys

import awkward as ak
import numpy as np
import pytest
from coffea.nanoevents.methods import vector as coffea_vector
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beampipe.errors import RunFormatError

ARRAYS = {
    "flat": ak.Array([1.5, 2.5]),
    "jagged": ak.Array([[1], [], [2, 3]]),
    "empty": ak.Array([]),
    "records": ak.Array([{"pt": 1.5, "hits": [1, 2]}, {"pt": 2.5, "hits": []}]),
    "missing": ak.Array([1, None, 3]),
    "text": ak.Array(["µ", "Z → µµ", ""]),
    "bytes": ak.Array([b"a", b"bc"]),
    "union": ak.Array([1, "a", [2.5]]),
    "regular": ak.Array(np.zeros((2, 3, 4))),
    "tuple": ak.Array([(1, 2.5), (2, 3.5)]),
    "categorical": ak.str.to_categorical(ak.Array(["a", "b", "a"])),
    "dates": ak.Array(np.array(["2026-01-01"], "M8[s]")),
    "bool": ak.Array([[True], [False, True]]),
    "big endian": ak.Array(ak.contents.NumpyArray(np.array([1, 2]))),
    "a small part of much": ak.Array([[float(i)] * 50 for i in range(1000)])[10:12],
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_come_back_the_same(array, round_trip):
    back = round_trip({"a": array})["a"]
    assert type(back) is type(array)
    assert back.type == array.type
    assert back.to_list() == array.to_list()


def test_a_slice_takes_only_what_it_shows(store):
    assert len(store(ARRAYS["a small part of much"]).data) < 5000


def test_a_record_comes_back(round_trip):
    record = ak.Array([{"a": 1}, {"a": 2, "b": [1, 2]}])[1]
    back = round_trip(record)
    assert type(back) is ak.Record
    assert back.to_list() == record.to_list()


def test_coffeas_behaviours_come_back_by_name(round_trip):
    array = ak.zip(
        {"pt": [[10.0], []], "eta": [[0.5], []], "phi": [[1.0], []], "mass": [[0.1], []]},
        with_name="PtEtaPhiMLorentzVector",
        behavior=coffea_vector.behavior,
    )
    back = round_trip(array)
    assert type(back) is type(array)
    assert type(back) is not ak.Array
    assert ak.all(back.energy == array.energy)


def test_behaviours_that_cannot_matter_are_left_out(round_trip):
    array = ak.Array([1, 2], behavior={"muon": object})
    assert round_trip(array).to_list() == [1, 2]


class OwnRecords(ak.Array):
    """A user's methods."""

    def double(self):
        return 2 * self.x


def test_a_users_behaviours_need_pickle(store):
    array = ak.Array(
        [{"x": 1}], with_name="own", behavior={("*", "own"): OwnRecords, "own": OwnRecords}
    )
    archive = store(array)
    assert not archive.is_open
    assert archive.read(trust=True).double().to_list() == [2]


def test_named_records_without_behaviours_are_open(round_trip):
    array = ak.Array([[{"x": 1}]], with_name="named")
    back = round_trip(array)
    assert back.layout.form == array.layout.form or back.type == array.type


def test_attributes_that_are_meant_to_last_do(round_trip):
    array = ak.Array([1], attrs={"note": ("µ", 1), "@passing": object()})
    assert round_trip(array).attrs == {"note": ("µ", 1)}


def test_columns_are_read_when_they_are_written(round_trip):
    reads = []

    def generate():
        reads.append(1)
        return np.arange(3.0)

    form = ak.forms.NumpyForm("float64", form_key="x")
    array = ak.from_buffers(form, 3, {"x-data": generate})
    assert round_trip(array).to_list() == [0, 1, 2]
    assert reads


def make_lorentz():
    return ak.zip(
        {"x": [1.0], "y": [2.0], "z": [3.0], "t": [9.0]},
        with_name="LorentzVector",
        behavior=coffea_vector.behavior,
    )


def test_without_coffea_the_data_are_there(store, monkeypatch):
    archive = store(make_lorentz())
    monkeypatch.setitem(sys.modules, "coffea.nanoevents.methods.vector", None)
    with pytest.warns(UserWarning, match="methods are missing"):
        back = archive.read()
    assert back.to_list() == [{"x": 1, "y": 2, "z": 3, "t": 9}]


def test_no_other_module_is_imported_because_a_file_says_so(store):
    archive = store(make_lorentz())
    archive.replace("coffea.nanoevents.methods.vector", "coffea.nanoevents.methods.vector.os")
    with pytest.raises(RunFormatError, match="not a module with behaviours"):
        archive.read()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.none() | st.floats(allow_nan=False) | st.integers(-9, 9)), max_size=5))
def test_any_jagged_array_comes_back(round_trip, items):
    array = ak.Array(items)
    back = round_trip(array)
    assert back.type == array.type
    assert back.to_list() == array.to_list()
