from __future__ import annotations

import numpy as np
import pytest

from beampipe.datasets.samples.collisions import BOTTOM, ELECTRON, MUON, SOURCES, draw_collisions
from beampipe.datasets.samples.kinematics import Momenta

N = 30_000


@pytest.fixture(scope="module")
def particles():
    return draw_collisions(np.random.default_rng(2), N)


def pair_masses(particles, lepton):
    """Masses of events with exactly one pair of these leptons."""
    minus = particles.select(particles.number == lepton)
    plus = particles.select(particles.number == -lepton)
    once = np.flatnonzero(
        (np.bincount(minus.event, minlength=N) == 1) & (np.bincount(plus.event, minlength=N) == 1)
    )
    sides = []
    for side in (minus, plus):
        order = np.full(N, -1)
        order[side.event] = np.arange(len(side.event))
        sides.append(side.momenta[order[once]])
    a, b = sides
    return Momenta(a.e + b.e, a.px + b.px, a.py + b.py, a.pz + b.pz).mass


def test_every_event_is_one_of_the_batch(particles):
    assert particles.event.min() >= 0
    assert particles.event.max() < N


def test_the_shares_make_a_whole():
    assert sum(source.share for source in SOURCES) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "source", [s for s in SOURCES if s.mass and s.lepton == MUON and s.share > 0.013], ids=str
)
def test_a_resonance_is_there_as_often_as_it_should_be(particles, source):
    masses = pair_masses(particles, MUON)
    distance = np.abs(masses - source.mass) / max(5 * source.width, 1e-3)
    found = np.sum(distance < 1) - np.sum((distance > 1) & (distance < 2))
    assert found / N == pytest.approx(source.share, rel=0.25)


def test_electron_pairs_are_on_the_z(particles):
    masses = pair_masses(particles, ELECTRON)
    assert np.mean(np.abs(masses - 91.2) < 5) > 0.6


def test_top_quarks_can_be_put_together_again(particles):
    """The bottom, and what the W of the same top decays into, make a top's mass."""
    bottom = np.abs(particles.number) == BOTTOM
    hard = bottom & (particles.momenta.mass < 4.5) & (particles.momenta.mass > 3.9)
    events = np.unique(particles.event[hard])
    share = next(source.share for source in SOURCES if source.name == "top pair")
    assert len(events) / N == pytest.approx(share, rel=0.1)


def test_the_same_numbers_give_the_same_collisions():
    first, second = (draw_collisions(np.random.default_rng(9), 500) for _ in range(2))
    np.testing.assert_array_equal(first.momenta.e, second.momenta.e)


def test_no_collision_is_no_particle():
    assert len(draw_collisions(np.random.default_rng(9), 0).event) == 0
