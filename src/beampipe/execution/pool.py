"""What the driver needs of whoever does the work, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from beampipe.errors import ExecutionError
from beampipe.execution.bundles import Bundle
from beampipe.execution.manifest import ChunkKey
from beampipe.execution.partials import Partial, Summary

Key = str
"""Names a partial that lies somewhere on a worker."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A bundle came back; its value stays where it is."""

    key: Key
    summary: Summary


@dataclass(frozen=True, slots=True)
class Lost:
    """A bundle did not come back: its worker died, or the task itself broke."""

    key: Key
    error: BaseException


@dataclass(frozen=True, slots=True)
class Crumb:
    """A chunk that a worker had begun and not ended.

    Attributes
    ----------
    bundle : int
        The bundle's number.
    chunk : (str, int)
        File uuid and k.
    columns : tuple of str
        The columns that were read last, the very last one at the end.
    """

    bundle: int
    chunk: ChunkKey
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """A worker is gone; told at once, and followed by one `DeathReport` of the same worker.

    Attributes
    ----------
    worker : str
        Its address.
    keys : tuple of str
        The bundles that were on it, begun or waiting; these are lost.
    is_expected : bool
        It was retired or told to go, so nothing that was on it is to blame.
    """

    worker: str
    keys: tuple[Key, ...]
    is_expected: bool = False


@dataclass(frozen=True, slots=True)
class DeathReport:
    """What could be found out about a death; within a few seconds of it.

    Attributes
    ----------
    begun : tuple of Crumb or None
        The chunks that were under way; None where nobody can say.
    seen : mapping
        ``signal``, ``exit_code``, ``memory_bytes``, ``memory_limit_bytes``, as far as known.
    """

    worker: str
    begun: tuple[Crumb, ...] | None = None
    seen: Mapping[str, Any] = field(default_factory=dict)


Event = Finished | Lost | WorkerDied | DeathReport


class Pool(Protocol):
    """Where bundles run: a Dask cluster, this process, or a test that lies and loses."""

    def submit(self, bundle: Bundle, *, apart: bool = False) -> Key:
        """Send a bundle off.

        Parameters
        ----------
        apart : bool
            Whether it is to have a worker to itself, as far as others that are to have one go.
        """
        ...

    def wait(self, timeout_s: float) -> Sequence[Event]:
        """What happened since the last call; waits for the first event so long [s]."""
        ...

    def merge(self, keys: Sequence[Key]) -> Key:
        """Fold partials into one where they are; the inputs may then be released."""
        ...

    def pull(
        self, keys: Sequence[Key], patience_s: float, meanwhile: Callable[[], None]
    ) -> Iterator[dict[Key, Partial | ExecutionError]]:
        """Bring partials here as they come, or what went wrong with each.

        One that has not come when nothing at all has come for so long [s] is lost. While there
        is nothing to do but wait, `meanwhile` is called again and again; it may call `wait`. What
        is taken out of the answers is kept nowhere else.
        """
        ...

    def find_workers(self, keys: Sequence[Key]) -> Mapping[Key, str]:
        """Where bundles are, as far as it is known: the address of the worker of each."""
        ...

    def release(self, keys: Sequence[Key]) -> None:
        """Forget partials or bundles, whether they are done or not."""
        ...

    def n_merging(self) -> int:
        """Merges that have not ended."""
        ...

    def n_threads(self) -> int:
        """Threads that do bundles now; 0 where workers are still to come."""
        ...

    def n_workers(self) -> int:
        """Workers there now."""
        ...
