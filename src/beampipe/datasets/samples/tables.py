"""Tables of objects: flat columns, ordered by event and then by falling pt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from beampipe.datasets.samples.kinematics import Column, Flags, Floats, Integers


@dataclass(frozen=True, slots=True)
class Candidates:
    """Objects that a detector may see, in no order.

    Attributes
    ----------
    event : ndarray of int64
        Which event each belongs to.
    pt, eta, phi, mass : ndarray of float64
        As measured [GeV].
    kind : ndarray of int64
        What it was, in the Particle Data Group's numbers (antiparticles negative).
    seed : ndarray of int64
        Position of another candidate that it belongs to, -1 for none.
    """

    event: Integers
    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    kind: Integers
    seed: Integers

    def __len__(self) -> int:
        return len(self.event)

    def select(self, which: Flags | Integers) -> Candidates:
        """Keep those that a mask or a list of positions names."""
        return Candidates(
            self.event[which],
            self.pt[which],
            self.eta[which],
            self.phi[which],
            self.mass[which],
            self.kind[which],
            self.seed[which],
        )

    @classmethod
    def concatenate(cls, *parts: Candidates) -> Candidates:
        """Put several sets one behind the other."""
        return Candidates(
            np.concatenate([part.event for part in parts]),
            np.concatenate([part.pt for part in parts]),
            np.concatenate([part.eta for part in parts]),
            np.concatenate([part.phi for part in parts]),
            np.concatenate([part.mass for part in parts]),
            np.concatenate([part.kind for part in parts]),
            np.concatenate([part.seed for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Order:
    """How accepted candidates stand in the file.

    Attributes
    ----------
    kept : ndarray of int64
        Candidates in file order.
    counts : ndarray of int32
        Objects in each event.
    local : ndarray of int64
        Position of each kept object in its event.
    """

    kept: Integers
    counts: Column
    local: Integers

    def positions(self, n: int) -> Integers:
        """Position in its event for each of `n` candidates, -1 for those not kept."""
        found = np.full(n, -1)
        found[self.kept] = self.local
        return found


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection of a file, such as ``Muon``.

    Attributes
    ----------
    counts : ndarray of int32
        Objects in each event.
    fields : mapping of str to ndarray
        Flat columns with one element per object, events one behind the other.
    """

    counts: Column
    fields: Mapping[str, Column]


def arrange(event: Integers, pt: Floats, accepted: Flags, n_events: int) -> Order:
    """Order the accepted candidates by event, then by falling transverse momentum."""
    kept = np.flatnonzero(accepted)
    # One key for both, several times faster than sorting by two; no pt comes near 1e6 GeV.
    kept = kept[np.argsort(event[kept] - 1e-6 * pt[kept], kind="stable")]
    counts = np.bincount(event[kept], minlength=n_events)
    firsts = np.cumsum(counts) - counts
    local = np.arange(len(kept)) - np.repeat(firsts, counts)
    return Order(kept, counts.astype(np.int32), local)


def find_first_two(owner: Integers, local: Integers, n_owners: int) -> tuple[Integers, Integers]:
    """Find the first two objects that point to each owner.

    Parameters
    ----------
    owner : ndarray of int64
        Which owner each object points to, -1 for none; objects in file order.
    local : ndarray of int64
        What to note down for each object.
    n_owners : int
        How many owners there are.

    Returns
    -------
    pair of ndarray of int64
        The first and the second object's `local` for each owner, -1 where there is none.
    """
    found = []
    rows = np.flatnonzero(owner >= 0)
    for _ in range(2):
        unique, first = np.unique(owner[rows], return_index=True)
        values = np.full(n_owners, -1)
        values[unique] = local[rows[first]]
        found.append(values)
        rows = np.delete(rows, first)
    return found[0], found[1]
