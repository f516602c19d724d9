"""On which of a cluster's workers a bundle may run."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distributed.comm import get_address_host

from beampipe.execution.pool import Key

_PLACES = 64  # workers to choose from: enough, where there are thousands


@dataclass(slots=True)
class Places:
    """The workers there are, and what `Client.submit` is told to have a bundle run on some.

    All of it are wishes: where those workers are gone, any other does.

    Attributes
    ----------
    threads : mapping of str to int
        Threads of each worker, by address.
    """

    threads: Mapping[str, int] = field(default_factory=dict)
    _turns: deque[str] = field(default_factory=deque)
    _apart: dict[str, Key] = field(default_factory=dict)
    _wishes: dict[Key, frozenset[tuple[str, ...]]] = field(default_factory=dict)
    _missing: set[Key] = field(default_factory=set)

    def see(self, threads: Mapping[str, int]) -> None:
        """Take in which workers there are now."""
        if threads.keys() != self.threads.keys():
            self._turns = deque(threads)
            self._apart = {worker: key for worker, key in self._apart.items() if worker in threads}
        self.threads = threads

    def away_from(self, key: Key, away: frozenset[str]) -> dict[str, Any]:
        """Prefer other workers to those where a chunk failed; any will do if these are all."""
        if not away:
            return {}
        # Other hosts at best: what one worker cannot read its neighbour may not see either.
        hosts = away | {get_address_host(place) for place in away if "://" in place}
        others = [place for place in self.threads if get_address_host(place) not in hosts]
        others = others or [place for place in self.threads if place not in away]
        if not others or len(others) == len(self.threads):
            return {}
        return self._wish(key, random.sample(others, min(len(others), _PLACES)))

    def apart(self, key: Key, away: frozenset[str], out: Container[Key]) -> dict[str, Any]:
        """Prefer a worker that has no other bundle of its kind.

        Parameters
        ----------
        away : frozenset of str
            Workers that are not to be taken.
        out : container of str
            Bundles that have not ended.
        """
        for _ in range(len(self._turns)):
            self._turns.rotate(-1)
            worker = self._turns[-1]
            if self._apart.get(worker) not in out and worker not in away:
                self._apart[worker] = key
                return self._wish(key, [worker])
        return self.away_from(key, away)

    def _wish(self, key: Key, workers: Sequence[str]) -> dict[str, Any]:
        self._wishes[key] = frozenset({tuple(workers)})
        return {"workers": workers, "allow_other_workers": True}

    def inherit(self, key: Key, parents: Iterable[Key]) -> None:
        """What is made of others may have to wait until these are done once more."""
        if wishes := frozenset().union(*(self._wishes.get(one, ()) for one in parents)):
            self._wishes[key] = wishes

    def forget(self, key: Key) -> None:
        """A bundle is wanted no more."""
        self._wishes.pop(key, None)
        self._missing.discard(key)

    def find_stranded(
        self, is_open: Callable[[Key], bool], find: Callable[[Sequence[Key]], Container[Key]]
    ) -> list[Key]:
        """Bundles that nobody will ever do.

        Where there is no worker at all for a moment, Dask forgets that others than those wished
        for would do as well, and waits for those, which are gone. It takes two looks to know them,
        since a bundle may be on its way.

        Parameters
        ----------
        is_open : callable
            Whether a bundle's result is still to come.
        find : callable
            Which of some bundles are on a worker, as the scheduler knows it.
        """
        lonely = [
            key
            for key, wishes in self._wishes.items()
            if any(self.threads.keys().isdisjoint(workers) for workers in wishes) and is_open(key)
        ]
        found = find(lonely) if lonely else ()
        before, self._missing = self._missing, {key for key in lonely if key not in found}
        return sorted(self._missing & before)
