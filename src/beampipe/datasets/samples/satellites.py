"""The smaller collections: fat jets and their subjets, taus, radiated photons, soft electrons.

They are few, and there because a NanoAOD file has them: coffea's schema follows the indices
between all of these and warns of each that is missing.
"""

from __future__ import annotations

import numpy as np

from beampipe.datasets.samples.kinematics import (
    Column,
    Floats,
    Integers,
    draw_falling_pt,
    round_mantissa,
    wrap_angle,
)
from beampipe.datasets.samples.tables import Collection, Order, arrange

BITS = 10
RADIATION_RATE, TAU_RATE, FAT_JET_RATE, SOFT_ELECTRON_RATE = 0.02, 0.08, 0.04, 0.15


def build_satellites(
    rng: np.random.Generator, objects: dict[str, Collection], n_events: int
) -> dict[str, Collection]:
    """Build what hangs on muons and jets, and complete the muons with their photons' indices.

    Returns
    -------
    dict of str to Collection
        ``Muon`` with its ``fsrPhotonIdx``, and the new collections.
    """
    radiated, index = _radiate(rng, objects["Muon"], n_events)
    muons = objects["Muon"]
    muons = Collection(muons.counts, {**muons.fields, "fsrPhotonIdx": index})
    fat_jets, subjets = _build_fat_jets(rng, n_events)
    return {
        "Muon": muons,
        "FsrPhoton": radiated,
        "Tau": _build_taus(rng, objects["Jet"], n_events),
        "FatJet": fat_jets,
        "SubJet": subjets,
        "LowPtElectron": _build_soft_electrons(rng, n_events),
    }


def _rows(collection: Collection) -> tuple[Integers, Integers]:
    """Event and position within it of every object."""
    counts = collection.counts.astype(np.int64)
    event = np.repeat(np.arange(len(counts)), counts)
    return event, np.arange(len(event)) - np.repeat(np.cumsum(counts) - counts, counts)


def _directions(eta: Floats, phi: Floats) -> dict[str, Column]:
    return {"eta": round_mantissa(eta, BITS), "phi": round_mantissa(wrap_angle(phi), BITS)}


def _radiate(
    rng: np.random.Generator, muons: Collection, n_events: int
) -> tuple[Collection, Column]:
    """Photons near muons; and for every muon the position of its photon."""
    event, local = _rows(muons)
    parent = np.flatnonzero(rng.random(len(event)) < RADIATION_RATE)
    n = len(parent)
    pt = draw_falling_pt(rng, n, minimum=2.0, index=2.5, maximum=100.0)
    order = arrange(event[parent], pt, np.ones(n, bool), n_events)
    parent = parent[order.kept]
    index = np.full(len(event), -1, np.int16)
    index[parent] = order.local
    fields = {
        "pt": round_mantissa(pt[order.kept], BITS),
        **_directions(
            muons.fields["eta"][parent] + rng.normal(0, 0.1, n),
            muons.fields["phi"][parent] + rng.normal(0, 0.1, n),
        ),
        "relIso03": round_mantissa(rng.exponential(0.5, n), BITS),
        "muonIdx": local[parent].astype(np.int16),
    }
    return Collection(order.counts, fields), index


def _build_taus(rng: np.random.Generator, jets: Collection, n_events: int) -> Collection:
    """Hadronic tau candidates, each in a jet."""
    event, local = _rows(jets)
    central = np.abs(jets.fields["eta"]) < 2.3
    parent = np.flatnonzero((rng.random(len(event)) < TAU_RATE) & central)
    n = len(parent)
    pt = jets.fields["pt"][parent] * rng.uniform(0.6, 1.0, n)
    order = arrange(event[parent], pt, np.ones(n, bool), n_events)
    parent = parent[order.kept]
    fields = {
        "pt": round_mantissa(pt[order.kept], BITS),
        **_directions(
            jets.fields["eta"][parent].astype(np.float64),
            jets.fields["phi"][parent].astype(np.float64),
        ),
        "mass": round_mantissa(rng.uniform(0.3, 1.6, n), BITS),
        "charge": rng.choice([-1, 1], n).astype(np.int32),
        "decayMode": rng.choice([0, 1, 10, 11], n).astype(np.uint8),
        "idDeepTau2018v2p5VSjet": rng.integers(1, 9, n, dtype=np.uint8),
        "jetIdx": local[parent].astype(np.int16),
    }
    return Collection(order.counts, fields)


