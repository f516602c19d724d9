"""Writing one file of a sample, so that it is there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from beampipe.datasets.samples.events import build_columns
from beampipe.datasets.samples.kinematics import Column
from beampipe.datasets.samples.recipe import Recipe
from beampipe.datasets.samples.tables import Collection

TREE = "Events"
SIGNATURE = "beampipe_sample"
# Levels at which writing takes about as long as making the events.
LEVELS = {
    "none": None,
    "zlib": uproot.ZLIB(1),
    "zstd": uproot.ZSTD(1),
    "lz4": uproot.LZ4(1),
    "lzma": uproot.LZMA(1),
}


def write_file(path: Path, recipe: Recipe, index: int) -> Path:
    """Write file number `index` of a sample.

    It grows under a hidden name that no ``*.root`` finds, and gets its own name when it is
    complete. Its columns depend on the recipe and the number alone, its uuid is new each time.

    Parameters
    ----------
    path : Path
        Where the file is to be; one that is there already is replaced.
    recipe : Recipe
        What to write.
    index : int
        Number of the file in its sample.

    Returns
    -------
    Path
        `path`.
    """
    growing = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with uproot.recreate(growing, compression=LEVELS[recipe.compression]) as file:
            _fill(file, recipe, index)
            # Kept by the file itself, so that it is never parted from what it is made of.
            file[SIGNATURE] = recipe.sign(index)
        growing.replace(path)
    finally:
        growing.unlink(missing_ok=True)
    return path


def read_signature(path: Path) -> str | None:
    """Read what a file is made of; None where it is not a file of a sample."""
    try:
        with uproot.open(path) as file:
            return str(file[SIGNATURE]) if SIGNATURE in file else None
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _fill(file: Any, recipe: Recipe, index: int) -> None:
    tree: Any = None
    for columns in _stretches(recipe, index):
        data = _as_fields(columns) if recipe.rntuple else _as_records(columns)
        if tree is None:
            tree = _make_tree(file, recipe, data)
        if recipe.events:
            tree.extend(data)


def _make_tree(file: Any, recipe: Recipe, data: Mapping[str, Any]) -> Any:
    types = {
        name: values.type.content if isinstance(values, ak.Array) else values.dtype
        for name, values in data.items()
    }
    if recipe.rntuple:
        return file.mkrntuple(TREE, types)
    clusters = -(-recipe.events // recipe.cluster_events)
    # Room for every basket and one more from the start: a tree that runs out is laid out anew,
    # which takes uproot a time that grows with the square of the number of branches.
    return file.mktree(TREE, types, initial_basket_capacity=clusters + 2)


def _stretches(recipe: Recipe, index: int) -> Iterator[dict[str, Column | Collection]]:
    """Columns cluster by cluster, at least once so that an empty tree has its branches."""
    for nth, first in enumerate(range(0, max(recipe.events, 1), recipe.cluster_events)):
        yield build_columns(
            (recipe.seed, index, nth),
            first_event=first,
            n_events=min(recipe.cluster_events, recipe.events - first),
            extra_branches=recipe.extra_branches,
        )


def _as_records(columns: Mapping[str, Column | Collection]) -> dict[str, Any]:
    """Give each collection as lists of records: uproot makes one counter and many branches."""
    return {
        name: _jagged(values.counts, dict(values.fields))
        if isinstance(values, Collection)
        else values
        for name, values in columns.items()
    }


def _as_fields(columns: Mapping[str, Column | Collection]) -> dict[str, Any]:
    """Give every column its own field, named as in a tree: what coffea's schema looks for."""
    fields: dict[str, Any] = {}
    for name, values in columns.items():
        if not isinstance(values, Collection):
            fields[name] = values
            continue
        fields[f"n{name}"] = values.counts
        for field, flat in values.fields.items():
            fields[f"{name}_{field}"] = _jagged(values.counts, flat)
    return fields


def _jagged(counts: Column, flat: Column | dict[str, Column]) -> ak.Array:
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    content = (
        ak.contents.RecordArray([ak.contents.NumpyArray(v) for v in flat.values()], list(flat))
        if isinstance(flat, dict)
        else ak.contents.NumpyArray(flat)
    )
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), content))
