"""Bundles that are out, and which of them take too long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from beampipe.datasets.model import Chunk
from beampipe.execution.bundles import Bundle
from beampipe.execution.manifest import ChunkKey
from beampipe.execution.pace import Pace
from beampipe.execution.partials import Summary
from beampipe.execution.pool import Key

_PATIENCE_S = 10.0
_FIRST_PATIENCE_S = 60.0  # the first bundles import what they need, and nobody knows the pace
_SLOWER = 3.0


@dataclass(slots=True)
class Outing:
    """A bundle that is out.

    Attributes
    ----------
    sent_at : float
        When it was sent [s].
    twin : str or None
        The key of the same chunks on another worker.
    is_quiet : bool
        Whether it has a worker to itself, and nothing but its kind may run meanwhile.
    """

    bundle: Bundle
    sent_at: float
    twin: Key | None = None
    is_quiet: bool = False
    _chunks: dict[ChunkKey, Chunk] | None = None

    @property
    def chunks(self) -> dict[ChunkKey, Chunk]:
        """What it was asked to do, without what its taker takes away.

        It is made when it is asked for: thousands of bundles are out, of hundreds of chunks.
        """
        if self._chunks is None:
            self._chunks = {chunk.key[1:]: chunk for chunk in self.bundle.chunks}
        return self._chunks

    def is_answered_by(self, summary: Summary) -> bool:
        """Whether done, failed and handed back are exactly the chunks that were asked for."""
        returned = ((failure.uuid, failure.k) for failure in summary.returned)
        keys: list[ChunkKey] = [*summary.manifest.keys(), *summary.remainder, *returned]
        return (
            summary.manifest.dataset == self.bundle.dataset
            and len(keys) == len(self.chunks)
            and set(keys) == set(self.chunks)
        )


@dataclass(slots=True)
class Outings:
    """Everything that is out.

    Attributes
    ----------
    heard_at : float
        When a bundle came back last [s].
    """

    heard_at: float = 0.0
    _out: dict[Key, Outing] = field(default_factory=dict)
    _quiet: set[Key] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self._out)

    def __contains__(self, key: Key) -> bool:
        return key in self._out

    def __iter__(self) -> Iterator[Key]:
        return iter(self._out)

    @property
    def n_quiet(self) -> int:
        """Bundles that have a worker to themselves."""
        return len(self._quiet)

    def add(self, key: Key, outing: Outing) -> None:
        """A bundle goes out."""
        self._out[key] = outing
        if outing.is_quiet:
            self._quiet.add(key)
        if outing.twin is not None:
            self._out[outing.twin].twin = key

    def take(self, key: Key) -> Outing | None:
        """A bundle came back: neither it nor its twin is out any more."""
        outing = self._drop(key)
        if outing is not None and outing.twin is not None:
            self._drop(outing.twin)
        return outing

    def lose(self, key: Key) -> Outing | None:
        """A bundle will not come back; None where its twin may, or it was not out."""
        outing = self._drop(key)
        if outing is None or outing.twin is None:
            return outing
        self._out[outing.twin].twin = None
        return None

    def clear(self) -> list[Key]:
        """Give everything up; what was out."""
        keys = list(self._out)
        self._out.clear()
        self._quiet.clear()
        return keys

    def _drop(self, key: Key) -> Outing | None:
        self._quiet.discard(key)
        return self._out.pop(key, None)

    def find_stragglers(self, pace: Pace, now: float) -> list[tuple[Key, Outing]]:
        """Bundles that take much longer than bundles take, while nothing else comes back.

        Only to be asked when nothing is left to be sent.
        """
        patience_s = _PATIENCE_S if pace.done else _FIRST_PATIENCE_S
        if now - self.heard_at <= patience_s:
            return []  # at the end of a large run this is asked often, of many thousands
        late = []
        for key, outing in self._out.items():
            expected_s = max(pace.chunk_s * len(outing.bundle.chunks), pace.longest_s)
            since = max(self.heard_at, outing.sent_at)
            if outing.twin is None and now - since > max(patience_s, _SLOWER * expected_s):
                late.append((key, outing))
        return late
