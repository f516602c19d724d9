"""How far a run is and how fast: counts that come back and counts that are safe on disk."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from beampipe.execution.manifest import Manifest
from beampipe.execution.progress import Progress
from beampipe.execution.sketches import Sketch, add_sketches

_RATE_SPAN_S = 30.0
_FEWEST_MARKS = 2


@dataclass(slots=True)
class Meter:
    """Counts what a driver sees.

    Attributes
    ----------
    events_planned : int
        Of the whole run [events].
    events_before : int
        In the ledger before this driver began [events].
    retries, workers_died : int
        Chunks tried again, and workers that died; whoever sees it counts them here.
    threads_s : float
        Seconds that worker threads were there, summed over threads: what could have been used.
    sketch : Sketch or None
        What the first histogram looks like so far.
    """

    events_planned: int = 0
    events_before: int = 0
    events_done: int = 0
    events_committed: int = 0
    chunks_done: int = 0
    chunks_failed: int = 0
    retries: int = 0
    workers_died: int = 0
    threads_s: float = 0.0
    sketch: Sketch | None = None
    _seen: tuple[float, int] = (0.0, 0)
    _begun: float = 0.0
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    def start(self) -> None:
        """Begin to measure."""
        self._begun = time.monotonic()
        self._seen = (self._begun, 0)
        self._marks.append((self._begun, self.events_done))

    def see(self, threads: int) -> None:
        """Take note of how many worker threads there are; they were there since the last time."""
        now = time.monotonic()
        then, before = self._seen
        self.threads_s += (now - then) * min(before, threads)
        self._seen = (now, threads)

    def look(self, sketch: Sketch | None) -> None:
        """Add what a partial looks like to what there is to be seen."""
        self.sketch = add_sketches(self.sketch, sketch)

    def take(self, manifest: Manifest, *, sign: int = 1) -> None:
        """Count what came back; `sign` -1 takes back what was thrown away."""
        self.events_done += sign * manifest.n_events
        self.chunks_done += sign * len(manifest.done)
        self.chunks_failed += sign * len(manifest.failed)

    def commit(self, manifest: Manifest) -> None:
        """Count what is safe on disk."""
        self.events_committed += manifest.n_events

    def read(self, stage: str, *, chunks: int, workers: int, dashboard: str = "") -> Progress:
        """The run at this moment.

        Parameters
        ----------
        stage : str
            As in `Progress`.
        chunks : int
            Chunks that this driver has to do.
        """
        now = time.monotonic()
        rate = self._rate(now)
        left = self.events_planned - self.events_before - self.events_done
        return Progress(
            stage=stage,
            events_done=self.events_before + self.events_done,
            events_planned=self.events_planned,
            events_committed=self.events_before + self.events_committed,
            chunks_done=self.chunks_done,
            chunks_planned=chunks,
            chunks_failed=self.chunks_failed,
            elapsed_s=now - self._begun,
            events_per_s=rate,
            eta_s=left / rate if rate > 0 else None,
            workers=workers,
            dashboard=dashboard,
            retries=self.retries,
            workers_died=self.workers_died,
            sketch=self.sketch,
        )

    def _rate(self, now: float) -> float:
        """Events per second over the last half minute."""
        self._marks.append((now, self.events_done))
        while now - self._marks[0][0] > _RATE_SPAN_S and len(self._marks) > _FEWEST_MARKS:
            self._marks.popleft()
        begin, events = self._marks[0]
        return max(0.0, (self.events_done - events) / (now - begin)) if now > begin else 0.0
