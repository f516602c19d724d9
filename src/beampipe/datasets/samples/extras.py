"""Extra branches: as many as a real file has, cheap to make, looking like NanoAOD's.

They come in blocks of fifty: ten scalars, fifteen trigger flags, and a collection of a
counter and twenty-four fields.
"""

from __future__ import annotations

import numpy as np

from beampipe.datasets.samples.kinematics import Column, round_mantissa
from beampipe.datasets.samples.tables import Collection

SCALARS, FLAGS, FIELDS = 10, 15, 24
BLOCK = SCALARS + FLAGS + FIELDS + 1
BITS = 8


def build_extras(
    rng: np.random.Generator, n_events: int, n_branches: int
) -> dict[str, Column | Collection]:
    """Build exactly `n_branches` further branches, counters included.

    Every column is a stretch of one pool of random numbers, shifted from column to column:
    no two are alike, and none costs anything to make.
    """
    columns: dict[str, Column | Collection] = {}
    pool = rng.standard_normal(4 * n_events + 64 * BLOCK, dtype=np.float32)
    floats, whole = round_mantissa(pool, BITS), (np.abs(pool) * 3).astype(np.uint8)
    for block in range(-(-n_branches // BLOCK)):
        left = min(n_branches - block * BLOCK, BLOCK)
        fields = left - SCALARS - FLAGS - 1
        scalars = min(left, SCALARS) + (1 if fields == 0 else 0)
        for k in range(scalars):
            columns[f"Extra{block:02d}Info_x{k:02d}"] = _cut(floats, block * BLOCK + k, n_events)
        for k in range(min(left - SCALARS, FLAGS)):
            fired = _cut(whole, block * BLOCK + k, n_events) > k % 4
            columns[f"HLT_Extra{block:02d}_Path{k:02d}"] = fired
        if fields > 0:
            counts = rng.poisson(1.5, n_events).clip(max=4).astype(np.int32)
            columns[f"Extra{block:02d}"] = _build_collection(
                counts, (floats, whole), block * BLOCK, fields
            )
    return columns


def _cut(pool: Column, shift: int, n: int) -> Column:
    return pool[shift : shift + n]


def _build_collection(
    counts: Column, pools: tuple[Column, Column], shift: int, n_fields: int
) -> Collection:
    """Three in four fields hold real numbers, as in a real file, the others small whole ones."""
    floats, whole = pools
    total = int(counts.sum())
    fields: dict[str, Column] = {}
    for k in range(n_fields):
        if k % 4 < 3:
            fields[f"x{k:02d}"] = _cut(floats, shift + k, total)
        else:
            fields[f"id{k:02d}"] = _cut(whole, shift + k, total)
    return Collection(counts, fields)
