"""Bundles done in this process, one after the other: breakpoints work, nothing is shipped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from beampipe.errors import ExecutionError
from beampipe.execution.bundles import Bundle, RunContext, clear_workbench, run_bundle
from beampipe.execution.index_desk import IndexDesk
from beampipe.execution.partials import Partial, merge_partials
from beampipe.execution.pool import Finished, Key, Lost
from beampipe.execution.worker_shelf import count_indexes, lay_out_indexes, summarize_bundle


class InlinePool:
    """A pool of one: a bundle runs when it is waited for.

    Parameters
    ----------
    context : RunContext
        What every bundle needs.
    desk : IndexDesk, optional
        Keeps the indexes of files.
    """

    def __init__(self, context: RunContext, desk: IndexDesk | None = None) -> None:
        self._context = context
        self._desk = desk
        self._queue: list[tuple[Key, Bundle]] = []
        self._partials: dict[Key, Partial | ExecutionError] = {}
        self._n_merges = 0

    def submit(self, bundle: Bundle, *, apart: bool = False) -> Key:
        """Queue a bundle."""
        del apart  # all of them are
        key = f"bundle-{bundle.number}"
        self._queue.append((key, bundle))
        return key

    def wait(self, timeout_s: float) -> Sequence[Finished | Lost]:
        """Do the next bundle, here and now; wait where there is none."""
        if not self._queue:
            time.sleep(timeout_s)
            return []
        key, bundle = self._queue.pop(0)
        try:
            lay_out_indexes(self._context.store)
            partial = count_indexes(run_bundle(self._context, bundle))
        except ExecutionError as error:
            return [Lost(key, error)]
        self._partials[key] = partial
        summary = summarize_bundle(partial)
        if self._desk is not None:
            self._desk.take(summary)
        return [Finished(key, summary)]

    def merge(self, keys: Sequence[Key]) -> Key:
        """Fold partials into one; what goes wrong is told by `pull`, as on a cluster."""
        self._n_merges += 1
        key = f"merge-{self._n_merges}"
        try:
            self._partials[key] = merge_partials([self._get(name) for name in keys])
        except ExecutionError as error:
            self._partials[key] = error
        return key

    def _get(self, key: Key) -> Partial:
        partial = self._partials[key]
        if isinstance(partial, ExecutionError):
            raise partial
        return partial

    def pull(
        self, keys: Sequence[Key], patience_s: float, meanwhile: Callable[[], None]
    ) -> Iterator[dict[Key, Partial | ExecutionError]]:
        """Give partials, or what their merges raised."""
        del patience_s, meanwhile
        yield {key: self._partials[key] for key in keys}

    def find_workers(self, keys: Sequence[Key]) -> Mapping[Key, str]:
        """Nowhere else."""
        del keys
        return {}

    def release(self, keys: Sequence[Key]) -> None:
        """Forget partials and queued bundles."""
        gone = set(keys)
        self._queue = [(key, bundle) for key, bundle in self._queue if key not in gone]
        for key in gone:
            self._partials.pop(key, None)

    def close(self) -> None:
        """Close the files that were read."""
        clear_workbench()

    def n_merging(self) -> int:
        """None: they are done at once."""
        return 0

    def n_threads(self) -> int:
        """One."""
        return 1

    def n_workers(self) -> int:
        """One, this process."""
        return 1
