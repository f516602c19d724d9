"""Values with their manifests, and how they are merged."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from beampipe.errors import AccumulationError
from beampipe.execution.accumulators import add_into, add_outputs, approximate_bytes
from beampipe.execution.manifest import ChunkKey, FailedChunk, Manifest, join_manifests
from beampipe.execution.sketches import Sketch, sketch_output
from beampipe.reading.index.shelf import Made, Place


@dataclass(frozen=True, slots=True)
class Partial:
    """A value and the manifest of what is in it.

    Attributes
    ----------
    value : Any
        What the processor returned, added up; None when no event was done.
    metrics : dict of str to float
        Seconds per stage, bytes read, ...; added up like the values.
    remainder : tuple of (str, int)
        Chunks that were asked for and not begun (a bundle that returned early).
    returned : tuple of FailedChunk
        Chunks that failed for a reason that may pass: to be tried again, and not in the manifest.
    worker_ends_at : float
        When the worker that made it goes [s since 1970]; infinite where nothing is known.
    """

    manifest: Manifest
    value: Any = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    remainder: tuple[ChunkKey, ...] = ()
    returned: tuple[FailedChunk, ...] = ()
    worker_ends_at: float = math.inf


@dataclass(frozen=True, slots=True)
class Summary:
    """A partial without its value: what the driver is told at once.

    Attributes
    ----------
    value_bytes : int
        About how large the value is [bytes].
    host : str
        Where it was made.
    worker : str
        The address of the worker that has it; empty where that is not known.
    indexes : dict of Place to Made
        Indexes of files that its worker has made and that nobody else may have.
    sees_store : bool or None
        Whether its worker sees the driver's store of indexes; None where that is not known.
    sketch : Sketch or None
        The value's first histogram, for a glance.
    """

    manifest: Manifest
    metrics: Mapping[str, float]
    remainder: tuple[ChunkKey, ...]
    value_bytes: int = 0
    returned: tuple[FailedChunk, ...] = ()
    host: str = ""
    worker_ends_at: float = math.inf
    indexes: Mapping[Place, Made] = field(default_factory=dict)
    sees_store: bool | None = None
    sketch: Sketch | None = None
    worker: str = ""


def summarize_partial(partial: Partial) -> Summary:
    """Leave the value where it is and tell the rest."""
    size = approximate_bytes(partial.value)
    return Summary(
        partial.manifest,
        partial.metrics,
        partial.remainder,
        size,
        partial.returned,
        socket.gethostname(),
        partial.worker_ends_at,
        sketch=sketch_output(partial.value),
    )


def merge_partials(partials: Sequence[Partial]) -> Partial:
    """Fold partials of one dataset into a fresh one.

    No input is changed: Dask may run a merge again, and an input that already
    held its neighbour would then be counted twice.

    Raises
    ------
    AccumulationError
        ``output-not-addable``: the processor returned different things for different chunks.
    LedgerError
        ``run-ledger``: two partials hold the same events.
    """
    begin = time.perf_counter()
    manifest = join_manifests(partial.manifest for partial in partials)
    # In the order of the events as far as it goes: lists and categories then come out alike.
    ordered = sorted(partials, key=lambda partial: partial.manifest.done.first or ())
    values = [partial.value for partial in ordered if partial.manifest.n_events]
    total = values[0] if values else None
    try:
        if len(values) > 1:
            total = add_outputs(values[0], values[1])
        for value in values[2:]:
            total = add_into(total, value)
    except AccumulationError as error:
        error.add_facts(dataset=manifest.dataset)
        raise
    spent = {"merge_s": time.perf_counter() - begin}
    metrics = add_metrics([*(partial.metrics for partial in partials), spent])
    return Partial(manifest, total, metrics)


def add_metrics(metrics: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Add up dictionaries of numbers; names that end in ``_max`` keep the largest."""
    total: dict[str, float] = {}
    for entry in metrics:
        for name, value in entry.items():
            if name not in total:
                total[name] = value
            elif name.endswith("_max"):
                total[name] = max(total[name], value)
            else:
                total[name] += value
    return total
