"""Relativistic kinematics, and the spectra that particles are drawn from.

Everything is vectorised: one array element is one particle. Formulas follow the
review "Kinematics" of the Particle Data Group (Phys. Rev. D 110, 030001, section 49).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Column: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Momenta:
    """Four-momenta of many particles.

    Attributes
    ----------
    e, px, py, pz : ndarray of float64
        Energy and momentum [GeV], all of one shape.
    """

    e: Floats
    px: Floats
    py: Floats
    pz: Floats

    @classmethod
    def from_rapidity(cls, pt: Floats, rapidity: Floats, phi: Floats, mass: Floats) -> Self:
        """Build from transverse momentum, rapidity, azimuth and mass."""
        transverse = np.hypot(pt, mass)
        return cls(
            transverse * np.cosh(rapidity),
            pt * np.cos(phi),
            pt * np.sin(phi),
            transverse * np.sinh(rapidity),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Momenta]) -> Momenta:
        """Put several sets of particles one behind the other."""
        return Momenta(
            np.concatenate([part.e for part in parts]),
            np.concatenate([part.px for part in parts]),
            np.concatenate([part.py for part in parts]),
            np.concatenate([part.pz for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.e)

    def __getitem__(self, which: Flags | Integers) -> Momenta:
        return Momenta(self.e[which], self.px[which], self.py[which], self.pz[which])

    @property
    def pt(self) -> Floats:
        """Transverse momentum [GeV]."""
        return np.hypot(self.px, self.py)

    @property
    def eta(self) -> Floats:
        """Pseudorapidity."""
        return np.arcsinh(self.pz / np.maximum(self.pt, 1e-9))

    @property
    def phi(self) -> Floats:
        """Azimuth in [-pi, pi]."""
        return np.arctan2(self.py, self.px)

    @property
    def mass(self) -> Floats:
        """Invariant mass [GeV]."""
        squared = self.e**2 - self.px**2 - self.py**2 - self.pz**2
        return np.sqrt(np.maximum(squared, 0.0))


def decay_in_two(
    rng: np.random.Generator, parent: Momenta, mass: Floats, masses: tuple[Any, Any]
) -> tuple[Momenta, Momenta]:
    """Let every parent decay into two particles, isotropically in its rest frame.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the directions come from.
    parent : Momenta
        Momenta of the parents in the laboratory.
    mass : ndarray of float64
        Masses of the parents [GeV]: given, because `parent.mass` has lost digits.
    masses : pair of float or ndarray
        Masses of the daughters [GeV], together at most the parent's.

    Returns
    -------
    pair of Momenta
        The daughters in the laboratory.
    """
    n = len(parent)
    cosine = rng.uniform(-1.0, 1.0, n)
    azimuth = rng.uniform(-np.pi, np.pi, n)
    first, second = masses
    e_first = (mass**2 + first**2 - second**2) / (2 * mass)
    momentum = np.sqrt(np.maximum(e_first**2 - first**2, 0.0))
    sine = np.sqrt(1 - cosine**2)
    x, y = momentum * sine * np.cos(azimuth), momentum * sine * np.sin(azimuth)
    z = momentum * cosine
    a = boost(Momenta(e_first, x, y, z), parent, mass)
    b = Momenta(parent.e - a.e, parent.px - a.px, parent.py - a.py, parent.pz - a.pz)
    return a, b


def boost(particle: Momenta, parent: Momenta, mass: Floats) -> Momenta:
    """Boost particles from the rest frames of their parents into the laboratory."""
    product = parent.px * particle.px + parent.py * particle.py + parent.pz * particle.pz
    along = (particle.e + product / (parent.e + mass)) / mass
    return Momenta(
        (parent.e * particle.e + product) / mass,
        particle.px + along * parent.px,
        particle.py + along * parent.py,
        particle.pz + along * parent.pz,
    )


def draw_hard_pt(
    rng: np.random.Generator, n: int, *, scale: Floats | float, index: float
) -> Floats:
    r"""Draw transverse momenta of heavy particles.

    The density is :math:`p (1 + p^2/s^2)^{-k}` with scale *s* and index *k*: the shape
    that measured quarkonium and Z spectra follow.
    """
    u = rng.random(n)
    return scale * np.sqrt((1 - u) ** (-1 / (index - 1)) - 1)


def draw_falling_pt(
    rng: np.random.Generator, n: int, *, minimum: float, index: float, maximum: float = 2000.0
) -> Floats:
    """Draw transverse momenta with density ``pt ** -index`` from `minimum` to `maximum` [GeV]."""
    power = 1 - index
    ceiling = 1 - (maximum / minimum) ** power
    return minimum * np.asarray((1 - ceiling * rng.random(n)) ** (1 / power))


def draw_resonance_mass(
    rng: np.random.Generator, mass: Floats, width: Floats, *, reach: float = 20.0
) -> Floats:
    """Draw masses from a Breit-Wigner line, cut at `reach` widths on either side."""
    limit = np.arctan(2 * reach)
    return mass + 0.5 * width * np.tan(rng.uniform(-limit, limit, len(mass)))


def wrap_angle(phi: Floats) -> Floats:
    """Bring azimuths into [-pi, pi)."""
    return (phi + np.pi) % (2 * np.pi) - np.pi


def round_mantissa(values: Column, bits: int) -> NDArray[np.float32]:
    """Round to float32 values whose mantissa has only `bits` bits, as NanoAOD does.

    The low bits become zero, so the column compresses about as real data do.
    """
    pattern = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    half, keep = np.uint32(1 << (22 - bits)), np.uint32(0xFFFFFFFF << (23 - bits) & 0xFFFFFFFF)
    return ((pattern + half) & keep).view(np.float32)
