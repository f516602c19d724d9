"""Whether, when and from where a chunk that failed is tried again; no clock and no sleeping."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from beampipe.error_kinds import TABLE
from beampipe.execution.manifest import FailedChunk

ELSEWHERE = frozenset(rule.name for rule in TABLE if rule.elsewhere)
"""Lines of the table whose errors another host may not have."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The rules of trying again.

    Attributes
    ----------
    tries : int
        How often a chunk is tried in all.
    tries_elsewhere : int
        How often where only another host can help: a path that this one does not see.
    waits_s : tuple of float
        Pause after the first failure, the second, ...; the last one stays [s].
    jitter : float
        Up to this part of a pause is added or taken away, so that chunks that failed together
        do not come back together.
    tries_per_replica : int
        How often the first replica is tried before the next one has its turn; those after the
        first have one try each, and the last one keeps the rest.
    """

    tries: int = 4
    tries_elsewhere: int = 2
    waits_s: tuple[float, ...] = (0.5, 2.0, 8.0)
    jitter: float = 0.5
    tries_per_replica: int = 2

    def is_worth_another(self, failure: FailedChunk) -> bool:
        """Tell whether a chunk that failed should be tried again.

        Parameters
        ----------
        failure : FailedChunk
            Of its last try.

        Returns
        -------
        bool
            Never for what the processor raised, or what is wrong with the file as such: of the
            latter, workers try the other replicas at once.
        """
        if failure.kind in {"transient", "resource"}:
            return failure.attempt < self.tries
        return failure.rule in ELSEWHERE and failure.attempt < self.tries_elsewhere

    def wait_s(self, attempt: int, rng: random.Random) -> float:
        """Give the pause after a failed try.

        Parameters
        ----------
        attempt : int
            Which try has failed; counts from 1.
        rng : random.Random
            For the jitter.

        Returns
        -------
        float
            [s]
        """
        wait = self.waits_s[min(attempt, len(self.waits_s)) - 1]
        return wait * (1 + self.jitter * rng.uniform(-1, 1))

    def replicas_to_avoid(self, urls: Sequence[str], attempt: int) -> frozenset[str]:
        """Give the replicas that a try leaves for last.

        Parameters
        ----------
        urls : sequence of str
            The file's replicas, the preferred one first.
        attempt : int
            Which try this is; counts from 1.

        Returns
        -------
        frozenset of str
            What `Reader.read` takes as `avoid`; never all of them.
        """
        n_had_their_turn = max(0, attempt - self.tries_per_replica)
        return frozenset(urls[: min(n_had_their_turn, len(urls) - 1)])

    def replica(self, urls: Sequence[str], attempt: int) -> str:
        """Give the replica that a try begins with: the one whose host may be held back."""
        avoid = self.replicas_to_avoid(urls, attempt)
        return next(url for url in urls if url not in avoid)


POLICY = RetryPolicy()


@dataclass(slots=True)
class Retries:
    """What is to be tried again, and what has been: pure bookkeeping.

    Attributes
    ----------
    policy : RetryPolicy
    rng : random.Random
        For the jitter.
    counts : dict of (str, str) to int
        Retries by kind of error and host, for the report.
    """

    policy: RetryPolicy = POLICY
    rng: random.Random = field(default_factory=random.Random)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def due_at(self, attempt: int, *, now: float) -> float:
        """Give the time before which a chunk is not to be tried again [s, the clock of `now`]."""
        return now + self.policy.wait_s(attempt, self.rng)

    def count(self, kind: str, host: str) -> None:
        """Write down that a chunk is tried again because of an error of this kind."""
        self.counts[kind, host] = self.counts.get((kind, host), 0) + 1

    def next_attempt(self, attempt: int, *, counts: bool) -> int:
        """Give the number of the next try.

        Parameters
        ----------
        attempt : int
            Which try has failed.
        counts : bool
            Whether it counts against the chunk. It does not while the host's breaker is open:
            then it says something about the host, and an outage of minutes must not use up the
            tries of the chunks that look whether it is over.

        Returns
        -------
        int
        """
        return attempt + 1 if counts else min(attempt, self.policy.tries - 1)
