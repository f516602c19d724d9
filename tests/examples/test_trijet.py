"""The trijet search: both ways give the same."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numba
import numpy as np
import pytest
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

import beampipe as bp
from beampipe.datasets.samples import make_data

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load_example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trijet(tmp_path_factory):
    # Numba would keep code beside the example under the name that the module has here, and whoever
    # found it there under another name could not load it.
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(tmp_path_factory.mktemp("numba"))
    yield load_example("trijet")
    numba.config.CACHE_DIR = before


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("trijets"), files=1, events=5_000, seed=3)[0]


@pytest.fixture(scope="module")
def events(path):
    return NanoEventsFactory.from_root({str(path): "Events"}, schemaclass=NanoAODSchema).events()


def counts(histogram):
    return histogram.values(flow=True)


@pytest.fixture(scope="module")
def with_arrays(trijet, events):
    return trijet.with_arrays(events)


def assert_same(found, expected):
    assert set(found) == set(expected) == {"mass", "pt"}
    for name, histogram in expected.items():
        assert counts(histogram).sum() > 1_000
        assert counts(found[name]).sum() == counts(histogram).sum()
        # coffea adds in single precision: a value on the edge of a bin may fall to its other side.
        moved = np.abs(np.cumsum(counts(found[name])) - np.cumsum(counts(histogram)))
        assert moved.max() <= 2


def test_both_ways_give_the_same(trijet, events, with_arrays):
    assert_same(trijet.with_numba(events), with_arrays)


def test_the_top_quark_is_where_it_should_be(trijet, with_arrays):
    mass = with_arrays["mass"]
    assert abs(mass.axes[0].centers[np.argmax(mass.values())] - trijet.TOP_MASS) < 15


def test_a_run_gives_the_same(path, with_arrays, tmp_path):
    result = bp.run(
        f"{EXAMPLES / 'trijet.py'}:with_numba",
        {"sample": [path]},
        client="inline",
        run_dir=tmp_path / "run",
        progress=False,
    )
    assert_same(result.output, with_arrays)
