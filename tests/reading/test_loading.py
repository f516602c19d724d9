from __future__ import annotations

import os
from types import SimpleNamespace

import awkward as ak
import pytest

from beampipe.errors import ChunkUnreadableError, FileChangedError, ReadingError
from beampipe.reading.loading import ColumnLoader, column_form, empty_column
from beampipe.reading.trees import TreePool


@pytest.fixture
def pool():
    found = TreePool()
    yield found
    found.close()


@pytest.fixture
def opened(pool, write_events, entry_of):
    return pool.get(entry_of(write_events()))


def test_a_column_is_read_once_and_accounted_for(opened):
    loader = ColumnLoader(opened, 100, 160)
    before = opened.requested_bytes
    assert loader.load("event").tolist() == list(range(100, 160))
    taken = opened.requested_bytes - before
    assert loader.load("event").tolist() == list(range(100, 160))
    assert loader.bytes_read == taken == opened.requested_bytes - before
    assert loader.read_s > 0
    loader.load("MET_pt")
    assert loader.touched == ("MET_pt", "event")
    assert loader.bytes_read > taken


def test_an_empty_range_reads_nothing_and_keeps_the_type(opened):
    before = opened.requested_bytes
    for name in ("event", "Muon_pt"):
        empty = ColumnLoader(opened, 100, 100).load(name)
        full = opened.tree[name].array(entry_stop=3)
        assert len(empty) == 0
        assert empty.type.content == full.type.content
    assert opened.requested_bytes - before < 2 * 4096


@pytest.mark.parametrize("name", ["nano_tt_v12.root", "nano_dy_rntuple.root", "uproot-HZZ.root"])
def test_an_empty_column_has_the_type_of_a_full_one_on_real_files(pool, real_data, entry_of, name):
    tree = pool.get(entry_of(real_data / name)).tree
    before = tree.file.source.num_requested_bytes
    names = [name for name in tree.keys() if "." not in name][::20]  # noqa: SIM118
    empties = [empty_column(tree[name]) for name in names]
    assert tree.file.source.num_requested_bytes == before
    for column, empty in zip(names, empties, strict=True):
        assert empty.type.content == tree[column].array(entry_stop=2).type.content
        assert len(empty) == 0


def test_a_broken_basket_is_the_files_fault(pool, write_events, entry_of, break_basket):
    path = write_events()
    entry = entry_of(path)
    break_basket(path, "Muon_pt", 1)
    opened = pool.get(entry)
    assert len(ColumnLoader(opened, 0, 100).load("Muon_pt")) == 100
    with pytest.raises(ChunkUnreadableError) as caught:
        ColumnLoader(opened, 100, 160).load("Muon_pt")
    error = caught.value
    assert (error.column, error.start, error.stop) == ("Muon_pt", 100, 160)
    assert error.url == str(path)
    assert "compression" in error.why
    assert opened.is_suspect
    assert pool.get(entry) is not opened


def test_a_column_that_went_missing_is_the_files_fault(opened):
    with pytest.raises(ChunkUnreadableError, match="'Muon_ptt'"):
        ColumnLoader(opened, 0, 1).load("Muon_ptt")


def test_a_file_rewritten_while_it_is_read_is_noticed(opened):
    loader = ColumnLoader(opened, 0, 100)
    loader.load("event")
    os.utime(opened.url, ns=(0, 0))
    with pytest.raises(FileChangedError, match="was rewritten"):
        loader.load("MET_pt")
    assert opened.is_suspect


def test_a_file_that_lost_its_name_is_read_to_the_end(opened):
    loader = ColumnLoader(opened, 0, 300)
    os.unlink(opened.url)  # noqa: PTH108
    assert ak.sum(loader.load("event")) == 300 * 299 // 2


def test_a_closed_chunk_says_what_to_do(opened):
    loader = ColumnLoader(opened, 0, 100)
    loader.close()
    with pytest.raises(ReadingError, match=r"ak\.materialize"):
        loader.load("event")


def test_presence_is_told(opened):
    loader = ColumnLoader(opened, 0, 100)
    assert loader.has("MET_pt")
    assert not loader.has("MET_ptt")
    assert loader.touched == ()


def test_what_a_class_keeps_for_itself_is_no_part_of_a_columns_form():
    # As uproot's form of lists of TRef, whose arrays have `ref` alone.
    number = ak.forms.NumpyForm("uint32")
    inner = ak.forms.RecordForm(
        [number, number, number], ["ref", "@other1", "@other2"], parameters={"__record__": "TRef"}
    )
    lists = ak.forms.ListOffsetForm("i64", inner)
    interpretation = SimpleNamespace(awkward_form=lambda _file: lists)
    form = column_form(SimpleNamespace(interpretation=interpretation, file=None))
    assert str(form.type) == "var * TRef[ref: uint32]"
