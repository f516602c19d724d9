"""How a bundle's summary reaches the driver: as a message, the moment that the bundle ends.

A task that makes the summary would wait until its worker's thread is free, and by the time that
the scheduler has sent it the worker has begun the next bundle: the driver would hear of every
bundle one bundle late. A message needs no thread, and no task either.
"""

from __future__ import annotations

import contextlib
import pickle
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from beampipe.execution.partials import Partial, Summary
from beampipe.execution.pool import Key
from beampipe.execution.worker_shelf import summarize_bundle, tell_bundle

if TYPE_CHECKING:
    from distributed import Worker

_TOLD = "beampipe"

MOST_BYTES = 4_000_000
"""Of a value whose bundle tells its end at once.

With larger ones, a worker would make the next before it has let go of those that were merged. A
task for the summary waits for the worker, and the driver with it, which keeps memory bounded.
"""


def summaries_topic(prefix: str) -> str:
    """Where the bundles of a run tell how they ended.

    Parameters
    ----------
    prefix : str
        The run's.
    """
    return f"{prefix}-summaries"


@dataclass(frozen=True, slots=True)
class Told:
    """What a bundle said of itself when it ended.

    Attributes
    ----------
    has_indexes : bool
        Whether it has indexes of files that were made there.
    """

    key: Key
    summary: Summary
    has_indexes: bool = False


def tell_summary(worker: Worker, prefix: str, key: Key, partial: Partial) -> None:
    """Send a bundle's summary to the driver, ahead of the word that it has ended.

    It is no matter if that fails: a driver that hears of the end alone asks for the summary.
    """
    with contextlib.suppress(Exception):
        summary, has_indexes = tell_bundle(partial)
        if summary.value_bytes > MOST_BYTES:
            return
        summary = replace(summary, worker=worker.address)
        message = write_summary(Told(key, summary, has_indexes))
        worker.log_event(summaries_topic(prefix), message)


def summarize_here(partial: Partial) -> Summary:
    """Summarize a bundle's partial on the worker that has it (what a Dask task calls)."""
    from distributed import get_worker

    address = ""
    with contextlib.suppress(ValueError):  # where no worker calls it
        address = get_worker().address
    return replace(summarize_bundle(partial), worker=address)


def write_summary(told: Told) -> dict[str, Any]:
    """What goes through the scheduler, which keeps the last thousand of them: compressed."""
    return {_TOLD: zlib.compress(pickle.dumps(told), 1)}


def read_summary(message: Any) -> Told:
    """The inverse of `write_summary`.

    Raises
    ------
    Exception
        It is none of ours.
    """
    told = pickle.loads(zlib.decompress(message[_TOLD]))  # noqa: S301 (from a worker)
    if not isinstance(told, Told):
        raise TypeError(f"not a summary: {type(told)}")
    return told
