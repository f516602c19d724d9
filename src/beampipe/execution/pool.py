"""What the driver needs of whoever does the work, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from beampipe.execution.bundles import Bundle
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


class Pool(Protocol):
    """Where bundles run: a Dask cluster, this process, or a test that lies and loses."""

    def submit(self, bundle: Bundle) -> Key:
        """Send a bundle off."""
        ...

    def wait(self, timeout_s: float) -> Sequence[Finished | Lost]:
        """Bundles that ended since the last call; waits for the first one so long [s]."""
        ...

    def merge(self, keys: Sequence[Key]) -> Key:
        """Fold partials into one where they are; the inputs may then be released."""
        ...

    def pull(self, key: Key) -> Partial:
        """Bring a partial here; raises what went wrong with it."""
        ...

    def release(self, keys: Sequence[Key]) -> None:
        """Forget partials or bundles, whether they are done or not."""
        ...

    def n_threads(self) -> int:
        """Threads that do bundles now; 0 where workers are still to come."""
        ...

    def n_workers(self) -> int:
        """Workers there now."""
        ...
