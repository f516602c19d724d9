from __future__ import annotations

import numpy as np
import pytest

from beampipe.datasets.samples.kinematics import (
    Momenta,
    boost,
    decay_in_two,
    draw_falling_pt,
    draw_hard_pt,
    draw_resonance_mass,
    round_mantissa,
    wrap_angle,
)

N = 20_000


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def parents(rng):
    pt, rapidity = rng.uniform(0, 80, N), rng.uniform(-2, 2, N)
    mass = rng.uniform(3, 200, N)
    return Momenta.from_rapidity(pt, rapidity, rng.uniform(-np.pi, np.pi, N), mass), mass, pt


def total(a, b):
    return Momenta(a.e + b.e, a.px + b.px, a.py + b.py, a.pz + b.pz)


def test_momenta_know_what_they_were_made_of(parents):
    momenta, mass, pt = parents
    np.testing.assert_allclose(momenta.mass, mass, rtol=1e-9)
    np.testing.assert_allclose(momenta.pt, pt)
    np.testing.assert_allclose(np.sinh(momenta.eta) * pt, momenta.pz)


def test_a_decay_keeps_energy_momentum_and_masses(rng, parents):
    momenta, mass, _ = parents
    first, second = decay_in_two(rng, momenta, mass, (1.0, 0.1))
    np.testing.assert_allclose(total(first, second).mass, mass, rtol=1e-9)
    np.testing.assert_allclose(first.mass, 1.0, rtol=1e-4)
    np.testing.assert_allclose(second.mass, 0.1, atol=1e-2)


def test_a_decay_is_isotropic_in_the_rest_frame(rng, parents):
    momenta, mass, _ = parents
    first, _ = decay_in_two(rng, momenta, mass, (0.1, 0.1))
    back = Momenta(momenta.e, -momenta.px, -momenta.py, -momenta.pz)
    at_rest = boost(first, back, mass)
    np.testing.assert_allclose(at_rest.e, mass / 2, rtol=1e-6)
    cosine = at_rest.pz / np.sqrt(at_rest.e**2 - 0.01)
    counts, _ = np.histogram(cosine, 10, (-1, 1))
    assert np.all(np.abs(counts - N / 10) < 5 * np.sqrt(N / 10))
    assert abs(np.mean(at_rest.px)) < 5 * np.std(at_rest.px) / np.sqrt(N)


def test_spectra_have_the_shapes_they_claim(rng):
    falling = draw_falling_pt(rng, N, minimum=10.0, index=3.0, maximum=1000.0)
    assert 10 <= falling.min() < falling.max() <= 1000
    assert np.mean(falling > 20) == pytest.approx(0.25, abs=0.02)
    hard = draw_hard_pt(rng, N, scale=10.0, index=3.0)
    # The integral of p (1 + p^2/s^2)^-3 from s on is a quarter of the whole.
    assert np.mean(hard > 10) == pytest.approx(0.25, abs=0.02)


def test_a_resonance_is_as_wide_as_it_should_be(rng):
    mass = draw_resonance_mass(rng, np.full(N, 91.19), np.full(N, 2.5))
    assert np.median(mass) == pytest.approx(91.19, abs=0.05)
    # Half of a Breit-Wigner lies within half a width, a little more of one with its tails cut.
    assert np.mean(np.abs(mass - 91.19) < 1.25) == pytest.approx(0.508, abs=0.02)
    assert np.max(np.abs(mass - 91.19)) <= 20 * 2.5


def test_angles_are_wrapped():
    np.testing.assert_allclose(
        wrap_angle(np.array([3.2, -3.2, 0.5])), [3.2 - 2 * np.pi, 2 * np.pi - 3.2, 0.5]
    )


def test_rounding_keeps_as_many_bits_as_asked(rng):
    values = rng.normal(0, 100, N).astype(np.float32)
    rounded = round_mantissa(values, 10)
    assert rounded.dtype == np.float32
    assert not np.any(rounded.view(np.uint32) & np.uint32(2**13 - 1))
    np.testing.assert_allclose(rounded, values, rtol=2**-11)
    assert len(np.unique(rounded)) < len(np.unique(values))


def test_rounding_leaves_what_is_round():
    values = np.array([0.0, 1.0, -1.0, 0.5, 1024.0], np.float32)
    np.testing.assert_array_equal(round_mantissa(values, 4), values)
