"""All columns of a stretch of events: collisions, a detector, and what is true of each event."""

from __future__ import annotations

import numpy as np

from beampipe.datasets.samples.collisions import draw_collisions
from beampipe.datasets.samples.detector import Detected, detect
from beampipe.datasets.samples.extras import build_extras
from beampipe.datasets.samples.kinematics import Column, Floats, round_mantissa
from beampipe.datasets.samples.objects import build_objects
from beampipe.datasets.samples.satellites import build_satellites
from beampipe.datasets.samples.tables import Collection

FIRST_RUN, EVENTS_PER_LUMINOSITY_BLOCK = 194_108, 1_000
NEGATIVE_WEIGHTS = 0.04


def build_columns(
    seed: tuple[int, int, int], *, first_event: int, n_events: int, extra_branches: int = 0
) -> dict[str, Column | Collection]:
    """Make a stretch of events of one file.

    Parameters
    ----------
    seed : tuple of int
        The sample's seed, the file's number, and the stretch's number in the file.
    first_event : int
        Entry in the file that the stretch begins at.
    n_events : int
        Its length.
    extra_branches : int, default 0
        Further branches (see :mod:`beampipe.datasets.samples.extras`).

    Returns
    -------
    dict of str to ndarray or Collection
        Columns with one element per event, and collections, by their names in the file.
    """
    rng = np.random.default_rng(seed)
    detected = detect(rng, draw_collisions(rng, n_events), n_events)
    objects = build_objects(rng, detected, n_events)
    objects |= build_satellites(rng, objects, n_events)
    entry = first_event + np.arange(n_events)
    columns: dict[str, Column | Collection] = {
        "run": np.full(n_events, FIRST_RUN + seed[1], np.uint32),
        "luminosityBlock": (entry // EVENTS_PER_LUMINOSITY_BLOCK + 1).astype(np.uint32),
        "event": (entry + 1).astype(np.uint64),
        **_weigh(rng, n_events),
        **_find_vertices(rng, n_events),
        **_measure_missing(rng, detected, objects, n_events),
        **objects,
        **_trigger(rng, objects, n_events),
    }
    # Their numbers come last, so that asking for more of them changes no other column.
    return columns | build_extras(rng, n_events, extra_branches)


def _weigh(rng: np.random.Generator, n_events: int) -> dict[str, Column]:
    """Weights around one, a few per cent of them negative.

    With ten bits each, sums over millions of them are exact in float64, in any order.
    """
    weight = np.clip(rng.normal(1.0, 0.1, n_events), 0.5, 1.5)
    sign = np.where(rng.random(n_events) < NEGATIVE_WEIGHTS, -1.0, 1.0)
    return {"genWeight": round_mantissa(sign * weight, 10)}


def _find_vertices(rng: np.random.Generator, n_events: int) -> dict[str, Column]:
    pileup = np.clip(rng.normal(32.0, 9.0, n_events), 2.0, None)
    vertices = 1 + rng.poisson(0.7 * pileup)
    good = np.maximum(vertices - rng.poisson(3.0, n_events), 1)
    return {
        "Pileup_nTrueInt": round_mantissa(pileup, 10),
        "PV_npvs": vertices.astype(np.int32),
        "PV_npvsGood": good.astype(np.int32),
        "fixedGridRhoFastjetAll": round_mantissa(0.6 * pileup + rng.normal(0, 2, n_events), 8),
    }


def _event_numbers(collection: Collection) -> Column:
    return np.repeat(np.arange(len(collection.counts)), collection.counts)


def _measure_missing(
    rng: np.random.Generator, detected: Detected, objects: dict[str, Collection], n_events: int
) -> dict[str, Column]:
    """Missing momentum: neutrinos, and a resolution that grows with the activity."""
    activity = rng.gamma(9.0, 55.0, n_events)
    for name in ("Jet", "Muon", "Electron"):
        collection = objects[name]
        activity += np.bincount(_event_numbers(collection), collection.fields["pt"], n_events)
    resolution = 0.5 * np.sqrt(activity)
    x = detected.missing[0] + rng.normal(0, resolution)
    y = detected.missing[1] + rng.normal(0, resolution)
    pt = np.hypot(x, y)
    return {
        "MET_pt": round_mantissa(pt, 12),
        "MET_phi": round_mantissa(np.arctan2(y, x), 12),
        "MET_sumEt": round_mantissa(activity, 12),
        "MET_significance": round_mantissa((pt / resolution) ** 2, 8),
    }


def _nth_pt(collection: Collection, n_events: int, nth: int) -> Floats:
    """Transverse momentum of each event's nth object, zero where it has fewer."""
    counts = collection.counts.astype(np.int64)
    rows = (np.cumsum(counts) - counts + nth)[counts > nth]
    pt = np.zeros(n_events)
    pt[counts > nth] = collection.fields["pt"][rows]
    return pt


def _trigger(
    rng: np.random.Generator, objects: dict[str, Collection], n_events: int
) -> dict[str, Column]:
    """Trigger bits with turn-ons of their own, and the usual event filters."""
    lead, second = (_nth_pt(objects["Muon"], n_events, nth) for nth in (0, 1))
    electron, jet = (_nth_pt(objects[name], n_events, 0) for name in ("Electron", "Jet"))

    def fire(decision: Column, efficiency: float) -> Column:
        return np.asarray(decision & (rng.random(n_events) < efficiency))

    return {
        "HLT_IsoMu24": fire(lead > 24, 0.90),
        "HLT_Mu17_Mu8": fire((lead > 17) & (second > 8), 0.93),
        "HLT_DoubleMu4_3_LowMass": fire((lead > 4) & (second > 3), 0.95),
        "HLT_Ele32_WPTight_Gsf": fire(electron > 32, 0.85),
        "HLT_PFJet80": fire(jet > 80, 0.97),
        "Flag_goodVertices": fire(np.ones(n_events, bool), 0.999),
        "Flag_METFilters": fire(np.ones(n_events, bool), 0.995),
    }
