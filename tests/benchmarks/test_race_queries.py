"""Every form of a query gives what coffea's form gives, or the race compares nothing."""

from __future__ import annotations

import importlib
import sys

import numba
import numpy as np
import pytest
import uproot
from benchmarks.race.cases import QUERIES
from benchmarks.race.judging import judge
from benchmarks.race.places import EXAMPLES
from benchmarks.race.places import QUERIES as FOLDER
from benchmarks.race.stand import read_counts
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

from beampipe.datasets.samples import make_data

MODULES = ("adl", "columns", "kernels", "loops", "nano")


@pytest.fixture(scope="module")
def forms():
    """The modules of the queries; kernels as Python, because compiling takes half a minute."""
    before, disabled = list(sys.path), numba.config.DISABLE_JIT
    sys.path[:0] = [str(FOLDER), str(EXAMPLES)]
    numba.config.DISABLE_JIT = True
    yield {name: importlib.import_module(name) for name in MODULES}
    numba.config.DISABLE_JIT = disabled
    sys.path[:] = before
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(make_data(tmp_path_factory.mktemp("race"), files=1, events=4_000, seed=9)[0])


@pytest.fixture(scope="module")
def events(path):
    return NanoEventsFactory.from_root({path: "Events"}, schemaclass=NanoAODSchema).events()


def test_every_form_has_every_query(forms):
    for name in ("columns", "kernels", "loops", "nano"):
        table = getattr(forms[name], "COLUMNS" if name == "columns" else "QUERIES")
        assert list(table) == list(QUERIES)


@pytest.mark.parametrize("query", QUERIES)
def test_kernels_and_loops_give_what_the_coffea_form_gives(query, forms, path, events):
    expected = read_counts(forms["nano"].Query(query).process(events))
    assert all(sum(counts) > 20 for counts in expected.values())
    judge("kernels", read_counts(forms["kernels"].QUERIES[query](events)), "NanoEvents", expected)
    with uproot.open({path: "Events"}) as tree:
        # Only what is said to be needed is there, so the floor is the floor of this query.
        arrays = tree.arrays(forms["columns"].COLUMNS[query], how=dict)
    judge("loop", read_counts(forms["loops"].QUERIES[query](arrays)), "NanoEvents", expected)


@pytest.mark.parametrize("query", ["q1", "q2", "q3", "q4"])
def test_where_nothing_is_rounded_the_forms_are_equal_bit_by_bit(query, forms, events):
    expected = read_counts(forms["nano"].Query(query).process(events))
    assert read_counts(forms["kernels"].QUERIES[query](events)) == expected


def test_a_value_on_an_edge_is_counted_as_boost_histogram_counts_it(forms):
    kernels = forms["kernels"]
    values = np.concatenate([np.arange(-2.0, 203.0), [np.nextafter(200.0, 0), 58.0]])
    counts = kernels.empty()
    kernels.fill_all(counts, values)
    expected = kernels.histogram(counts).copy().reset().fill(values)
    np.testing.assert_array_equal(counts, expected.values(flow=True))
