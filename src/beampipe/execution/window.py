"""How many bundles are out at a time: enough to keep every thread busy, and no more."""

from __future__ import annotations

from dataclasses import dataclass

from beampipe.execution.holdings import fan_in

WINDOW = 256
"""Fewer would keep an adaptive cluster from growing (see FACTS)."""

_FIRST = 64
RESULT_BYTES = 80_000_000
"""What results may take on workers until the next commit, for each thread."""


@dataclass(frozen=True, slots=True)
class Load:
    """What there is on the workers.

    Attributes
    ----------
    threads : int
        That do bundles now; 0 where workers are still to come.
    is_paced : bool
        Whether a bundle has come back.
    value_bytes : int
        How large the largest result was [bytes].
    held : int
        Partials that wait for the next commit.
    merging : int
        Merges that have not ended.
    """

    threads: int
    is_paced: bool = True
    value_bytes: int = 0
    held: int = 0
    merging: int = 0


def window_size(load: Load) -> int:
    """Say how many bundles may be out.

    Parameters
    ----------
    load : Load
        As it is now.

    Returns
    -------
    int
        0 where workers have no room for another result: what they hold is merged first, or
        committed where nothing is left to be merged.
    """
    window = max(2 * load.threads, WINDOW)
    if not load.is_paced:
        # Until it is known how long a chunk takes and how large a result is: just enough to
        # start with, yet enough that an adaptive cluster at zero scales up.
        return min(window, load.threads or _FIRST)
    if not (load.value_bytes and load.threads):
        return window
    # Of the largest, one sum for each thread and one result: their merge makes it three. None
    # waits on a worker then, lest the quickest of them has it all.
    n_values = load.threads * max(2, RESULT_BYTES // load.value_bytes)
    if load.value_bytes > RESULT_BYTES:
        window = load.threads
    in_merges = load.merging * fan_in(load.value_bytes)
    return max(0, min(window, n_values - load.held - in_merges))
