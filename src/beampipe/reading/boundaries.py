"""Where a file's clusters begin and end, so that no basket is read by two chunks."""

from __future__ import annotations

from typing import Any

from beampipe.reading.faults import MappedReadErrors
from beampipe.reading.trees import OpenTree, is_rntuple


def cluster_boundaries(opened: OpenTree) -> tuple[int, ...]:
    """Give the entries at which every column starts a new basket or cluster.

    Parameters
    ----------
    opened : OpenTree

    Returns
    -------
    tuple of int
        Sorted, with 0 and the number of entries. Worked out once per open tree, from the file
        alone.
    """
    if opened.index is not None:
        indexed: tuple[int, ...] = opened.index.boundaries
        return indexed
    if "boundaries" not in opened.cache:
        tree = opened.tree
        entries = int(tree.num_entries)
        with MappedReadErrors(opened, entries=(0, entries)):
            found = _of_rntuple(tree) if is_rntuple(tree) else _of_ttree(tree)
        opened.cache["boundaries"] = tuple(sorted({0, *found, entries}))
    boundaries: tuple[int, ...] = opened.cache["boundaries"]
    return boundaries


def _of_rntuple(tree: Any) -> set[int]:
    return {int(cluster.num_first_entry) for cluster in tree.ntuple.cluster_summaries}


def _of_ttree(tree: Any) -> set[int]:
    entries = int(tree.num_entries)
    # Most branches of a file share a handful of patterns: intersect those, not 1,500 lists.
    patterns = set()
    for branch in tree.itervalues(recursive=True):
        offsets = branch.entry_offsets
        if len(offsets) > 1 and offsets[-1] == entries:
            patterns.add(tuple(int(offset) for offset in offsets))
    return set.intersection(*map(set, patterns)) if patterns else set()
