"""Makes a file's index from uproot's own objects, without reading more of the file."""

from __future__ import annotations

from typing import Any

import numpy as np

from beampipe.reading.boundaries import cluster_boundaries
from beampipe.reading.faults import MappedReadErrors
from beampipe.reading.index.model import UNREADABLE, Baskets, BasketTable, FileIndex
from beampipe.reading.index.pages import gather_pages
from beampipe.reading.layouts import layout_key
from beampipe.reading.trees import OpenTree, is_rntuple


def make_index(opened: OpenTree, *, treename: str | None = None) -> FileIndex:
    """Make the index of a tree.

    Parameters
    ----------
    opened : OpenTree
    treename : str, optional
        How the plan calls the tree; otherwise its path in the file is taken.

    Returns
    -------
    FileIndex
        Columns whose baskets lie in the tree itself, in another file, or do not add up to its
        entries are marked as unreadable.

    Raises
    ------
    ChunkUnreadableError
        ``reading-chunk-unreadable``: the tree's description is damaged.
    """
    tree = opened.tree
    boundaries, has_checksums = cluster_boundaries(opened), False
    if is_rntuple(tree):
        with MappedReadErrors(opened, entries=(0, int(tree.num_entries))):
            columns, has_checksums = gather_pages(tree.ntuple)
            # Of clusters without entries the boundaries tell nothing.
            if len(tree.ntuple.cluster_summaries) != len(boundaries) - 1:
                columns = []
    else:
        columns = [_baskets_of(branch) for branch in tree.itervalues(recursive=True)]
    return FileIndex(
        uuid=opened.uuid,
        treename=tree_path(tree) if treename is None else treename,
        kind="RNTuple" if is_rntuple(tree) else "TTree",
        entries=int(tree.num_entries),
        layout=layout_key(opened),
        boundaries=boundaries,
        table=gather_baskets(columns),
        has_checksums=has_checksums,
    )


def tree_path(tree: Any) -> str:
    """Give a tree's path in its file, as one asks for it.

    Parameters
    ----------
    tree : uproot TTree or RNTuple

    Returns
    -------
    str
        Without cycle, where it is the highest one.
    """
    *folders, name = str(tree.object_path).lstrip("/").split("/")
    bare, _, cycle = name.rpartition(";")
    if bare:
        siblings = tree.parent.parent.keys(recursive=False, cycle=True)
        cycles = [
            int(end) for path, _, end in (s.rpartition(";") for s in siblings) if path == bare
        ]
        name = bare if int(cycle) == max(cycles, default=0) else name
    return "/".join([*folders, name])


def gather_baskets(columns: list[Baskets | None]) -> BasketTable:
    """Put the baskets of many columns into a few arrays.

    Parameters
    ----------
    columns : list of Baskets or None
        None for those that cannot be read.

    Returns
    -------
    BasketTable
    """
    patterns: dict[bytes, int] = {}
    kept: list[Any] = []
    pattern_of = np.full(len(columns), UNREADABLE, dtype=np.int32)
    bounds = np.zeros(len(columns) + 1, dtype=np.int64)
    for column, baskets in enumerate(columns):
        bounds[column + 1] = bounds[column]
        if baskets is None:
            continue
        bounds[column + 1] += len(baskets.seeks)
        pattern_of[column] = patterns.setdefault(baskets.firsts.tobytes(), len(patterns))
        if len(patterns) > len(kept):
            kept.append(baskets.firsts)
    found = [baskets for baskets in columns if baskets is not None]
    none = np.zeros(0, dtype=np.int64)
    return BasketTable(
        bounds=bounds,
        seeks=np.concatenate([none, *(baskets.seeks for baskets in found)]),
        sizes=np.concatenate([none, *(baskets.sizes for baskets in found)]),
        pattern_of=pattern_of,
        patterns=tuple(kept),
    )


def _baskets_of(branch: Any) -> Baskets | None:
    if branch.member("fFileName", none_if_missing=True):
        return None  # its baskets lie in another file
    try:
        firsts = branch.entry_offsets
    except ValueError:  # uproot's word for: the baskets do not add up; it says more on reading
        return None
    entries, embedded = int(branch.num_entries), branch.embedded_baskets
    if embedded or firsts[-1] != entries:
        return None
    count = len(firsts) - 1
    seeks = np.array(branch.member("fBasketSeek")[:count], dtype=np.int64)
    sizes = np.array(branch.member("fBasketBytes")[:count], dtype=np.int64)
    offsets = np.array(firsts, dtype=np.int64)
    if len(seeks) != count or len(sizes) != count or (np.diff(offsets) < 0).any():
        return None
    return Baskets(seeks, sizes, offsets)
