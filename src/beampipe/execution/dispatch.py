"""Which chunks go out next, and how many in one bundle."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from beampipe.datasets.model import Chunk
from beampipe.execution.bundles import Bundle

TARGET_S = 10.0
_LEAST_S = 0.1
_MOST_CHUNKS = 4096


@dataclass(slots=True)
class Pace:
    """How long a chunk takes, learned as the run goes."""

    chunk_s: float = 0.0
    done: int = 0

    def learn(self, seconds: float, chunks: int) -> None:
        """Take in a bundle that came back; later ones weigh more."""
        if chunks == 0:
            return
        weight = max(0.1, 1.0 / (self.done + 1))
        self.chunk_s += weight * (seconds / chunks - self.chunk_s)
        self.done += 1


@dataclass(slots=True)
class Dispatcher:
    """Cuts a stream of chunks into bundles.

    The first bundles are of one chunk each, so that the first histogram is there soon; then a
    bundle is to take about ten seconds, less where the work left would not keep every
    thread busy to the end. The stream is read as needed: a million chunks are never held.

    Parameters
    ----------
    chunks : iterable of Chunk
        In the order of the plan.
    n_chunks : int
        How many there are.
    """

    chunks: Iterable[Chunk]
    n_chunks: int
    pace: Pace = field(default_factory=Pace)
    _stream: Iterator[Chunk] | None = None
    _again: deque[Chunk] = field(default_factory=deque)
    _suspects: deque[tuple[Chunk, ...]] = field(default_factory=deque)
    _ahead: Chunk | None = None
    _taken: int = 0
    _number: int = 0

    def give_back(self, chunks: Collection[Chunk]) -> None:
        """Put chunks in line again, before all others."""
        self._again.extendleft(reversed(list(chunks)))

    def suspect(self, chunks: Collection[Chunk]) -> None:
        """Put chunks aside whose worker died, to go out alone when all others are done.

        A worker's death speaks against everything that was on it, so who is to blame shows only
        when nothing else runs: a bundle that passes is innocent, one that kills again comes
        back here in halves, and a single chunk that does is guilty.
        """
        self._suspects.append(tuple(chunks))

    @property
    def n_left(self) -> int:
        """Chunks that have not gone out, or have come back undone."""
        aside = sum(map(len, self._suspects))
        return self.n_chunks - self._taken + len(self._again) + aside

    def next_bundle(self, n_threads: int) -> Bundle | None:
        """The next bundle, None when nothing but suspects is left."""
        size = self._size(max(n_threads, 1))
        chunks = self._take_again(size) if self._again else self._take_new(size)
        return self._make_bundle(chunks) if chunks else None

    def next_suspect(self) -> Bundle | None:
        """The next bundle that is to run alone."""
        if not self._suspects:
            return None
        return self._make_bundle(self._suspects.popleft(), is_suspect=True)

    def _make_bundle(self, chunks: Sequence[Chunk], *, is_suspect: bool = False) -> Bundle:
        self._number += 1
        return Bundle(
            number=self._number,
            dataset=chunks[0].plan.file.dataset,
            chunks=tuple(chunks),
            budget_s=3 * TARGET_S,
            attempt=2 if is_suspect else 1,
            is_suspect=is_suspect,
        )

    def _size(self, n_threads: int) -> int:
        if self.pace.done == 0:
            return 1
        in_time = TARGET_S / max(self.pace.chunk_s, 1e-4)
        to_the_end = self.n_left / (3 * n_threads)
        least = _LEAST_S / max(self.pace.chunk_s, 1e-4)
        return int(max(1, min(in_time, max(to_the_end, least), _MOST_CHUNKS)))

    def _take_again(self, size: int) -> list[Chunk]:
        taken = [self._again.popleft()]
        name = taken[0].plan.file.dataset
        while self._again and len(taken) < size and self._again[0].plan.file.dataset == name:
            taken.append(self._again.popleft())
        return taken

    def _take_new(self, size: int) -> list[Chunk]:
        if self._stream is None:
            self._stream = iter(self.chunks)
            self._ahead = next(self._stream, None)
        taken: list[Chunk] = []
        while self._ahead is not None and len(taken) < size:
            if taken and self._ahead.plan.file.dataset != taken[0].plan.file.dataset:
                break
            taken.append(self._ahead)
            self._ahead = next(self._stream, None)
        self._taken += len(taken)
        if self._ahead is None:
            self.n_chunks = self._taken  # what the stream says in the end is what holds
        return taken
