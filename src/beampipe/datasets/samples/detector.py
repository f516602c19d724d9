"""What a detector makes of a collision: smeared, partly lost, with fakes.

Resolutions and thresholds are about those of a general-purpose detector at the LHC:
muons 0.8 % in the barrel to 2 % in the endcaps, electrons 2 %, jets 10 to 25 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beampipe.datasets.samples.collisions import (
    BOTTOM,
    ELECTRON,
    ELECTRON_MASS,
    LIGHT,
    MUON,
    MUON_MASS,
    Particles,
)
from beampipe.datasets.samples.kinematics import (
    Flags,
    Floats,
    Integers,
    draw_falling_pt,
    wrap_angle,
)
from beampipe.datasets.samples.tables import Candidates

NO_SEED = -1
"""Seed of what is in no jet."""

HEAVY_TO_MUON, HEAVY_TO_SECOND_MUON = 0.30, 0.15
LIGHT_TO_MUON, JET_TO_ELECTRON = 0.012, 0.02


@dataclass(frozen=True, slots=True)
class Detected:
    """Everything seen in a set of events, before it is put in order.

    Attributes
    ----------
    jets : Candidates
        Of quarks, then those that hold nothing but one prompt lepton.
    muons, electrons : Candidates
        Their seed is the jet that they are found in.
    prompt_muons, prompt_electrons : ndarray of bool
        Whether each comes from the hard collision.
    missing : tuple of ndarray of float64
        Momentum that neutrinos carry away, x and y [GeV].
    """

    jets: Candidates
    muons: Candidates
    electrons: Candidates
    prompt_muons: Flags
    prompt_electrons: Flags
    missing: tuple[Floats, Floats]


def detect(rng: np.random.Generator, particles: Particles, n_events: int) -> Detected:
    """Let a detector see the particles of `n_events` events."""
    kind = np.abs(particles.number)
    quark_jets = _measure_jets(rng, particles.select((kind == BOTTOM) | (kind == LIGHT)))
    muons = _measure_leptons(rng, particles.select(kind == MUON))
    electrons = _measure_leptons(rng, particles.select(kind == ELECTRON))
    # A prompt lepton is clustered into a jet of its own, as jet algorithms do.
    first_electron = len(quark_jets) + len(muons)
    jets = Candidates.concatenate(quark_jets, _as_jets(rng, muons), _as_jets(rng, electrons))
    muons = _with_seeds(muons, len(quark_jets))
    electrons = _with_seeds(electrons, first_electron)
    in_jets = _leptons_in_jets(rng, quark_jets)
    in_flight = _muons_in_flight(rng, n_events)
    found_muons = in_jets.select(np.abs(in_jets.kind) == MUON)
    found_electrons = in_jets.select(np.abs(in_jets.kind) == ELECTRON)
    neutrino = (kind == ELECTRON + 1) | (kind == MUON + 1)
    invisible = particles.select(neutrino)
    missing = (
        _add_up(invisible.event, invisible.momenta.px, n_events),
        _add_up(invisible.event, invisible.momenta.py, n_events),
    )
    return Detected(
        jets,
        Candidates.concatenate(muons, found_muons, in_flight),
        Candidates.concatenate(electrons, found_electrons),
        np.arange(len(muons) + len(found_muons) + len(in_flight)) < len(muons),
        np.arange(len(electrons) + len(found_electrons)) < len(electrons),
        missing,
    )


def _add_up(event: Integers, values: Floats, n_events: int) -> Floats:
    return np.bincount(event, values, n_events).astype(np.float64, copy=False)


def muon_resolution(pt: Floats, eta: Floats) -> Floats:
    """Relative resolution of a muon's transverse momentum."""
    return 0.008 + 0.012 * (np.abs(eta) / 2.4) ** 3 + 5e-5 * pt


