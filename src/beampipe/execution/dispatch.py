"""Which chunks go out next, and how many in one bundle."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from beampipe.datasets.model import Chunk
from beampipe.execution.bundles import Bundle
from beampipe.execution.manifest import FailedChunk
from beampipe.execution.pace import Pace

TARGET_S = 10.0
BUNDLES_PER_S = 200.0
"""What a driver and a scheduler are asked to bear: of thousands of workers bundles are longer."""

_LAST_BUNDLES_PER_S = 1000.0  # for the moment that the end lasts
_TAIL_ROUNDS = 2
_MOST_SHORT = 512
# The first chunks to come back are the quickest ones: what they say is half believed.
_BELIEF = 0.5
# A bundle hands its rest back after so many times what it was to take.
_OVERDUE = 1.5
_LEAST_S = 0.1
_MOST_CHUNKS = 4096
_MOST_HELD_BACK = 10_000


class Terms(NamedTuple):
    """On what terms a chunk goes out again; the attributes are those of `Bundle`."""

    attempt: int = 1
    is_last_try: bool = False
    is_suspect: bool = False
    avoid: tuple[str, ...] = ()
    away: frozenset[str] = frozenset()
    pieces: int = 1
    given_up: tuple[FailedChunk, ...] = ()


FIRST = Terms()
_SUSPECT = Terms(attempt=2, is_suspect=True)


def terms_of(bundle: Bundle) -> Terms:
    """The terms on which a bundle went out."""
    return Terms(*(getattr(bundle, name) for name in Terms._fields))


class _Later(NamedTuple):
    """Chunks that wait for their time; those of the same time keep their order."""

    due: float
    number: int
    chunks: tuple[Chunk, ...]
    terms: Terms


def _one_group(chunk: Chunk) -> Hashable:
    return chunk.plan.file.dataset


@dataclass(slots=True)
class Dispatcher:
    """Cuts a stream of chunks into bundles.

    The first bundles are of one chunk each, so that the first histogram is there soon; then a
    bundle is to take about ten seconds (longer where there are thousands of threads, so that no
    more bundles come back than a driver bears), less where the work left would not keep every
    thread busy to the end: bundles shrink as it gets less, down to single chunks. The stream is
    read as needed: a million chunks are never held.

    Parameters
    ----------
    chunks : iterable of Chunk
        In the order of the plan.
    n_chunks : int
        How many there are.
    group_of : callable, optional
        A bundle never holds chunks of two groups; by default those are the datasets.
    is_whole : bool
        A bundle always holds all chunks of its group, and may take its time.

    Attributes
    ----------
    short_rounds : int
        So many bundles for each thread are of one chunk at first (a few hundred at most): who
        stops a run that has hardly begun loses little. Those after them are half as long, until
        each thread has brought one back.
    hold : callable or None
        For how long a chunk is to be held back [s], asked before it goes out.
    """

    chunks: Iterable[Chunk]
    n_chunks: int
    pace: Pace = field(default_factory=Pace)
    group_of: Callable[[Chunk], Hashable] = _one_group
    is_whole: bool = False
    short_rounds: int = 0
    hold: Callable[[Chunk, Terms], float] | None = None
    _stream: Iterator[Chunk] | None = None
    _again: deque[Chunk] = field(default_factory=deque)
    _later: list[_Later] = field(default_factory=list)
    _n_later: int = 0
    _quiet: deque[tuple[tuple[Chunk, ...], Terms]] = field(default_factory=deque)
    _n_quiet: int = 0
    _ahead: Chunk | None = None
    _taken: int = 0
    _number: int = 0
    _target_s: float = TARGET_S
    _order: Iterator[int] = field(default_factory=itertools.count)

    # -- what comes back --------------------------------------------------------------------

    def give_back(self, chunks: Collection[Chunk]) -> None:
        """Put chunks in line again, before all others."""
        self._again.extendleft(reversed(list(chunks)))

    def postpone(self, chunks: Collection[Chunk], due: float, terms: Terms) -> None:
        """Let chunks go out again, on certain terms, when their time has come.

        Parameters
        ----------
        chunks : collection of Chunk
            Of one group; they stay together.
        due : float
            When, by `time.monotonic` [s].
        """
        heapq.heappush(self._later, _Later(due, next(self._order), tuple(chunks), terms))
        self._n_later += len(chunks)

    def suspect(self, chunks: Collection[Chunk], terms: Terms = _SUSPECT) -> None:
        """Put chunks aside whose worker died, to go out when all others have come back.

        Where nobody can tell which chunk a worker was at, its death speaks against everything
        that was on it: a bundle that passes is innocent, one that kills again comes back here
        in halves, and a single chunk that does is guilty.
        """
        self._quiet.append((tuple(chunks), terms))
        self._n_quiet += len(chunks)

    @property
    def n_left(self) -> int:
        """Chunks that have not gone out, or have come back undone."""
        aside = len(self._again) + self._n_later + self._n_quiet
        return self.n_chunks - self._taken + aside

    @property
    def due(self) -> float | None:
        """When the next chunk that waits for its time may go out; None where none does [s]."""
        return self._later[0].due if self._later else None

    def pause_s(self, most_s: float) -> float:
        """How long to wait for what else happens: not past the time when a chunk may go [s]."""
        left_s = 0.0 if self.due is None else self.due - time.monotonic()
        # What is past its time waits for room, which an event makes.
        return min(max(left_s, 0.01), most_s) if left_s > 0 else most_s

    # -- what goes out ----------------------------------------------------------------------

    def next_bundle(self, n_threads: int, *, with_suspects: bool = True) -> Bundle | None:
        """The next bundle, None when nothing may go out now.

        Parameters
        ----------
        n_threads : int
            What there is to do them.
        with_suspects : bool
            Whether a chunk that a worker died at may go now, for which all that is held is
            committed first.
        """
        self._target_s = max(TARGET_S, n_threads / BUNDLES_PER_S)
        if late := self._bundle_later(max(n_threads, 1), with_suspects=with_suspects):
            return late
        chunks = self._take_first(max(n_threads, 1))
        return self._make_bundle(chunks) if chunks else None

    def next_suspect(self, n_free: int = 1) -> Bundle | None:
        """The next bundle that is to have a worker to itself.

        Parameters
        ----------
        n_free : int
            Workers that there are for such bundles: the chunks are spread over them.
        """
        if not self._quiet:
            return None
        chunks, terms = self._quiet.popleft()
        share = math.ceil(self._n_quiet / n_free)
        if len(chunks) > share and not self.is_whole:
            self._quiet.appendleft((chunks[share:], terms))
            chunks = chunks[:share]
        self._n_quiet -= len(chunks)
        return self._make_bundle(chunks, terms)

    def twin(self, bundle: Bundle, away: frozenset[str]) -> Bundle:
        """The same chunks once more, for another worker."""
        return self._make_bundle(bundle.chunks, terms_of(bundle)._replace(away=away))

    def _make_bundle(self, chunks: Sequence[Chunk], terms: Terms = FIRST) -> Bundle:
        self._number += 1
        return Bundle(
            number=self._number,
            dataset=chunks[0].plan.file.dataset,
            chunks=tuple(chunks),
            budget_s=math.inf if self.is_whole else _OVERDUE * self._target_s,
            **terms._asdict(),
        )

    def _size(self, n_threads: int, dataset: str) -> int:
        """How many chunks of a dataset make a bundle.

        Half of each thread's share of what is left, as in guided self-scheduling: the last
        bundles are short, so that no thread is at a long one when all others have ended.
        """
        if self.is_whole:
            return _MOST_CHUNKS
        n_short = min(self.short_rounds * n_threads, _MOST_SHORT)
        if self.pace.done == 0 or self._number < n_short:
            return 1
        chunk_s = max(self.pace.of(dataset), 1e-4)
        to_the_end = self.n_left / (_TAIL_ROUNDS * n_threads)
        least_s = max(_LEAST_S, n_threads / _LAST_BUNDLES_PER_S)
        is_early = self.short_rounds and self.pace.done < n_threads
        target_s = self._target_s * (_BELIEF if is_early else 1.0)
        most = min(target_s / chunk_s, max(to_the_end, least_s / chunk_s))
        return int(max(1, min(most, _MOST_CHUNKS)))

    def _bundle_later(self, n_threads: int, *, with_suspects: bool) -> Bundle | None:
        """Put together what has the same terms and is due; a suspect goes by itself."""
        taken: list[Chunk] = []
        first: _Later | None = None
        now, size = time.monotonic(), 1
        while self._later and self._later[0].due <= now:
            if first is not None and not self._fits(first, self._later[0], len(taken), size):
                break
            if not with_suspects and self._later[0].terms.is_suspect:
                break
            late = heapq.heappop(self._later)
            self._n_later -= len(late.chunks)
            held_s = 0.0 if self.hold is None else self.hold(late.chunks[0], late.terms)
            if held_s > 0:
                self.postpone(late.chunks, now + held_s, late.terms)
                continue
            if first is None:
                first, size = late, self._size(n_threads, late.chunks[0].plan.file.dataset)
            taken += late.chunks
        return self._make_bundle(taken, first.terms) if first is not None else None

    def _fits(self, first: _Later, other: _Later, n_taken: int, size: int) -> bool:
        most = 1 if first.terms.is_suspect or first.terms.pieces > 1 else size
        same = self.group_of(first.chunks[0]) == self.group_of(other.chunks[0])
        return n_taken < most and first.terms == other.terms and same

    def _take_again(self, n_threads: int) -> list[Chunk]:
        taken = [self._again.popleft()]
        group = self.group_of(taken[0])
        size = self._size(n_threads, taken[0].plan.file.dataset)
        while self._again and len(taken) < size and self.group_of(self._again[0]) == group:
            taken.append(self._again.popleft())
        return taken

    def _take_first(self, n_threads: int) -> list[Chunk]:
        """The next chunks, given back or new, that need not be held back."""
        while self._again or len(self._later) < _MOST_HELD_BACK:
            taken = self._take_again(n_threads) if self._again else self._read_stream(n_threads)
            held_s = self.hold(taken[0], FIRST) if self.hold is not None and taken else 0.0
            if held_s <= 0:
                return taken
            self.postpone(taken, time.monotonic() + held_s, FIRST)
        return []

    def _read_stream(self, n_threads: int) -> list[Chunk]:
        if self._stream is None:
            self._stream = iter(self.chunks)
            self._ahead = next(self._stream, None)
        if self._ahead is None:
            self.n_chunks = self._taken  # what the stream says in the end is what holds
            return []
        taken: list[Chunk] = []
        group = self.group_of(self._ahead)
        size = self._size(n_threads, self._ahead.plan.file.dataset)
        while self._ahead is not None and len(taken) < size:
            if taken and self.group_of(self._ahead) != group:
                break
            taken.append(self._ahead)
            self._ahead = next(self._stream, None)
        self._taken += len(taken)
        if self._ahead is None:
            self.n_chunks = self._taken
        return taken