def _alone(
    rng: np.random.Generator, n_events: int, rate: float, *, minimum: float, index: float
) -> tuple[Order, Floats]:
    """Objects of their own: their order and their transverse momenta in it."""
    event = np.repeat(np.arange(n_events), rng.poisson(rate, n_events))
    pt = draw_falling_pt(rng, len(event), minimum=minimum, index=index)
    order = arrange(event, pt, np.ones(len(event), bool), n_events)
    return order, pt[order.kept]


def _build_fat_jets(rng: np.random.Generator, n_events: int) -> tuple[Collection, Collection]:
    """Fat jets, two subjets in most of them, with the masses of W, Z, H, top or of nothing."""
    order, pt = _alone(rng, n_events, FAT_JET_RATE, minimum=170.0, index=4.5)
    n = len(pt)
    eta, phi = rng.normal(0, 1.2, n), rng.uniform(-np.pi, np.pi, n)
    mass = np.abs(rng.choice([20.0, 80.4, 91.2, 125.0, 172.5], n, p=[0.6, 0.15, 0.05, 0.05, 0.15]))
    mass = mass * rng.lognormal(0.0, 0.1, n)
    split = rng.random(n) < 0.8
    event = np.repeat(np.arange(n_events), order.counts.astype(np.int64))
    pairs = np.bincount(event[split], minlength=n_events)
    nth = np.cumsum(split) - 1 - (np.cumsum(pairs) - pairs)[event]
    fields = {
        "pt": round_mantissa(pt, BITS),
        **_directions(eta, phi),
        "mass": round_mantissa(mass * 1.1, BITS),
        "msoftdrop": round_mantissa(mass, BITS),
        "tau1": round_mantissa(rng.beta(2, 5, n), BITS),
        "tau2": round_mantissa(rng.beta(2, 8, n), BITS),
        "jetId": np.where(rng.random(n) < 0.98, 6, 0).astype(np.uint8),
        "subJetIdx1": np.where(split, 2 * nth, -1).astype(np.int16),
        "subJetIdx2": np.where(split, 2 * nth + 1, -1).astype(np.int16),
    }
    share = np.repeat(rng.uniform(0.5, 0.9, int(split.sum())), 2)
    share[1::2] = 1 - share[::2]
    m = len(share)
    halves = {
        "pt": round_mantissa(np.repeat(pt[split], 2) * share, BITS),
        **_directions(
            np.repeat(eta[split], 2) + rng.normal(0, 0.2, m),
            np.repeat(phi[split], 2) + rng.normal(0, 0.2, m),
        ),
        "mass": round_mantissa(np.repeat(mass[split], 2) * share * 0.3, BITS),
    }
    return Collection(order.counts, fields), Collection((2 * pairs).astype(np.int32), halves)


def _build_soft_electrons(rng: np.random.Generator, n_events: int) -> Collection:
    order, pt = _alone(rng, n_events, SOFT_ELECTRON_RATE, minimum=1.0, index=4.0)
    n = len(pt)
    fields = {
        "pt": round_mantissa(pt, BITS),
        **_directions(rng.uniform(-2.5, 2.5, n), rng.uniform(-np.pi, np.pi, n)),
        "mass": np.full(n, 0.000511, np.float32),
        "charge": rng.choice([-1, 1], n).astype(np.int32),
        "ID": round_mantissa(rng.normal(1.0, 3.0, n), BITS),
        "electronIdx": np.full(n, -1, np.int16),
        "photonIdx": np.full(n, -1, np.int16),
    }
    return Collection(order.counts, fields)