def _measure_leptons(rng: np.random.Generator, particles: Particles) -> Candidates:
    """Smear prompt leptons; some are not seen at all."""
    seen = particles.select(rng.random(len(particles.event)) < 0.96)
    n = len(seen.event)
    pt, eta, phi = seen.momenta.pt, seen.momenta.eta, seen.momenta.phi
    is_muon = np.abs(seen.number) == MUON
    resolution = np.where(is_muon, muon_resolution(pt, eta), np.hypot(0.012, 0.12 / np.sqrt(pt)))
    pt = pt * np.maximum(rng.normal(1.0, resolution), 0.2)
    eta, phi = eta + rng.normal(0, 4e-4, n), wrap_angle(phi + rng.normal(0, 4e-4, n))
    mass = np.where(is_muon, MUON_MASS, ELECTRON_MASS)
    return Candidates(seen.event, pt, eta, phi, mass, seen.number, np.full(n, NO_SEED))


def _measure_jets(rng: np.random.Generator, particles: Particles) -> Candidates:
    """Smear quarks into jets."""
    n = len(particles.event)
    pt, eta, phi = particles.momenta.pt, particles.momenta.eta, particles.momenta.phi
    resolution = np.hypot(0.05, 0.9 / np.sqrt(np.maximum(pt, 1.0)))
    pt = pt * np.clip(rng.normal(1.0, resolution), 0.3, 2.0)
    eta, phi = eta + rng.normal(0, 0.02, n), wrap_angle(phi + rng.normal(0, 0.02, n))
    mass = pt * np.clip(rng.lognormal(np.log(0.11), 0.35, n), 0.02, 0.4)
    return Candidates(particles.event, pt, eta, phi, mass, particles.number, np.full(n, NO_SEED))


def _as_jets(rng: np.random.Generator, leptons: Candidates) -> Candidates:
    """Jets around prompt leptons."""
    n = len(leptons)
    pt = leptons.pt * rng.uniform(1.0, 1.15, n)
    eta = leptons.eta + rng.normal(0, 0.01, n)
    mass = 0.08 * pt
    return Candidates(leptons.event, pt, eta, leptons.phi, mass, leptons.kind, leptons.seed)


def _with_seeds(leptons: Candidates, first: int) -> Candidates:
    """Give every lepton its own jet, the jets standing from `first` on."""
    seed = np.arange(first, first + len(leptons))
    return Candidates(
        leptons.event, leptons.pt, leptons.eta, leptons.phi, leptons.mass, leptons.kind, seed
    )


def _leptons_in_jets(rng: np.random.Generator, jets: Candidates) -> Candidates:
    """Muons from the decays of heavy quarks, and what looks like an electron."""
    heavy = np.abs(jets.kind) == BOTTOM
    to_muon = np.where(heavy, HEAVY_TO_MUON, LIGHT_TO_MUON)
    dice = rng.random(len(jets))
    once = np.flatnonzero(dice < to_muon + JET_TO_ELECTRON)
    # Some bottom quarks decay to a muon, and the charm quark that is left to another.
    again = once[heavy[once] & (rng.random(len(once)) < HEAVY_TO_SECOND_MUON)]
    seed = np.concatenate([once, again])
    n = len(seed)
    is_muon = np.concatenate([dice[once] < to_muon[once], np.ones(len(again), bool)])
    charge = np.where(rng.random(n) < 0.7, np.sign(jets.kind[seed]), -np.sign(jets.kind[seed]))
    return Candidates(
        jets.event[seed],
        jets.pt[seed] * rng.beta(2.0, 3.5, n),
        jets.eta[seed] + rng.normal(0, 0.07, n),
        wrap_angle(jets.phi[seed] + rng.normal(0, 0.07, n)),
        np.where(is_muon, MUON_MASS, ELECTRON_MASS),
        charge * np.where(is_muon, MUON, ELECTRON),
        seed,
    )


def _muons_in_flight(rng: np.random.Generator, n_events: int) -> Candidates:
    """Soft muons from pions and kaons, in no jet."""
    event = np.repeat(np.arange(n_events), rng.poisson(0.10, n_events))
    n = len(event)
    charge: Integers = rng.choice([-1, 1], n)
    return Candidates(
        event,
        draw_falling_pt(rng, n, minimum=3.0, index=4.0),
        rng.uniform(-2.4, 2.4, n),
        rng.uniform(-np.pi, np.pi, n),
        np.full(n, MUON_MASS),
        charge * MUON,
        np.full(n, NO_SEED),
    )
