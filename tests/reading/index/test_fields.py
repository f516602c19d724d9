from __future__ import annotations

import gc
import types

import awkward as ak
import numpy as np
import pytest
import uproot

from beampipe.reading.index.fields import FieldBook, without_file

CODE = (type, types.FunctionType, types.ModuleType)
NUMBERS = ("bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


@pytest.fixture
def open_ntuple(real_data):
    opened = []

    def find(name="Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root"):
        opened.append(uproot.open(real_data / name))
        return opened[-1]["Events"]

    yield find
    for file in opened:
        file.close()


def test_a_field_is_described(open_ntuple):
    book = FieldBook(open_ntuple())
    lists = book.find("Muon_pt")
    assert (lists.name, lists.steps) == ("Muon_pt", ("Muon_pt",))
    offsets, content = lists.columns
    assert offsets.is_offset
    assert offsets.is_delta
    assert content.dtype == np.float32
    assert content.is_split
    assert not content.is_offset
    counts = book.find("nMuon")
    assert [column.is_cardinality for column in counts.columns] == [True]
    assert counts.columns[0].number == offsets.number


def test_a_field_in_a_collection_is_described(open_ntuple):
    ntuple = open_ntuple()
    book, path = FieldBook(ntuple), "_collection0.Muon_charge"
    for name in (path, path.replace(".", "/")):
        found = book.find(name)
        assert found.steps == ("_collection0", "Muon_charge")
        assert found.form == ntuple[path].to_akform()[0]


@pytest.mark.parametrize("name", ["nothing", "", ".", "Muon_pt.nothing", "pt"])
def test_what_is_no_path_is_not_found(open_ntuple, name):
    assert FieldBook(open_ntuple()).find(name) is None


def test_what_uproot_stumbles_over_is_left_to_it(open_ntuple, monkeypatch):
    book = FieldBook(open_ntuple())

    def stumble(field, **_):
        raise NotImplementedError("Unsplit fields are not supported")

    monkeypatch.setattr(uproot.models.RNTuple.RField, "to_akform", stumble)
    assert book.find("Muon_pt") is None


def test_it_holds_no_file(open_ntuple):
    ntuple = open_ntuple()
    book = FieldBook(ntuple)
    assert book.find("Muon_pt") is not None
    seen, todo = set(), [book]
    while todo:  # all that can be reached from it
        one = todo.pop()
        if id(one) not in seen and not isinstance(one, CODE):
            seen.add(id(one))
            todo += gc.get_referents(one)
    assert id(ntuple) not in seen
    assert id(ntuple.file) not in seen
    assert len(seen) > 100


def test_a_copy_without_file_describes_the_same(open_ntuple):
    ntuple = open_ntuple()
    bare = without_file(ntuple)
    assert [field.path for field in bare.all_fields] == [f.path for f in ntuple.all_fields]
    assert bare.ntuple is bare
    assert ntuple["Muon_pt"].array().ndim == 2  # the file is still the other's


def test_numbers_of_every_width(tmp_path):
    columns = {kind: ak.Array(np.zeros(3, dtype=kind)) for kind in NUMBERS}
    with uproot.recreate(tmp_path / "n.root") as file:
        file.mkrntuple("Events", columns)
    with uproot.open(tmp_path / "n.root") as file:
        book = FieldBook(file["Events"])
        for kind in NUMBERS:
            (column,) = book.find(kind).columns
            assert column.dtype == np.dtype(kind)
            assert column.is_bit is (kind == "bool")
