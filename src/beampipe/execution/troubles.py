"""What is known of chunks that made trouble, and what is to become of each of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from beampipe.datasets.model import Chunk
from beampipe.errors import WorkerDiedError
from beampipe.execution.breakers import Breakers, host_of
from beampipe.execution.dispatch import Terms
from beampipe.execution.failures import describe_failure
from beampipe.execution.manifest import FailedChunk
from beampipe.execution.retries import Retries

DEATHS = 3
"""Workers that a chunk may take with it."""

_LOSSES = 6
"""How often a chunk may go down with a worker without being named, until it is suspected."""

_SPLIT_BY = 4
_MOST_PIECES = 64
_LAST_RESORT_PIECES = 16


@dataclass(slots=True)
class _Case:
    """The history of one chunk."""

    attempt: int = 1
    deaths: int = 0
    losses: int = 0
    pieces: int = 1
    away: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to become of a chunk: out again on some terms, after a while, or given up.

    Attributes
    ----------
    due : float
        When it may go out, by the clock of the caller [s].
    failure : FailedChunk or None
        Set where it is given up.
    text : str
        What happened, in words.
    """

    terms: Terms = field(default_factory=Terms)
    due: float = 0.0
    failure: FailedChunk | None = None
    text: str = ""


@dataclass(slots=True)
class Troubles:
    """Keeps a case for each chunk that failed for a reason that may pass, or lost its worker."""

    retries: Retries = field(default_factory=Retries)
    breakers: Breakers = field(default_factory=Breakers)
    _cases: dict[tuple[str, str, int], _Case] = field(default_factory=dict)
    _workers: dict[str, str] = field(default_factory=dict)

    def _case(self, chunk: Chunk) -> _Case:
        return self._cases.setdefault(chunk.key, _Case())

    def retry(self, chunk: Chunk, failure: FailedChunk, *, now: float) -> Fate:
        """A chunk was handed back: when, where and how it is tried again.

        Parameters
        ----------
        failure : FailedChunk
            A reason that may pass.
        """
        case = self._case(chunk)
        is_hosts_fault = False
        if failure.kind == "transient":
            host = host_of(failure.url, worker_host=failure.host)
            is_hosts_fault = self.breakers.is_open(host) and not self.breakers.is_given_up(
                host, now
            )
            self.breakers.failed(host, now)
            if host == failure.host:  # a local path: known by name, while workers have addresses
                self._workers[host] = failure.worker
        due = self.retries.due_at(case.attempt, now=now)
        case.attempt = self.retries.next_attempt(case.attempt, counts=not is_hosts_fault)
        case.away |= {failure.worker or failure.host}
        if failure.kind == "resource" and "Memory" in failure.error_type:
            case.pieces = min(case.pieces * _SPLIT_BY, _MOST_PIECES)
        return Fate(self._terms(chunk, case), due, text=self._say_open())

    def _say_open(self) -> str:
        hosts = self.breakers.open_hosts()
        return f"nothing but a probe is sent to {', '.join(hosts)} for now" if hosts else ""

    def hold(self, chunk: Chunk, terms: Terms) -> float:
        """For how long a chunk is to be held back, since its host fails [s]."""
        return self.breakers.holds(self._host(chunk, terms.attempt), time.monotonic())

    def sent(self, chunks: Collection[Chunk], attempt: int) -> None:
        """Chunks go out: one to a host that fails is its probe."""
        if self.breakers.open_hosts():
            for host in {self._host(chunk, attempt) for chunk in chunks}:
                self.breakers.sent(host, time.monotonic())

    def worked(self, chunks: Iterable[Chunk], attempt: int, worker_host: str) -> None:
        """Chunks were read: their hosts are well."""
        if self.breakers.is_watching:
            for chunk in chunks:
                url = self.retries.policy.replica(chunk.plan.file.urls, attempt)
                self.breakers.worked(host_of(url, worker_host=worker_host))

    @property
    def shunned(self) -> frozenset[str]:
        """Hosts where files cannot be read; of workers' hosts the address of a worker, too."""
        hosts = self.breakers.open_hosts()
        return frozenset(hosts) | {self._workers[host] for host in hosts if host in self._workers}

    def _host(self, chunk: Chunk, attempt: int) -> str:
        return host_of(self.retries.policy.replica(chunk.plan.file.urls, attempt))

    def lose(self, chunk: Chunk) -> bool:
        """A chunk went down with a worker, and nobody named it; True if that is suspicious.

        A worker that dies between chunks, in a merge say, speaks against none of them, unless
        it happens to the same ones again and again.
        """
        case = self._case(chunk)
        case.losses += 1
        return case.losses >= _LOSSES

    def count_death(self, chunk: Chunk) -> None:
        """A chunk that was taken back already killed once more, before Dask had heard of it."""
        self._case(chunk).deaths += 1

    def blame(self, chunk: Chunk, worker: str, seen: Mapping[str, Any]) -> Fate:
        """A worker died while it was at a chunk.

        Parameters
        ----------
        worker : str
            Its address.
        seen : mapping
            What was seen of its death (see `DeathReport`).
        """
        case = self._case(chunk)
        case.deaths += 1
        seen = {**seen, "workers_killed": case.deaths}
        if seen.get("is_out_of_memory") and case.pieces < _MOST_PIECES:
            case.pieces *= _SPLIT_BY
        elif case.deaths >= DEATHS:
            failure = _make_failure(chunk, case, worker, seen)
            return Fate(failure=failure, text=spell_death(seen))
        elif case.deaths == DEATHS - 1 and not seen.keys() & {"signal", "exit_code"}:
            case.pieces = max(case.pieces, _LAST_RESORT_PIECES)  # it may be memory; who knows
        terms = self._terms(chunk, case)._replace(is_suspect=True)
        return Fate(terms, text=spell_death(seen))

    def _terms(self, chunk: Chunk, case: _Case) -> Terms:
        policy = self.retries.policy
        urls = chunk.plan.file.urls
        return Terms(
            attempt=case.attempt,
            is_last_try=case.attempt >= policy.tries,
            avoid=tuple(sorted(policy.replicas_to_avoid(urls, case.attempt))),
            away=case.away,
            pieces=case.pieces,
        )


def spell_death(seen: Mapping[str, Any]) -> str:
    """Say in words how a worker died, and what it had read last."""
    text = str(seen.get("text") or "how it died is not known")
    columns = seen.get("columns")
    return f"{text}; last columns read: {', '.join(columns)}" if columns else text


def _make_failure(chunk: Chunk, case: _Case, worker: str, seen: Mapping[str, Any]) -> FailedChunk:
    error = WorkerDiedError(
        "The worker that had this chunk died, again and again.",
        why=spell_death(seen),
        fix="look at the chunk with `beampipe reproduce`; it may need more memory",
    )
    failure = describe_failure(chunk, error, attempt=case.attempt - 1 + case.deaths, worker=worker)
    return replace(failure, seen=dict(seen))
