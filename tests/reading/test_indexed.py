from dataclasses import replace

import awkward as ak
import pytest

from beampipe.reading.index.codecs import BrokenBytesError
from beampipe.reading.index.making import make_index
from beampipe.reading.index.reading import fetch_ranges
from beampipe.reading.index.template import LayoutTemplate
from beampipe.reading.indexed import IndexedColumns
from beampipe.reading.trees import TreePool


@pytest.fixture
def opened(write_events, entry_of):
    pool = TreePool()
    yield pool.get(entry_of(write_events()))
    pool.close()


@pytest.fixture
def columns(opened):
    return IndexedColumns(opened, make_index(opened), LayoutTemplate(opened), (50, 170))


def test_columns_are_those_that_uproot_reads(opened, columns):
    for name in ("event", "genWeight", "Muon_pt", "nMuon"):
        assert columns.has(name)
        due = opened.tree[name].array(entry_start=50, entry_stop=170)
        assert ak.array_equal(columns.read(name), due)


def test_what_was_fetched_is_not_fetched_again(opened, columns):
    columns.fetch(("Muon_pt", "event"))
    requested = opened.requested_bytes
    columns.read("Muon_pt")
    columns.read("event")
    assert opened.requested_bytes == requested
    assert all(spent > 0 for spent in columns.metrics().values())


def test_a_column_that_is_not_there_is_not_claimed(columns):
    assert not columns.has("nothing")


@pytest.mark.parametrize("is_local", [True, False])
def test_an_index_that_points_behind_the_end_is_what_is_broken(opened, is_local):
    index = make_index(opened)
    wrong = replace(index, table=replace(index.table, seeks=index.table.seeks + 10**6))
    if not is_local:
        opened.stamp = None
    columns = IndexedColumns(opened, wrong, LayoutTemplate(opened), (50, 170))
    with pytest.raises(BrokenBytesError, match="behind the end"):
        columns.read("event")


@pytest.mark.parametrize(
    ("url", "gap_bytes"), [("root://door.org//a.root", 32 * 1024), ("https://door.org/a", 2**18)]
)
def test_ranges_far_apart_are_joined_where_each_is_a_request(
    columns, opened, url, gap_bytes, monkeypatch
):
    given = []

    def note(source, wanted, *, gap_bytes):
        given.append(gap_bytes)
        return fetch_ranges(source, wanted, gap_bytes=gap_bytes)

    monkeypatch.setattr("beampipe.reading.indexed.fetch_ranges", note)
    opened.url, opened.stamp = url, None
    columns.fetch(("event",))
    assert given == [gap_bytes]
