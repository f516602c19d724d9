"""Muons, electrons, photons and jets as they stand in a file, pointing at each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beampipe.datasets.samples.collisions import BOTTOM, ELECTRON, LIGHT
from beampipe.datasets.samples.detector import Detected
from beampipe.datasets.samples.kinematics import (
    Column,
    Flags,
    Floats,
    Integers,
    round_mantissa,
)
from beampipe.datasets.samples.tables import (
    Candidates,
    Collection,
    Order,
    arrange,
    find_first_two,
)

KINEMATICS_BITS, QUALITY_BITS = 12, 8
MUON_REACH, ELECTRON_REACH, JET_REACH = 2.4, 2.5, 4.7
MUON_PT, ELECTRON_PT, PHOTON_PT, JET_PT = 3.0, 5.0, 10.0, 15.0


@dataclass(frozen=True, slots=True)
class Table:
    """A collection under construction: its candidates in file order, and their places."""

    items: Candidates
    order: Order

    @property
    def kinematics(self) -> dict[str, Column]:
        """Columns pt, eta, phi and mass."""
        return {
            "pt": round_mantissa(self.items.pt, KINEMATICS_BITS),
            "eta": round_mantissa(self.items.eta, KINEMATICS_BITS),
            "phi": round_mantissa(self.items.phi, KINEMATICS_BITS),
            "mass": round_mantissa(self.items.mass, KINEMATICS_BITS),
        }


def build_objects(
    rng: np.random.Generator, detected: Detected, n_events: int
) -> dict[str, Collection]:
    """Build the collections ``Muon``, ``Electron``, ``Photon`` and ``Jet``."""
    muons = _tabulate(detected.muons, MUON_PT, MUON_REACH, n_events)
    electrons = _tabulate(detected.electrons, ELECTRON_PT, ELECTRON_REACH, n_events)
    jets = _tabulate(detected.jets, JET_PT, JET_REACH, n_events)
    photons = _tabulate(
        _photon_candidates(rng, electrons.items, n_events), PHOTON_PT, ELECTRON_REACH, n_events
    )
    jet_rows = np.full(len(detected.jets), -1)
    jet_rows[jets.order.kept] = np.arange(len(jets.items))
    return {
        "Muon": _muon_columns(rng, muons, detected.prompt_muons[muons.order.kept], jets, jet_rows),
        "Electron": _electron_columns(
            rng, electrons, detected.prompt_electrons[electrons.order.kept], jets, photons, jet_rows
        ),
        "Photon": _photon_columns(rng, photons, electrons),
        "Jet": _jet_columns(rng, jets, muons, electrons, jet_rows),
    }


def point(rows: Integers, target: Order) -> Column:
    """Turn rows of another collection (-1 for none) into positions within the event."""
    if not len(target.local):
        return np.full(len(rows), -1, np.int16)
    return np.where(rows >= 0, target.local[rows], -1).astype(np.int16)


def _tabulate(candidates: Candidates, pt: float, reach: float, n_events: int) -> Table:
    accepted = (candidates.pt > pt) & (np.abs(candidates.eta) < reach)
    order = arrange(candidates.event, candidates.pt, accepted, n_events)
    return Table(candidates.select(order.kept), order)


def _rows_of_seeds(seed: Integers, rows: Integers) -> Integers:
    if not len(rows):
        return np.full(len(seed), -1)
    return np.where(seed >= 0, rows[seed], -1)


def _charges(kind: Integers) -> Column:
    """Charges of leptons, whose numbers are positive for the negative ones."""
    return (-np.sign(kind)).astype(np.int32)


def _impact(rng: np.random.Generator, prompt: Flags, resolution: float) -> dict[str, Column]:
    """Distances to the vertex and their errors [cm]; heavy flavour flies before it decays."""
    n = len(prompt)
    flight = np.where(prompt, 0.0, rng.exponential(0.03, n))
    side = np.where(rng.random(n) < 0.5, -1, 1)
    columns: dict[str, Column] = {}
    for name, scale in (("dxy", 1.0), ("dz", 2.0)):
        error = scale * resolution * rng.uniform(0.7, 1.8, n)
        columns[name] = round_mantissa(rng.normal(0, error) + scale * side * flight, QUALITY_BITS)
        columns[f"{name}Err"] = round_mantissa(error, QUALITY_BITS)
    return columns


def _isolation(rng: np.random.Generator, prompt: Flags) -> Floats:
    n = len(prompt)
    busy = np.where(prompt, rng.exponential(0.03, n), rng.gamma(2.0, 0.5, n))
    return np.where(rng.random(n) < np.where(prompt, 0.35, 0.02), 0.0, busy)


def _muon_columns(
    rng: np.random.Generator, muons: Table, prompt: Flags, jets: Table, jet_rows: Integers
) -> Collection:
    n = len(muons.items)
    isolation = _isolation(rng, prompt)
    wider = isolation * rng.uniform(1.0, 1.4, n)
    quality = rng.random(n)
    fields = {
        **muons.kinematics,
        "charge": _charges(muons.items.kind),
        **_impact(rng, prompt, 0.002),
        "pfRelIso03_all": round_mantissa(isolation, QUALITY_BITS),
        "pfRelIso04_all": round_mantissa(wider, QUALITY_BITS),
        "pfIsoId": np.digitize(-wider, [-0.4, -0.25, -0.2, -0.15, -0.1, -0.05]).astype(np.uint8),
        "softId": quality < np.where(prompt, 0.98, 0.9),
        "mediumId": quality < np.where(prompt, 0.97, 0.7),
        "tightId": quality < np.where(prompt, 0.95, 0.4),
        "jetIdx": point(_rows_of_seeds(muons.items.seed, jet_rows), jets.order),
    }
    return Collection(muons.order.counts, fields)


def _electron_columns(
    rng: np.random.Generator,
    electrons: Table,
    prompt: Flags,
    jets: Table,
    photons: Table,
    jet_rows: Integers,
) -> Collection:
    n = len(electrons.items)
    quality = rng.random(n)
    photon_of = np.full(n, -1)
    paired = np.flatnonzero(photons.items.seed >= 0)
    photon_of[photons.items.seed[paired]] = paired
    fields = {
        **electrons.kinematics,
        "charge": _charges(electrons.items.kind),
        **_impact(rng, prompt, 0.003),
        "pfRelIso03_all": round_mantissa(_isolation(rng, prompt), QUALITY_BITS),
        "cutBased": np.where(quality < np.where(prompt, 0.75, 0.1), 4, 1).astype(np.uint8),
        "mvaIso_WP90": quality < np.where(prompt, 0.9, 0.2),
        "convVeto": quality < np.where(prompt, 0.99, 0.8),
        "jetIdx": point(_rows_of_seeds(electrons.items.seed, jet_rows), jets.order),
        "photonIdx": point(photon_of, photons.order),
    }
    return Collection(electrons.order.counts, fields)


def _photon_candidates(
    rng: np.random.Generator, electrons: Candidates, n_events: int
) -> Candidates:
    """Photons on their own, and the clusters of most electrons."""
    event = np.repeat(np.arange(n_events), rng.poisson(0.35, n_events))
    n = len(event)
    alone = Candidates(
        event,
        _falling(rng, n),
        rng.uniform(-2.5, 2.5, n),
        rng.uniform(-np.pi, np.pi, n),
        np.zeros(n),
        np.full(n, LIGHT),
        np.full(n, -1),
    )
    twins = np.flatnonzero(rng.random(len(electrons)) < 0.85)
    seen = electrons.select(twins)
    clusters = Candidates(seen.event, seen.pt, seen.eta, seen.phi, seen.mass, seen.kind, twins)
    return Candidates.concatenate(alone, clusters)


def _falling(rng: np.random.Generator, n: int) -> Floats:
    return PHOTON_PT * (1 - rng.random(n)) ** (-1 / 3.5)


def _photon_columns(rng: np.random.Generator, photons: Table, electrons: Table) -> Collection:
    n = len(photons.items)
    real = photons.items.seed < 0
    # The schema of coffea sets the mass of photons to zero itself and warns of a column for it.
    fields = {name: values for name, values in photons.kinematics.items() if name != "mass"}
    fields |= {
        "pfRelIso03_all": round_mantissa(rng.exponential(0.08, n), QUALITY_BITS),
        "r9": round_mantissa(np.minimum(rng.normal(0.93, 0.06, n), 1.0), QUALITY_BITS),
        "cutBased": rng.integers(0, 4, n, dtype=np.uint8),
        "electronVeto": real,
        "pixelSeed": ~real,
        "electronIdx": point(photons.items.seed, electrons.order),
        "jetIdx": np.full(n, -1, np.int16),
    }
    return Collection(photons.order.counts, fields)


def _jet_columns(
    rng: np.random.Generator, jets: Table, muons: Table, electrons: Table, jet_rows: Integers
) -> Collection:
    n = len(jets.items)
    kind = np.abs(jets.items.kind)
    charged = np.where(kind == ELECTRON, 0.02, rng.beta(5.0, 4.0, n))
    tag = np.where(kind == BOTTOM, rng.beta(2.2, 0.6, n), rng.beta(0.6, 8.0, n))
    fields = {
        **jets.kinematics,
        "area": round_mantissa(rng.normal(0.503, 0.02, n), QUALITY_BITS),
        "btagDeepFlavB": round_mantissa(tag, KINEMATICS_BITS - 2),
        "chHEF": round_mantissa(charged, QUALITY_BITS),
        "neHEF": round_mantissa((1 - charged) * rng.beta(1.5, 6.0, n), QUALITY_BITS),
        "nConstituents": np.minimum(rng.poisson(8 + 0.15 * jets.items.pt), 255).astype(np.uint8),
        "jetId": np.where(rng.random(n) < 0.98, 6, 0).astype(np.uint8),
    }
    for name, table in (("muon", muons), ("electron", electrons)):
        owner = _rows_of_seeds(table.items.seed, jet_rows)
        first, second = find_first_two(owner, table.order.local, n)
        fields[f"{name}Idx1"] = first.astype(np.int16)
        fields[f"{name}Idx2"] = second.astype(np.int16)
    return Collection(jets.order.counts, fields)
