"""What a run finds of itself in earlier ones, before any worker is started."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beampipe.datasets.model import Plan
from beampipe.errors import ArgumentError
from beampipe.execution.engine import Job
from beampipe.execution.history import add_to_history
from beampipe.execution.identity import Identity, digest_metadata, identify
from beampipe.execution.processors import Processor
from beampipe.execution.reuse import (
    adopt,
    explain_no_reuse,
    find_alike,
    find_sources,
    is_whole,
)
from beampipe.execution.runs_index import run_root


@dataclass(frozen=True, slots=True)
class Prospect:
    """A processor, what it computes, and the earlier runs that computed the same.

    Attributes
    ----------
    schema : str, type or None
        As `reading.schemas.check_schema` gives it.
    alike : tuple of Path
        Run directories, the newest first; empty for a fresh run.
    """

    processor: Processor
    schema: str | type | None
    identity: Identity
    alike: tuple[Path, ...] = ()

    def knowing(self, plan: Plan) -> Prospect:
        """The same with what the processor is told of each dataset."""
        told = {dataset.name: digest_metadata(dataset.metadata) for dataset in plan.datasets}
        return dataclasses.replace(self, identity=dataclasses.replace(self.identity, datasets=told))


def look_ahead(
    processor: Processor,
    *,
    schema: str | type | None,
    inputs: Iterable[Path],
    places: Iterable[Path],
) -> Prospect:
    """Find out what a processor computes, and who computed that before.

    Parameters
    ----------
    places : iterable of Path
        Run directories and folders of them; none for a fresh run.
    """
    identity = identify(processor, schema=schema, metadata={}, inputs=inputs)
    return Prospect(processor, schema, identity, tuple(find_alike(identity, places)))


def places_to_look(reuse_from: Iterable[Path], *, fresh: bool) -> tuple[Path, ...]:
    """Where earlier runs may be: none for a fresh run.

    Raises
    ------
    ArgumentError
        ``run-argument``: a named place is not there.
    """
    named = tuple(reuse_from)
    for place in named:
        if not place.is_dir():
            raise ArgumentError(
                f"There are no runs to take from in {place}.",
                why="there is no such directory",
                fix="give a run directory or a folder of them (reuse_from, --reuse-from)",
            )
    return () if fresh else (*named, run_root())


def has_any(places: Iterable[Path]) -> bool:
    """Whether there is anything in these places."""
    return any(place.is_dir() and next(place.iterdir(), None) is not None for place in places)


def take_over(job: Job, prospect: Prospect, *, fresh: bool) -> bool:
    """Copy what fits from earlier runs into a new one.

    Returns
    -------
    bool
        Whether nothing is left to be done.
    """
    sources = find_sources(job.plan, prospect.identity, prospect.alike, job.options)
    if sources:
        adopt(job, sources)
        return is_whole(job.directory, job.run_id, job.plan)
    path = job.directory.path
    if not fresh:
        entry = explain_no_reuse(prospect.identity, job.name, run_root(), besides=path)
        add_to_history(path, [entry] if entry else [])
    return False


def absolute_paths(paths: Any) -> tuple[Path, ...]:
    """Paths as given by a user: one, several or none.

    Raises
    ------
    ArgumentError
        ``run-argument``
    """
    given = [paths] if isinstance(paths, (str, Path)) else paths or ()
    try:
        return tuple(Path(path).expanduser().absolute() for path in given)
    except (TypeError, RuntimeError) as error:
        raise ArgumentError(
            f"{paths!r} is not a list of files.", why=str(error), fix="give paths"
        ) from error
