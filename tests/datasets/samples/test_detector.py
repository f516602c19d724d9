from __future__ import annotations

import numpy as np
import pytest

from beampipe.datasets.samples.collisions import ELECTRON, MUON, Particles, draw_collisions
from beampipe.datasets.samples.detector import NO_SEED, detect, muon_resolution
from beampipe.datasets.samples.kinematics import Momenta

N = 20_000


@pytest.fixture(scope="module")
def detected():
    rng = np.random.default_rng(3)
    return detect(rng, draw_collisions(rng, N), N)


def test_a_muon_is_measured_with_the_resolution_it_should_have():
    rng = np.random.default_rng(4)
    pt = np.full(N, 45.0)
    momenta = Momenta.from_rapidity(pt, np.zeros(N), np.zeros(N), np.full(N, 0.1))
    seen = detect(rng, Particles(np.arange(N), momenta, np.full(N, MUON)), N)
    prompt = seen.muons.select(seen.prompt_muons)
    assert len(prompt) / N == pytest.approx(0.96, abs=0.01)
    expected = muon_resolution(np.array([45.0]), np.zeros(1))[0]
    assert expected == pytest.approx(0.01, abs=0.003)
    assert np.std(prompt.pt / 45.0) == pytest.approx(expected, rel=0.05)
    assert np.mean(prompt.pt) == pytest.approx(45.0, rel=1e-3)


def test_a_lepton_is_near_the_jet_that_it_points_to(detected):
    for leptons in (detected.muons, detected.electrons):
        inside = leptons.select(leptons.seed != NO_SEED)
        jets = detected.jets.select(inside.seed)
        np.testing.assert_array_equal(inside.event, jets.event)
        distance = np.hypot(
            inside.eta - jets.eta, np.abs((inside.phi - jets.phi + np.pi) % (2 * np.pi) - np.pi)
        )
        assert np.mean(distance < 0.3) > 0.99


def test_prompt_leptons_have_jets_of_their_own(detected):
    for leptons, prompt, kind in (
        (detected.muons, detected.prompt_muons, MUON),
        (detected.electrons, detected.prompt_electrons, ELECTRON),
    ):
        seeds = leptons.seed[prompt]
        assert len(np.unique(seeds)) == len(seeds)
        assert np.all(np.abs(detected.jets.kind[seeds]) == kind)


def test_what_is_not_prompt_is_softer_and_of_both_charges(detected):
    prompt, other = (
        detected.muons.select(w) for w in (detected.prompt_muons, ~detected.prompt_muons)
    )
    assert np.median(other.pt) < np.median(prompt.pt)
    assert abs(np.mean(other.kind > 0) - 0.5) < 0.05


def test_neutrinos_are_missed(detected):
    missing = np.hypot(*detected.missing)
    assert missing.shape == (N,)
    assert 0.02 < np.mean(missing > 20) < 0.3
