"""Planned chunks, packed: what a value that waits to be committed stands for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from beampipe.datasets.model import Chunk, FilePlan
from beampipe.execution.columns import Columns
from beampipe.execution.manifest import ChunkKey


class ChunkList(Collection[Chunk]):
    """Chunks in their order, a few bytes for each; they are made when they are asked for.

    Parameters
    ----------
    chunks : iterable of Chunk

    Attributes
    ----------
    plans : list of FilePlan
        The files, in the order in which they come.
    rows : Columns
        Of each chunk: the place of its file, and k.
    """

    __slots__ = ("plans", "rows")

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        places: dict[int, int] = {}
        self.plans: list[FilePlan] = []
        rows: list[tuple[int, int]] = []
        for chunk in chunks:
            # Plans are compared by what they are, not by all that they hold.
            place = places.setdefault(id(chunk.plan), len(places))
            if place == len(self.plans):
                self.plans.append(chunk.plan)
            rows.append((place, chunk.k))
        self.rows = Columns.pack(np.array(rows, np.int64).reshape(-1, 2).T)

    @classmethod
    def join(cls, parts: Sequence[ChunkList]) -> ChunkList:
        """Put them one behind the other."""
        joined = cls(())
        places: dict[int, int] = {}
        columns = []
        for part in parts:
            new = []
            for plan in part.plans:
                new.append(places.setdefault(id(plan), len(places)))
                if new[-1] == len(joined.plans):
                    joined.plans.append(plan)
            at, k = part.rows.unpack()
            columns.append((np.array(new, np.int64)[at], k))
        if columns:
            joined.rows = Columns.pack(
                [np.concatenate(some) for some in zip(*columns, strict=True)]
            )
        return joined

    def __len__(self) -> int:
        return self.rows.size

    def __iter__(self) -> Iterator[Chunk]:
        at, k = self.rows.unpack()
        for place, number in zip(at.tolist(), k.tolist(), strict=True):
            yield Chunk(self.plans[place], number)

    def __contains__(self, chunk: object) -> bool:
        return any(one == chunk for one in self)

    def keys(self) -> list[ChunkKey]:
        """(uuid, k) of each of them."""
        at, k = self.rows.unpack()
        uuids = [plan.file.uuid for plan in self.plans]
        pairs = zip(at.tolist(), k.tolist(), strict=True)
        return [(uuids[place], number) for place, number in pairs]
