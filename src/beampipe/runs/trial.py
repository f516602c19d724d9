"""A trial before scaling out: one chunk here, and what the whole would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beampipe.datasets.fileset import read_fileset
from beampipe.datasets.metadata_cache import MetadataCache
from beampipe.datasets.model import Plan
from beampipe.datasets.planning import make_plan
from beampipe.errors import NoEventsError
from beampipe.execution.processors import load_processor
from beampipe.runs.chunk_here import ChunkTrial, run_chunk_here
from beampipe.settings import load_settings


@dataclass(frozen=True, slots=True)
class Trial:
    """One chunk, and what follows for the whole fileset.

    Attributes
    ----------
    chunk : ChunkTrial
        What the chunk did.
    plan : Plan
        The whole fileset.
    """

    chunk: ChunkTrial
    plan: Plan

    @property
    def output(self) -> Any:
        """What the processor returned for the chunk."""
        return self.chunk.output

    @property
    def events_per_s(self) -> float:
        """Rate of one core on this chunk, opening the file included [1/s]."""
        spent_s = self.chunk.open_s + self.chunk.read_s + self.chunk.process_s
        return self.chunk.n_events / spent_s if spent_s > 0 else 0.0

    def wall_s(self, n_workers: int) -> float:
        """What the whole fileset would take on so many workers like this one [s]."""
        rate = self.events_per_s * n_workers
        return self.plan.n_events / rate if rate > 0 else float("inf")

    @property
    def total_bytes(self) -> float:
        """What the whole fileset would read [bytes]."""
        per_event = self.chunk.bytes_read / max(self.chunk.n_events, 1)
        return per_event * self.plan.n_events

    @property
    def n_cores(self) -> int:
        """Cores that this process may use."""
        from dask.system import CPU_COUNT  # what containers and affinity leave of them

        return int(CPU_COUNT)


def try_run(
    processor: Any,
    fileset: Any,
    *,
    schema: Any = "NanoAODSchema",
    treename: str | None = None,
    chunksize: int | None = None,
    params: Mapping[str, Any] | None = None,
) -> Trial:
    """Run a processor on the first chunk, in this process, and say what the whole would take.

    Breakpoints work, and what the processor raises comes out as it is. Nothing is written.

    Parameters
    ----------
    processor, fileset, schema, treename, chunksize, params
        As in `run`.

    Returns
    -------
    Trial
        With `output`, `chunk` (columns, bytes, times, memory), `plan`, `events_per_s`,
        `wall_s(n_workers)`.

    Raises
    ------
    BeampipeError
        As `run`; files that cannot be used are in `plan`, unless none can.
    """
    from beampipe.reading.schemas import resolve_schema

    loaded = load_processor(processor, params)
    settings = load_settings(chunksize=chunksize)
    plan = make_plan(
        read_fileset(fileset, treename=treename),
        chunksize=settings.chunksize,
        cache=MetadataCache(Path(settings.cache_dir).expanduser() / "metadata"),
    )
    first = next(plan.chunks(), None)
    if first is None:
        uncounted = [file for dataset in plan.datasets for file in dataset.uncounted]
        if uncounted:
            raise uncounted[0].error
        raise NoEventsError("There is no event to try the processor on.")
    metadata = {dataset.name: dataset.metadata for dataset in plan.datasets}
    chunk = run_chunk_here(
        loaded,
        first,
        schema=resolve_schema(schema),
        metadata=metadata[first.plan.file.dataset],
    )
    return Trial(chunk, plan)
