"""What happens in a collision: lepton pairs, top quarks, heavy flavour, radiation.

A toy of a two-lepton dataset at a hadron collider. Masses and widths are those of the
Particle Data Group (Phys. Rev. D 110, 030001); how often a process occurs is chosen so that
every resonance shows in a few thousand events, and claims nothing about cross sections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any, NamedTuple

import numpy as np

from beampipe.datasets.samples.kinematics import (
    Flags,
    Floats,
    Integers,
    Momenta,
    decay_in_two,
    draw_falling_pt,
    draw_hard_pt,
    draw_resonance_mass,
)

ELECTRON, MUON, BOTTOM, LIGHT = 11, 13, 5, 1
ELECTRON_MASS, MUON_MASS, BOTTOM_MASS = 0.000511, 0.105658, 4.18
W_MASS, W_WIDTH, TOP_MASS, TOP_WIDTH = 80.37, 2.085, 172.5, 1.42
RAPIDITY_REACH = 2.1


class Source(NamedTuple):
    """A process that makes one lepton pair, or none.

    Attributes
    ----------
    name : str
        What a physicist calls it.
    share : float
        Its fraction of all events.
    mass, width : float
        Of the pair [GeV]; zero mass where the pair has no line.
    pt_scale, pt_floor : float
        Spectrum of the pair's transverse momentum [GeV].
    lepton : int
        Number of the lepton it decays to, in the Particle Data Group's scheme; 0 for no pair.
    """

    name: str
    share: float
    mass: float = 0.0
    width: float = 0.0
    pt_scale: float = 10.0
    pt_floor: float = 6.0
    lepton: int = MUON


SOURCES = (
    Source("eta", 0.004, 0.5479, 1.3e-6),
    Source("omega", 0.014, 0.7827, 0.0087),
    Source("phi", 0.014, 1.0195, 0.0042),
    Source("J/psi", 0.110, 3.0969, 9.3e-5),
    Source("psi'", 0.012, 3.6861, 2.9e-4),
    Source("Y(1S)", 0.045, 9.4604, 5.4e-5, pt_floor=3.0),
    Source("Y(2S)", 0.018, 10.0234, 3.2e-5, pt_floor=3.0),
    Source("Y(3S)", 0.011, 10.3551, 2.0e-5, pt_floor=3.0),
    Source("Z", 0.170, 91.1880, 2.4955, pt_scale=12.0, pt_floor=0.0),
    Source("Z to electrons", 0.060, 91.1880, 2.4955, 12.0, 0.0, ELECTRON),
    Source("W and Z", 0.012, 91.1880, 2.4955, 30.0, 0.0),
    Source("continuum", 0.310, pt_floor=2.0),
    Source("top pair", 0.110, lepton=0),
    Source("heavy flavour", 0.060, lepton=0),
    Source("light jets", 0.050, lepton=0),
)
CONTINUUM_SCALE, CONTINUUM_INDEX, CONTINUUM_REACH = 0.9, 1.75, 600.0


@dataclass(frozen=True, slots=True)
class Particles:
    """Stable particles and quarks that leave a collision, in no order.

    Attributes
    ----------
    event : ndarray of int64
        Which event each belongs to, counted from 0.
    momenta : Momenta
        Their four-momenta.
    number : ndarray of int64
        Particle numbers of the Particle Data Group (antiparticles negative).
    """

    event: Integers
    momenta: Momenta
    number: Integers

    @classmethod
    def concatenate(cls, parts: Sequence[Particles]) -> Particles:
        """Put several sets one behind the other."""
        return Particles(
            np.concatenate([part.event for part in parts]),
            Momenta.concatenate([part.momenta for part in parts]),
            np.concatenate([part.number for part in parts]),
        )

    def select(self, which: Flags | Integers) -> Particles:
        """Keep those that a mask or a list of positions names."""
        return Particles(self.event[which], self.momenta[which], self.number[which])


def draw_collisions(rng: np.random.Generator, n: int) -> Particles:
    """Draw `n` collisions.

    Returns
    -------
    Particles
        Prompt leptons, neutrinos, and the quarks that become jets.
    """
    shares = np.array([source.share for source in SOURCES])
    process = rng.choice(len(SOURCES), n, p=shares / shares.sum())
    by_name = {source.name: index for index, source in enumerate(SOURCES)}

    def events_of(name: str) -> Integers:
        return np.flatnonzero(process == by_name[name])

    parts = [
        *_draw_pairs(rng, process),
        *_decay_w(rng, *_draw_boson(rng, events_of("W and Z")), leptonic=True),
        *_draw_top_pairs(rng, events_of("top pair")),
        *_draw_back_to_back(rng, events_of("heavy flavour"), BOTTOM),
        *_draw_back_to_back(rng, events_of("light jets"), LIGHT),
        _draw_radiation(rng, n),
    ]
    return Particles.concatenate(parts)


def _draw_pairs(rng: np.random.Generator, process: Integers) -> list[Particles]:
    """Lepton pairs of all sources at once, and the jet that a hard pair recoils against."""
    table = {
        name: np.array([getattr(source, name) for source in SOURCES])
        for name in ("mass", "width", "pt_scale", "pt_floor", "lepton")
    }
    event = np.flatnonzero(table["lepton"][process] > 0)
    row = process[event]
    n = len(event)
    mass = draw_resonance_mass(rng, table["mass"][row], table["width"][row])
    mass = np.where(table["mass"][row] > 0, mass, _draw_continuum_mass(rng, n))
    pt = table["pt_floor"][row] + draw_hard_pt(rng, n, scale=table["pt_scale"][row], index=2.8)
    rapidity, phi = rng.uniform(-RAPIDITY_REACH, RAPIDITY_REACH, n), rng.uniform(-np.pi, np.pi, n)
    lepton = table["lepton"][row]
    lepton_mass = np.where(lepton == MUON, MUON_MASS, ELECTRON_MASS)
    pair = Momenta.from_rapidity(pt, rapidity, phi, mass)
    minus, plus = decay_in_two(rng, pair, mass, (lepton_mass, lepton_mass))
    hard = pt > 15.0
    recoil = Momenta.from_rapidity(
        pt * rng.normal(1.0, 0.1, n), rng.normal(0, 1.5, n), phi + np.pi, 0.1 * pt
    )
    return [
        Particles(event, minus, lepton),
        Particles(event, plus, -lepton),
        Particles(event[hard], recoil[hard], np.full(int(hard.sum()), LIGHT)),
    ]


def _draw_continuum_mass(rng: np.random.Generator, n: int) -> Floats:
    """Masses that rise from the threshold and fall with a power above `CONTINUUM_SCALE` [GeV]."""
    scale = CONTINUUM_SCALE
    above = draw_falling_pt(rng, n, minimum=scale, maximum=CONTINUUM_REACH, index=CONTINUUM_INDEX)
    return 2 * MUON_MASS + above - scale


def _draw_boson(rng: np.random.Generator, event: Integers) -> tuple[Any, ...]:
    """W bosons on their own: their events, momenta, masses and charges."""
    n = len(event)
    mass = draw_resonance_mass(rng, np.full(n, W_MASS), np.full(n, W_WIDTH))
    pt = draw_hard_pt(rng, n, scale=30.0, index=2.8)
    rapidity, phi = rng.uniform(-RAPIDITY_REACH, RAPIDITY_REACH, n), rng.uniform(-np.pi, np.pi, n)
    return event, Momenta.from_rapidity(pt, rapidity, phi, mass), mass, rng.choice([-1, 1], n)


def _decay_w(
    rng: np.random.Generator,
    event: Integers,
    boson: Momenta,
    mass: Floats,
    charge: Integers,
    *,
    leptonic: bool = False,
) -> list[Particles]:
    """Decay W bosons: into quarks two times in three unless `leptonic`."""
    n = len(event)
    to_lepton = np.ones(n, bool) if leptonic else rng.random(n) < 1 / 3
    lepton = rng.choice([ELECTRON, MUON], n)
    first, second = decay_in_two(rng, boson, mass, (0.0, 0.0))
    return [
        Particles(event, first, np.where(to_lepton, -charge * lepton, LIGHT)),
        Particles(event, second, np.where(to_lepton, charge * (lepton + 1), LIGHT)),
    ]


def _draw_top_pairs(rng: np.random.Generator, event: Integers) -> list[Particles]:
    """Top quarks in pairs, each decayed into a b quark and a W."""
    n = len(event)
    pt = draw_hard_pt(rng, n, scale=170.0, index=4.0)
    phi = rng.uniform(-np.pi, np.pi, n)
    parts: list[Particles] = []
    for charge in (1, -1):
        mass = draw_resonance_mass(rng, np.full(n, TOP_MASS), np.full(n, TOP_WIDTH))
        w_mass = draw_resonance_mass(rng, np.full(n, W_MASS), np.full(n, W_WIDTH))
        away = phi if charge > 0 else phi + np.pi + rng.normal(0, 0.2, n)
        top = Momenta.from_rapidity(pt, rng.normal(0, 1.0, n), away, mass)
        bottom, boson = decay_in_two(rng, top, mass, (BOTTOM_MASS, w_mass))
        parts.append(Particles(event, bottom, np.full(n, BOTTOM * charge)))
        parts += _decay_w(rng, event, boson, w_mass, np.full(n, charge))
    return parts


def _draw_back_to_back(rng: np.random.Generator, event: Integers, number: int) -> list[Particles]:
    """Two quarks against each other."""
    n = len(event)
    pt = draw_falling_pt(rng, n, minimum=18.0, index=3.6)
    phi = rng.uniform(-np.pi, np.pi, n)
    sides = ((number, phi), (-number, phi + np.pi + rng.normal(0, 0.3, n)))

    def one_side(flavour: int, azimuth: Floats) -> Particles:
        hard = pt * rng.normal(1.0, 0.08, n)
        momenta = Momenta.from_rapidity(hard, rng.normal(0, 1.4, n), azimuth, 0.1 * pt)
        return Particles(event, momenta, np.full(n, flavour))

    return list(starmap(one_side, sides))


def _draw_radiation(rng: np.random.Generator, n: int) -> Particles:
    """Further jets, as every event has: radiated and from pile-up."""
    event = np.repeat(np.arange(n), rng.poisson(1.7, n))
    count = len(event)
    pt = draw_falling_pt(rng, count, minimum=12.0, index=4.2)
    momenta = Momenta.from_rapidity(
        pt, rng.normal(0, 2.1, count), rng.uniform(-np.pi, np.pi, count), 0.12 * pt
    )
    number = np.where(rng.random(count) < 0.05, BOTTOM, LIGHT)
    return Particles(event, momenta, number)
