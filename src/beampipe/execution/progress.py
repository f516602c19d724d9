"""What a run tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from beampipe.execution.sketches import Sketch


@dataclass(frozen=True, slots=True)
class Progress:
    """A run at one moment.

    Attributes
    ----------
    stage : str
        ``"starting"``, ``"running"``, ``"committing"``, ``"stopping"`` or ``"done"``.
    events_done, events_planned, events_committed : int
        Done counts what has come back; committed is safe on disk [events].
    chunks_done, chunks_planned, chunks_failed : int
        Chunks.
    elapsed_s : float
        Since the driver began [s].
    events_per_s : float
        Over the last half minute [1/s].
    eta_s : float or None
        Time to the end at that rate [s]; None while it is not known.
    workers : int
        Workers there now.
    dashboard : str
        Link to Dask's dashboard, or empty.
    retries : int
        Chunks that were tried again after a transient or resource error, so far.
    workers_died : int
        Workers that died, so far.
    sketch : Sketch or None
        What the first histogram of the output looks like so far; None where there is none.
    """

    stage: str
    events_done: int
    events_planned: int
    events_committed: int
    chunks_done: int
    chunks_planned: int
    chunks_failed: int
    elapsed_s: float
    events_per_s: float
    eta_s: float | None
    workers: int
    dashboard: str = ""
    retries: int = 0
    workers_died: int = 0
    sketch: Sketch | None = None


Notify = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """A listener that does not listen."""
    del progress
