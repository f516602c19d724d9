"""Which entries a chunk covers: a pure rule that depends on the file and the plan alone.

Any worker, at any time, comes to the same borders, so chunks can be planned without
knowing where a file's clusters lie, retried elsewhere, and still tile the file exactly.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from beampipe.errors import PlanArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from beampipe.datasets.model import Chunk

MAX_CHUNK_GROWTH = 4
"""A snapped chunk is never larger than this many nominal chunks."""


def nominal_border(k: int, n_chunks: int, entries: int) -> int:
    """Give border `k` of a file that is cut into `n_chunks` nearly equal parts.

    Parameters
    ----------
    k : int
        Border, 0 (the file's start) to `n_chunks` (its end).
    n_chunks : int
        Parts, at least 1.
    entries : int
        Entries in the tree.

    Returns
    -------
    int
        Entry number.
    """
    return k * entries // n_chunks


def chunk_range(chunk: Chunk, boundaries: Sequence[int] | None = None) -> tuple[int, int]:
    """Give the entries of a chunk, both ends at cluster boundaries where that is sensible.

    Border `k` of `n` lies nominally at ``k * entries // n``. With `boundaries`, every border
    inside the file moves to the nearest boundary (the lower one of two equally near), so that no
    basket is read by two chunks. Where a cluster is larger than four nominal chunks, the borders
    inside it stay nominal: one chunk would swallow the whole cluster, and memory with it.

    Parameters
    ----------
    chunk : Chunk
        Part `k` of a planned file.
    boundaries : sequence of int, optional
        Entry numbers where the file's clusters begin and end, sorted. 0 and the number of
        entries may be left out.

    Returns
    -------
    start, stop : int
        Entry range, `stop` excluded. May be empty. The chunks ``0 .. used_chunks - 1`` of a file
        tile ``[0, plan.stop)`` without gap or overlap, whatever the boundaries. With steps, the
        range is that step as it stands.

    Raises
    ------
    PlanArgumentError
        ``dataset-plan-argument``: the plan has no chunk `k`.
    """
    plan, k = chunk.plan, chunk.k
    if not 0 <= k < plan.used_chunks:
        raise PlanArgumentError(
            f"There is no chunk {k} in the plan of this file.",
            why=f"the plan uses {plan.used_chunks} of its {plan.n_chunks} chunks",
            fix="take chunks from Plan.chunks()",
            chunk=k,
        )
    if plan.steps is not None:
        return plan.steps[k]
    start, stop = _border(chunk, k, boundaries), _border(chunk, k + 1, boundaries)
    return start, stop


def _border(chunk: Chunk, k: int, boundaries: Sequence[int] | None) -> int:
    plan = chunk.plan
    if k == plan.used_chunks:
        return plan.stop
    entries = plan.file.entries
    nominal = nominal_border(k, plan.n_chunks, entries)
    if boundaries is None or k == 0:
        return min(nominal, plan.stop)
    return min(_snap(nominal, boundaries, n_chunks=plan.n_chunks, entries=entries), plan.stop)


def _snap(nominal: int, boundaries: Sequence[int], *, n_chunks: int, entries: int) -> int:
    """Move a border to the nearest end of the cluster it lies in, unless that one is too big.

    A cluster of more than four nominal chunks has two neighbouring borders on either side of its
    middle, which would snap to its two ends. Smaller clusters can't make a chunk larger than
    three nominal ones: a border never moves past the neighbour's nominal place.
    """
    after = bisect_right(boundaries, nominal)
    low = max(boundaries[after - 1], 0) if after else 0
    high = min(boundaries[after], entries) if after < len(boundaries) else entries
    if (high - low) * n_chunks > MAX_CHUNK_GROWTH * entries:
        return nominal
    return low if nominal - low <= high - nominal else high
