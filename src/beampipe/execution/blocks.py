"""The fixed order of adding of a reproducible run: blocks of chunks, and a tree above them.

Floating-point sums depend on the order in which they are added. Here that order is a function
of the plan alone: a block of consecutive chunks is added chunk by chunk, and eight neighbouring
nodes are folded into their parent, whoever does it and whenever.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate

from beampipe.datasets.model import Chunk, DatasetPlan, Plan
from beampipe.execution.manifest import ChunkKey

FAN_IN = 8
_BLOCKS = 2_000
_MOST_CHUNKS = 64

Node = tuple[int, int]
"""(level, index): node i of a level covers the nodes 8 i to 8 i + 7 of the level below."""


@dataclass(frozen=True, slots=True)
class _Dataset:
    """Where the chunks of a dataset lie in its order."""

    plan: DatasetPlan
    begins: Sequence[int]
    places: dict[str, int]

    @classmethod
    def of(cls, plan: DatasetPlan) -> _Dataset:
        begins = [0, *accumulate(file.used_chunks for file in plan.files)]
        places = {file.file.uuid: place for place, file in enumerate(plan.files)}
        return cls(plan, begins, places)

    def number(self, key: ChunkKey) -> int:
        uuid, k = key
        return self.begins[self.places[uuid]] + k


class Blocks:
    """The blocks of every dataset of a plan.

    Parameters
    ----------
    plan : Plan
        The whole of it, also where a part is done already.

    Attributes
    ----------
    size : int
        Chunks in a block; the last one of a dataset may have fewer.
    """

    def __init__(self, plan: Plan) -> None:
        self._datasets = {dataset.name: _Dataset.of(dataset) for dataset in plan.datasets}
        self.size = max(1, min(plan.n_chunks // _BLOCKS, _MOST_CHUNKS))

    def group_of(self, chunk: Chunk) -> tuple[str, int]:
        """The block of a chunk, and its dataset."""
        dataset = chunk.plan.file.dataset
        return (dataset, self.find(dataset, (chunk.plan.file.uuid, chunk.k)))

    def find(self, dataset: str, key: ChunkKey) -> int:
        """The block of a chunk."""
        return self._datasets[dataset].number(key) // self.size

    def n_blocks(self, dataset: str) -> int:
        """Blocks of a dataset."""
        return -(-self._datasets[dataset].plan.n_chunks // self.size)

    def find_whole(self, dataset: str, keys: Collection[ChunkKey]) -> Node | None:
        """The block that consists of exactly these chunks; None where there is none."""
        found = self._datasets[dataset]
        numbers = sorted(map(found.number, keys))
        if not numbers:
            return None
        block = numbers[0] // self.size
        first = block * self.size
        last = min(first + self.size, found.plan.n_chunks)
        return (0, block) if numbers == list(range(first, last)) else None

    def n_siblings(self, dataset: str, node: Node) -> int:
        """How many nodes have the same parent, itself included."""
        level, index = node
        n_nodes: int = -(-self.n_blocks(dataset) // FAN_IN**level)
        return min(FAN_IN, n_nodes - (index - index % FAN_IN))

    def is_root(self, dataset: str, node: Node) -> bool:
        """Whether a node covers the whole dataset."""
        width: int = FAN_IN ** node[0]
        return width >= self.n_blocks(dataset)


def parent_of(node: Node) -> Node:
    """The node above."""
    level, index = node
    return (level + 1, index // FAN_IN)
