"""Bundles go out: as many as there is room for, and late ones once more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from beampipe.execution.bundles import Bundle
from beampipe.execution.committing import Committer
from beampipe.execution.dispatch import Dispatcher
from beampipe.execution.incidents import Incidents
from beampipe.execution.outings import Outing, Outings
from beampipe.execution.pool import Key, Pool
from beampipe.execution.troubles import Troubles
from beampipe.execution.window import RESULT_BYTES, Load, window_size


@dataclass(slots=True)
class Sender:
    """Sends the bundles of a dispatcher to a pool.

    Attributes
    ----------
    before_suspect : callable
        Called before chunks go out that a worker died at: what is held is to be safe then.
    value_bytes : int
        How large the largest result was so far [bytes].
    is_draining : bool
        Whether what is out is to come back before anything else goes.
    """

    dispatcher: Dispatcher
    pool: Pool
    committer: Committer
    out: Outings
    troubles: Troubles
    incidents: Incidents
    before_suspect: Callable[[], None]
    value_bytes: int = 0
    is_draining: bool = False

    @property
    def has_large_values(self) -> bool:
        """Whether a result is so large that a worker has no room for one beside a merge."""
        return self.value_bytes > RESULT_BYTES

    def window(self) -> int:
        """How many bundles may be out."""
        load = Load(
            self.pool.n_threads(),
            is_paced=self.dispatcher.pace.done > 0,
            value_bytes=self.value_bytes,
            held=len(self.committer.holdings) + self.committer.n_sealed,
            merging=self.pool.n_merging(),
        )
        return window_size(load)

    def top_up(self, window: int | None = None, *, with_suspects: bool = True) -> None:
        """Send until so many are out, or nothing may go out now."""
        if self.out.n_quiet or self.is_draining:
            return
        window = self.window() if window is None else window
        threads = self.pool.n_threads()
        while len(self.out) < window:
            bundle = self.dispatcher.next_bundle(threads, with_suspects=with_suspects)
            if bundle is None:
                return
            self.send(bundle)

    def send_suspects(self, window: int) -> None:
        """Send chunks that nobody can clear, when nothing else is out: each worker has one bundle.

        A worker that dies then tells which bundle it was, and all others go on.
        """
        if len(self.out) > self.out.n_quiet:
            return
        workers = max(self.pool.n_workers(), 1)
        while (free := min(workers, max(window, 1)) - self.out.n_quiet) > 0:
            bundle = self.dispatcher.next_suspect(free)
            if bundle is None:
                return
            self.send(bundle, is_quiet=True)

    def send(self, bundle: Bundle, *, is_quiet: bool = False, twin: Key | None = None) -> None:
        """Send one.

        Parameters
        ----------
        is_quiet : bool
            Whether it has a worker to itself.
        twin : str, optional
            The key of the same chunks on another worker.
        """
        if bundle.is_suspect and twin is None:
            self.before_suspect()  # what its worker holds besides must not go down with it
        self.troubles.sent(bundle.chunks, bundle.attempt)
        if shunned := self.troubles.shunned:
            bundle = replace(bundle, away=bundle.away | shunned)
        key = self.pool.submit(bundle, apart=is_quiet or self.has_large_values)
        self.out.add(key, Outing(bundle, time.monotonic(), twin, is_quiet))
        self.committer.count("bundles_sent", 1)

    def start_twins(self) -> None:
        """Near the end: let another worker do what takes one of them too long."""
        if self.dispatcher.n_left or self.pool.n_workers() < 2:
            return
        late = self.out.find_stragglers(self.dispatcher.pace, time.monotonic())
        if not late:
            return
        places = self.pool.find_workers([key for key, _ in late])
        for key, outing in late[: max(1, self.pool.n_threads())]:
            worker = places.get(key, "")
            self.send(self.dispatcher.twin(outing.bundle, frozenset({worker})), twin=key)
            self.committer.count("twins", 1)
            self.incidents.note("twin", f"a bundle took too long on {worker or 'its worker'}")
