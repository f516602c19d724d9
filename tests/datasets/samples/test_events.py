from __future__ import annotations

import numpy as np
import pytest

from beampipe.datasets.samples.events import build_columns
from beampipe.datasets.samples.tables import Collection

N = 20_000


@pytest.fixture(scope="module")
def columns():
    return build_columns((1, 0, 0), first_event=5_000, n_events=N)


def flatten(columns):
    flat = {}
    for name, values in columns.items():
        if isinstance(values, Collection):
            flat[f"n{name}"] = values.counts
            flat |= {f"{name}_{field}": column for field, column in values.fields.items()}
        else:
            flat[name] = values
    return flat


def assert_equal(first, second):
    assert list(first) == list(second)
    for name in first:
        assert first[name].dtype == second[name].dtype
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_no_column_is_wider_than_it_needs_to_be(columns):
    flat = flatten(columns)
    assert {c.dtype.name for c in flat.values()} <= {
        "float32", "bool", "int16", "int32", "uint8", "uint32", "uint64",
    }  # fmt: skip
    assert all(np.all(np.isfinite(c)) for c in flat.values())


def test_events_are_numbered_through(columns):
    assert columns["event"].tolist() == list(range(5_001, 5_001 + N))
    assert columns["luminosityBlock"][[0, 999, 1000]].tolist() == [6, 6, 7]


def test_weights_are_signed_and_their_sum_is_exact(columns):
    weights = columns["genWeight"].astype(float)
    assert 0.03 < np.mean(weights < 0) < 0.05
    shuffled = np.random.default_rng(0).permutation(weights)
    assert np.cumsum(weights)[-1] == np.cumsum(shuffled)[-1] == np.sum(weights)


def test_missing_momentum_grows_where_neutrinos_are(columns):
    met = columns["MET_pt"]
    assert 8 < np.median(met) < 20
    assert 0.02 < np.mean(met > 60) < 0.1
    assert np.all(columns["MET_sumEt"] > 0)


def test_triggers_turn_on(columns):
    muons = columns["Muon"]
    first = (np.cumsum(muons.counts) - muons.counts)[muons.counts > 0]
    lead = np.zeros(N)
    lead[muons.counts > 0] = muons.fields["pt"][first]
    assert not np.any(columns["HLT_IsoMu24"][lead < 24])
    assert np.mean(columns["HLT_IsoMu24"][lead > 24]) == pytest.approx(0.9, abs=0.02)
    assert np.any(columns["HLT_Mu17_Mu8"])


def test_extra_branches_change_no_other_column():
    few = flatten(build_columns((1, 2, 3), first_event=0, n_events=300))
    many = flatten(build_columns((1, 2, 3), first_event=0, n_events=300, extra_branches=60))
    assert_equal(few, {name: many[name] for name in few})
    assert len(many) == len(few) + 60


def test_the_same_seed_gives_the_same_columns():
    first, second = (
        flatten(build_columns((4, 1, 0), first_event=0, n_events=300, extra_branches=30))
        for _ in range(2)
    )
    assert_equal(first, second)


@pytest.mark.parametrize("seed", [(5, 1, 0), (4, 2, 0), (4, 1, 1)])
def test_another_seed_file_or_stretch_gives_other_columns(seed):
    first = build_columns((4, 1, 0), first_event=0, n_events=300)
    second = build_columns(seed, first_event=0, n_events=300)
    assert not np.array_equal(first["MET_pt"], second["MET_pt"])
    assert not np.array_equal(first["genWeight"], second["genWeight"])
