"""Workers that die: what was on them, who is to blame, and what goes out again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from beampipe.datasets.model import Chunk
from beampipe.datasets.urls import show_url
from beampipe.execution.dispatch import FIRST, Dispatcher, terms_of
from beampipe.execution.incidents import Incidents
from beampipe.execution.manifest import ChunkKey, FailedChunk
from beampipe.execution.outings import Outing, Outings
from beampipe.execution.pool import DeathReport, Pool, WorkerDied
from beampipe.execution.troubles import Fate, Troubles, spell_death

_REPORT_S = 15.0


@dataclass(slots=True)
class _Death:
    """A worker that died, and what was on it; what is to become of that shows a report."""

    outings: list[Outing]
    at: float


@dataclass(slots=True)
class Casualties:
    """Takes bundles from dead workers and sends them out again, without the guilty.

    Attributes
    ----------
    write_off : callable
        Told the dataset and the failure of a chunk that is given up.
    n_died : int
        Workers that died, and were not told to go.
    """

    dispatcher: Dispatcher
    pool: Pool
    out: Outings
    troubles: Troubles
    incidents: Incidents
    write_off: Callable[[str, FailedChunk], None]
    n_died: int = 0
    _deaths: dict[str, _Death] = field(default_factory=dict)
    _blamed: dict[tuple[int, ChunkKey], Chunk] = field(default_factory=dict)

    @property
    def is_waiting(self) -> bool:
        """Whether a report is still to come, and with it chunks that go out again."""
        return bool(self._deaths)

    def take_death(self, event: WorkerDied) -> None:
        """At once: take back what was on it, before Dask lets it kill the next one."""
        # What is held and was being computed again is not out: Dask does that once more.
        keys = [key for key in event.keys if key in self.out]
        outings = [found for key in keys if (found := self.out.lose(key)) is not None]
        self.pool.release(keys)
        if event.is_expected:
            for outing in outings:
                self._lose(outing)
            return
        self.n_died += 1
        before = self._deaths.get(event.worker)
        if before is not None:
            before.outings += outings
        else:
            self._deaths[event.worker] = _Death(outings, time.monotonic())

    def give_up_waiting(self) -> None:
        """A report that does not come says nothing."""
        now = time.monotonic()
        for worker in [name for name, death in self._deaths.items() if now - death.at > _REPORT_S]:
            self.take_report(DeathReport(worker))

    def take_report(self, report: DeathReport) -> None:
        """What was seen of a death: name the chunk that is to blame, let the others go on."""
        death = self._deaths.pop(report.worker, None)
        if death is None:
            return
        begun = {(crumb.bundle, crumb.chunk): crumb for crumb in report.begun or ()}
        for place in begun.keys() & self._blamed.keys():
            self.troubles.count_death(self._blamed[place])
        for outing in death.outings:
            number = outing.bundle.number
            named = [key for key in outing.chunks if (number, key) in begun]
            if report.begun is None:
                was_alone = outing.is_quiet and len(death.outings) == 1
                self.suspect(outing, report.worker, report.seen, was_alone=was_alone)
            elif named:  # a bundle is at one chunk at a time
                seen = {**report.seen, "columns": list(begun[number, named[0]].columns)}
                self._blame(outing, named[0], report.worker, seen)
            else:
                self._lose(outing)
        if not death.outings or not begun:
            text = f"{report.worker} died: {spell_death(report.seen)}"
            self.incidents.note("worker-died", text, seen=dict(report.seen))

    def _blame(self, outing: Outing, key: ChunkKey, worker: str, seen: Mapping[str, Any]) -> None:
        """A chunk that its worker was at: out again alone, in pieces, or given up."""
        chunk = self._blamed[outing.bundle.number, key] = outing.chunks[key]
        fate = self.troubles.blame(chunk, worker, seen)
        name = f"part {chunk.k} of {chunk.plan.n_chunks} of {show_url(chunk.plan.file.urls[0])}"
        self.incidents.note("worker-died", f"{worker} died at {name}: {fate.text}", seen=dict(seen))
        if fate.failure is None and fate.terms.pieces > 1:
            self.incidents.note("split", f"{name} goes on in {fate.terms.pieces} pieces")
        if self.dispatcher.is_whole:
            self._send_block_again(outing, fate)
            return
        del outing.chunks[key]
        self.dispatcher.give_back(outing.chunks.values())
        if fate.failure is not None:
            self.write_off(outing.bundle.dataset, fate.failure)
        else:
            self.dispatcher.postpone([chunk], fate.due, fate.terms)

    def _send_block_again(self, outing: Outing, fate: Fate) -> None:
        """All of a block of a reproducible run, without the chunks of it that were given up."""
        terms = fate.terms._replace(given_up=outing.bundle.given_up)
        if fate.failure is not None:
            terms = terms_of(outing.bundle)
            terms = terms._replace(given_up=(*terms.given_up, fate.failure))
        self.dispatcher.postpone(list(outing.chunks.values()), fate.due, terms)

    def suspect(
        self, outing: Outing, worker: str, seen: Mapping[str, Any], *, was_alone: bool
    ) -> None:
        """Nobody can say which chunk it was: halves of what killed alone, until one is left."""
        chunks = list(outing.chunks.values())
        terms = terms_of(outing.bundle)._replace(is_suspect=True)
        if not was_alone:
            self.dispatcher.suspect(chunks, terms)
        elif len(chunks) > 1:
            middle = len(chunks) // 2
            self.dispatcher.suspect(chunks[:middle], terms)
            self.dispatcher.suspect(chunks[middle:], terms)
        else:
            fate = self.troubles.blame(chunks[0], worker, seen)
            if fate.failure is not None:
                self.write_off(outing.bundle.dataset, fate.failure)
            else:
                self.dispatcher.suspect(chunks, fate.terms)

    def _lose(self, outing: Outing) -> None:
        """A bundle that had not begun a chunk, or had ended all that it had begun."""
        chunks = list(outing.chunks.values())
        if chunks and self.troubles.lose(chunks[0]):
            terms = terms_of(outing.bundle)._replace(is_suspect=True)
            self.dispatcher.suspect(chunks, terms)
        else:
            self.send_again(chunks, outing)

    def send_again(self, chunks: Collection[Chunk], outing: Outing) -> None:
        """Nothing new speaks against these chunks; what was known of them still holds."""
        terms = terms_of(outing.bundle)
        if not chunks:
            return
        if outing.is_quiet:
            self.dispatcher.suspect(chunks, terms)
        elif terms == FIRST:
            self.dispatcher.give_back(chunks)
        else:
            self.dispatcher.postpone(chunks, 0.0, terms)
