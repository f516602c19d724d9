from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from beampipe.datasets.samples.collisions import draw_collisions
from beampipe.datasets.samples.detector import detect
from beampipe.datasets.samples.objects import build_objects
from beampipe.datasets.samples.satellites import build_satellites

N = 20_000


@pytest.fixture(scope="module")
def objects():
    rng = np.random.default_rng(8)
    built = build_objects(rng, detect(rng, draw_collisions(rng, N), N), N)
    built |= build_satellites(rng, built, N)
    assert all(len(c.counts) == N for c in built.values())
    return {
        name: ak.zip({f: ak.unflatten(v, c.counts) for f, v in c.fields.items()})
        for name, c in built.items()
    }


def test_muons_and_their_photons_point_at_each_other(objects):
    photons, muons = objects["FsrPhoton"], objects["Muon"]
    assert ak.sum(ak.num(photons)) > 50
    back = muons.fsrPhotonIdx[photons.muonIdx]
    assert ak.all(back == ak.local_index(photons.pt))
    assert ak.sum(muons.fsrPhotonIdx >= 0) == ak.sum(ak.num(photons))


def test_taus_lie_in_their_jets(objects):
    taus, jets = objects["Tau"], objects["Jet"]
    assert ak.sum(ak.num(taus)) > 100
    assert ak.all(taus.pt <= jets.pt[taus.jetIdx] * 1.01)
    assert ak.all(abs(taus.eta - jets.eta[taus.jetIdx]) < 0.01)


def test_every_subjet_belongs_to_one_fat_jet(objects):
    fat, sub = objects["FatJet"], objects["SubJet"]
    used = ak.concatenate([fat.subJetIdx1, fat.subJetIdx2], axis=1)
    used = ak.sort(used[used >= 0], axis=1)
    assert ak.all(used == ak.local_index(sub.pt))
    two = fat.subJetIdx1 >= 0
    together = sub.pt[fat.subJetIdx1[two]] + sub.pt[fat.subJetIdx2[two]]
    np.testing.assert_allclose(ak.flatten(together), ak.flatten(fat.pt[two]), rtol=2e-3)


def test_soft_electrons_fall_in_pt(objects):
    pt = objects["LowPtElectron"].pt
    assert ak.all(pt[:, 1:] <= pt[:, :-1])
