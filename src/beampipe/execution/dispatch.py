"""Which chunks go out next, and how many in one bundle."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
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
    _again: deque[tuple[Chunk, int]] = field(default_factory=deque)
    _ahead: Chunk | None = None
    _taken: int = 0
    _number: int = 0

    def give_back(self, chunks: Collection[Chunk], *, attempt: int = 1) -> None:
        """Put chunks in line again, before all others."""
        self._again.extendleft((chunk, attempt) for chunk in reversed(list(chunks)))

    @property
    def n_left(self) -> int:
        """Chunks that have not gone out, or have come back undone."""
        return self.n_chunks - self._taken + len(self._again)

    def next_bundle(self, n_threads: int) -> Bundle | None:
        """The next bundle, None when nothing is left to send."""
        if self.n_left == 0:
            return None
        size = self._size(max(n_threads, 1))
        chunks, attempt = self._take_again(size) if self._again else (self._take_new(size), 1)
        if not chunks:
            return None
        self._number += 1
        return Bundle(
            number=self._number,
            dataset=chunks[0].plan.file.dataset,
            chunks=tuple(chunks),
            budget_s=3 * TARGET_S,
            attempt=attempt,
        )

    def _size(self, n_threads: int) -> int:
        if self.pace.done == 0:
            return 1
        in_time = TARGET_S / max(self.pace.chunk_s, 1e-4)
        to_the_end = self.n_left / (3 * n_threads)
        least = _LEAST_S / max(self.pace.chunk_s, 1e-4)
        return int(max(1, min(in_time, max(to_the_end, least), _MOST_CHUNKS)))

    def _take_again(self, size: int) -> tuple[list[Chunk], int]:
        chunk, attempt = self._again.popleft()
        taken = [chunk]
        # What was lost once goes out alone, so that the guilty one is found.
        while attempt == 1 and self._again and len(taken) < size:
            following, its_attempt = self._again[0]
            if its_attempt != 1 or following.plan.file.dataset != chunk.plan.file.dataset:
                break
            taken.append(self._again.popleft()[0])
        return taken, attempt

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
