from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from beampipe.datasets.samples.collisions import draw_collisions
from beampipe.datasets.samples.detector import detect
from beampipe.datasets.samples.objects import build_objects, point
from beampipe.datasets.samples.tables import arrange

N = 5_000


@pytest.fixture(scope="module")
def objects():
    rng = np.random.default_rng(6)
    built = build_objects(rng, detect(rng, draw_collisions(rng, N), N), N)
    return {
        name: ak.zip({f: ak.unflatten(v, c.counts) for f, v in c.fields.items()})
        for name, c in built.items()
    }


@pytest.mark.parametrize("name", ["Muon", "Electron", "Photon", "Jet"])
def test_a_collection_falls_in_pt_within_its_reach(objects, name):
    pt = objects[name].pt
    assert ak.all(pt[:, 1:] <= pt[:, :-1])
    lowest, reach = {"Muon": (3, 2.4), "Electron": (5, 2.5), "Photon": (10, 2.5), "Jet": (15, 4.7)}[
        name
    ]
    assert ak.min(pt) >= lowest * 0.999
    assert ak.max(abs(objects[name].eta)) <= reach * 1.001
    assert ak.max(abs(objects[name].phi)) <= np.pi * 1.001


@pytest.mark.parametrize(
    ("name", "index", "target"),
    [
        ("Muon", "jetIdx", "Jet"),
        ("Electron", "jetIdx", "Jet"),
        ("Electron", "photonIdx", "Photon"),
        ("Photon", "electronIdx", "Electron"),
        ("Jet", "muonIdx1", "Muon"),
        ("Jet", "muonIdx2", "Muon"),
        ("Jet", "electronIdx1", "Electron"),
    ],
)
def test_an_index_points_at_something_near(objects, name, index, target):
    source, targets = objects[name], objects[target]
    position = source[index]
    assert ak.all(position < ak.num(targets))
    assert ak.all(position >= -1)
    points = position >= 0
    assert ak.sum(points) > 5
    other = targets[position[points]]
    distance = np.hypot(
        source.eta[points] - other.eta,
        (source.phi[points] - other.phi + np.pi) % (2 * np.pi) - np.pi,
    )
    assert ak.mean(distance < 0.4) > 0.99


def test_jets_and_muons_point_at_each_other(objects):
    jets, muons = objects["Jet"], objects["Muon"]
    back = muons.jetIdx[jets.muonIdx1[jets.muonIdx1 >= 0]]
    assert ak.all(back == ak.local_index(jets.pt)[jets.muonIdx1 >= 0])
    assert ak.sum(jets.muonIdx2 >= 0) > 0
    assert ak.all(jets.muonIdx1[jets.muonIdx2 >= 0] >= 0)


def test_identification_tells_prompt_muons_from_others(objects):
    muons = objects["Muon"]
    tight, isolated = muons.tightId, muons.pfRelIso04_all < 0.15
    assert ak.mean(isolated[tight]) > ak.mean(isolated[~tight]) + 0.2
    assert ak.all(abs(muons.charge) == 1)


def test_photons_have_no_mass_of_their_own(objects):
    assert "mass" not in objects["Photon"].fields


def test_pointing_at_nothing_is_minus_one():
    nobody = arrange(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool), 3)
    assert point(np.array([-1, -1]), nobody).tolist() == [-1, -1]
