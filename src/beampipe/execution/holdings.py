"""Partials that lie on workers until the next commit, and how they are folded meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from beampipe.execution.blocks import FAN_IN, Blocks, Node, parent_of
from beampipe.execution.chunk_list import ChunkList
from beampipe.execution.groups import FileGroups, Group
from beampipe.execution.manifest import Manifest, join_manifests
from beampipe.execution.pool import Key, Pool

_FEWEST = 2
_MERGE_BYTES = 32_000_000
"""What the inputs of one merge may take on a worker."""
_APART_BYTES = 40_000_000
"""What may wait for each worker, or one value, until enough lies on one of them."""
_WORKERS_PER_MERGE = 4  # of large values: their inputs stay until it has ended


@dataclass(frozen=True, slots=True)
class Held:
    """A partial that lies on a worker.

    Attributes
    ----------
    manifest : Manifest
        What must be in it.
    chunks : ChunkList
        The chunks that it stands for.
    value_bytes : int
        About how large its value is [bytes].
    node : (int, int) or None
        Its place in the tree of a reproducible run.
    depth : int
        How often it was folded.
    place : str
        The worker that has it, as far as it is known: sending a value costs more than adding it.
    """

    key: Key
    manifest: Manifest
    chunks: ChunkList
    value_bytes: int = 0
    node: Node | None = None
    depth: int = 0
    place: str = ""


class Holdings(Protocol):
    """What a driver holds."""

    def add(self, held: Held) -> None:
        """Hold one more, and fold it with others where that saves memory."""
        ...

    def fold(self) -> None:
        """Fold what could not be folded before."""
        ...

    def seal(self) -> list[Held]:
        """Fold what belongs together and give all of it away, to be committed."""
        ...

    def drop(self) -> list[Held]:
        """Give everything away as it is."""
        ...

    def __len__(self) -> int: ...


class GroupedHoldings:
    """Folds the partials of each small group of files, in whatever order they come.

    Parameters
    ----------
    pool : Pool
        Where they lie.
    groups : FileGroups
        Which files belong together.
    """

    def __init__(self, pool: Pool, groups: FileGroups) -> None:
        self._pool = pool
        self._groups = groups
        self._held: dict[Group, list[Held]] = {}
        # Kept, not counted: with thousands of datasets there are as many groups.
        self._n = 0
        self._waiting: set[Group] = set()

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Held]:
        for some in self._held.values():
            yield from some

    def add(self, held: Held) -> None:
        """Hold a partial; a group with many of them is folded at once."""
        if self._groups.fit(held.value_bytes):
            for one in self.drop():
                self._put(one)
        self._put(held)

    def _put(self, held: Held) -> None:
        group = self._groups.group_of(next(iter(held.chunks)))
        self._held.setdefault(group, []).append(held)
        self._n += 1
        self._fold_group(group)

    def fold(self) -> None:
        """Fold the groups of large partials that waited for a merge to end."""
        if self._waiting and self._has_room():
            for group in tuple(self._waiting):
                self._fold_group(group)

    def _has_room(self) -> bool:
        """Whether large values may be merged beside those that are."""
        return self._pool.n_merging() < max(1, self._pool.n_workers() // _WORKERS_PER_MERGE)

    def _fold_group(self, group: Group) -> None:
        """Fold as many as there are to be at once: of large ones few, of small ones equals."""
        some = self._held[group]
        self._waiting.discard(group)
        while len(some) >= (count := _fan_in(some)) and (chosen := self._choose(some, count)):
            self._merge(some, chosen)
        if count == _FEWEST and len(some) >= count:
            self._waiting.add(group)

    def _choose(self, some: Sequence[Held], count: int) -> list[Held]:
        """Those that are to be folded now; nothing where it is better to wait."""
        latest = some[-1]
        if count == FAN_IN:
            # Equals (of the same depth) keep a tree flat: a sum that is folded again with every
            # few partials would be gone through again each time.
            equals = [held for held in some if held.depth == latest.depth]
            return equals if len(equals) >= count else []
        if count == _FEWEST and not self._has_room():
            return []
        ((place, n_here),) = Counter(held.place for held in some).most_common(1)
        if n_here >= count:
            return [held for held in some if held.place == place][:count]
        return list(some[:count]) if self._is_crowded(some) else []

    def _is_crowded(self, some: Sequence[Held]) -> bool:
        """Whether there is no room to wait until enough lies on one worker."""
        value_bytes = max(held.value_bytes for held in some)
        return self._n > max(1, _APART_BYTES // value_bytes) * self._pool.n_workers()

    def _merge(self, some: list[Held], chosen: Sequence[Held]) -> None:
        gone = set(map(id, chosen))
        some[:] = [held for held in some if id(held) not in gone]
        some.append(merge_held(self._pool, chosen))
        self._n -= len(chosen) - 1

    def seal(self) -> list[Held]:
        """Fold each group into one partial."""
        for some in self._held.values():
            some.sort(key=lambda held: held.place)  # first those that need not be sent
            while len(some) > 1:
                self._merge(some, some[: _fan_in(some)])
        return self.drop()

    def drop(self) -> list[Held]:
        """Give everything away as it is."""
        everything = list(self)
        self._held.clear()
        self._waiting.clear()
        self._n = 0
        return everything


class TreeHoldings:
    """Folds partials along the tree of a reproducible run.

    Parameters
    ----------
    pool : Pool
        Where they lie.
    blocks : Blocks
        The leaves of the tree.
    """

    def __init__(self, pool: Pool, blocks: Blocks) -> None:
        self._pool = pool
        self._blocks = blocks
        self._nodes: dict[tuple[str, Node], Held] = {}
        self._parts: list[Held] = []

    def __len__(self) -> int:
        return len(self._nodes) + len(self._parts)

    def __iter__(self) -> Iterator[Held]:
        yield from self._nodes.values()
        yield from self._parts

    def add(self, held: Held) -> None:
        """Hold a partial; where all children of a node are there, the node takes their place."""
        dataset = held.manifest.dataset
        node = self._blocks.find_whole(dataset, held.chunks.keys())
        if node is None:  # a block that had to be done in parts has no place in the tree
            self._parts.append(held)
            return
        while not self._blocks.is_root(dataset, node):
            level, index = parent_of(node)
            here = range(index * FAN_IN, (index + 1) * FAN_IN)
            keys = [(dataset, (node[0], i)) for i in here]
            others = [key for key in keys if key in self._nodes]
            if len(others) + 1 < self._blocks.n_siblings(dataset, node):
                break
            if others:
                held = merge_held(self._pool, [self._nodes.pop(key) for key in others] + [held])
            node = (level, index)
        self._nodes[(dataset, node)] = replace(held, node=node)

    def fold(self) -> None:
        """Nothing: what can be folded is, when it comes."""

    def seal(self) -> list[Held]:
        """Give away the nodes that are there: each is a whole subtree."""
        return self.drop()

    def drop(self) -> list[Held]:
        """Give everything away as it is."""
        everything = list(self)
        self._nodes.clear()
        self._parts.clear()
        return everything


def merge_held(pool: Pool, group: Sequence[Held]) -> Held:
    """Fold partials into one where they lie, and let go of them."""
    keys = [one.key for one in group]
    chunks = ChunkList.join([one.chunks for one in group])
    manifest = join_manifests(one.manifest for one in group)
    merged = pool.merge(keys)
    pool.release(keys)
    return Held(
        merged,
        manifest,
        chunks,
        value_bytes=max(one.value_bytes for one in group),
        depth=1 + max(one.depth for one in group),
        # Where most of them are: Dask puts it there.
        place=Counter(one.place for one in group).most_common(1)[0][0],
    )


def fan_in(value_bytes: int) -> int:
    """How many partials to merge at once: fewer when they are large, and two at least."""
    return max(_FEWEST, min(FAN_IN, _MERGE_BYTES // max(value_bytes, 1)))


def _fan_in(held: Sequence[Held]) -> int:
    return fan_in(max((one.value_bytes for one in held), default=0))
