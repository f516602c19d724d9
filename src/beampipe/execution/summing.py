"""The sum of a run's segments, dataset by dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beampipe.datasets.model import Plan
from beampipe.execution.accumulators import add_into, add_outputs, take_output
from beampipe.execution.blocks import FAN_IN, Blocks, Node, parent_of
from beampipe.execution.manifest import DoneChunk, Manifest, join_manifests
from beampipe.execution.segments import Segment


def sum_segments(segments: Iterable[Segment], *, trust: bool) -> dict[str, Any]:
    """Add the segments up, dataset by dataset; few values are in memory at once.

    Segments of a reproducible run are added along its tree, so that the sum is the same to the
    last bit wherever epochs began and ended.

    Raises
    ------
    LedgerError
        ``run-ledger``: two segments hold the same events.
    AccumulationError
        ``output-not-addable``
    TrustError
        ``run-trust``
    """
    by_dataset: dict[str, list[Segment]] = {}
    for segment in segments:
        if segment.manifest.n_events:  # chunks without events have no value
            by_dataset.setdefault(segment.manifest.dataset, []).append(segment)
    return {name: _sum(some, trust=trust) for name, some in by_dataset.items()}


def _sum(segments: list[Segment], *, trust: bool) -> Any:
    join_manifests(segment.manifest for segment in segments)
    nodes, parts = _place(segments)
    total = take_output(_Tree(nodes, trust=trust).sum()) if nodes else None
    # In the order of the events as far as it goes, as `merge_partials` has them.
    for number, segment in enumerate(sorted(parts, key=_first_chunk)):
        value = segment.read_value(trust=trust)
        total = take_output(value) if not nodes and number == 0 else add_into(total, value)
    return total


def _place(segments: Iterable[Segment]) -> tuple[dict[Node, Segment], list[Segment]]:
    """Tell those that have a place in the tree from those that are added behind it.

    A place is lost to what covers it already: a chunk that failed and was done after the node
    above it was folded, or segments of a run whose files had other places.
    """
    nodes: dict[Node, Segment] = {}
    parts: list[Segment] = []
    in_tree = [(segment.manifest.node, segment) for segment in segments if segment.manifest.node]
    in_tree.sort(key=lambda pair: (-pair[0][0], pair[0][1], _first_chunk(pair[1])))
    top = in_tree[0][0][0] if in_tree else 0
    for node, segment in in_tree:
        if any(above in nodes for above in _path(node, top)):
            parts.append(segment)
        else:
            nodes[node] = segment
    parts += [segment for segment in segments if not segment.manifest.node]
    return nodes, parts


def _path(node: Node, top: int) -> Iterable[Node]:
    """The node and all above it, up to a level."""
    yield node
    while node[0] < top:
        node = parent_of(node)
        yield node


def _first_chunk(segment: Segment) -> DoneChunk:
    first = segment.manifest.done.first
    assert first is not None  # noqa: S101  (chunks without events were left out)
    return first


@dataclass(frozen=True, slots=True)
class _Tree:
    """Nodes that were committed, and the order in which the rest of the tree adds them."""

    nodes: Mapping[Node, Segment]
    trust: bool

    def sum(self) -> Any:
        top = max(level for level, _ in self.nodes)
        while len({index // FAN_IN ** (top - level) for level, index in self.nodes}) > 1:
            top += 1
        return self._fold(top, list(self.nodes))

    def _fold(self, level: int, inside: Sequence[Node]) -> Any:
        """The value of a node, from those inside of it that were committed."""
        if len(inside) == 1:
            return self.nodes[inside[0]].read_value(trust=self.trust)
        children: dict[int, list[Node]] = defaultdict(list)
        for node in inside:
            children[node[1] // FAN_IN ** (level - 1 - node[0])].append(node)
        # As `merge_partials` does it, with a fresh first sum and in the order of first chunks.
        groups = sorted(children.values(), key=self._first)
        total = self._fold(level - 1, groups[0])
        if len(groups) > 1:
            total = add_outputs(total, self._fold(level - 1, groups[1]))
        for group in groups[2:]:
            total = add_into(total, self._fold(level - 1, group))
        return total

    def _first(self, inside: Sequence[Node]) -> DoneChunk:
        return min(_first_chunk(self.nodes[node]) for node in inside)


def why_not_reproducible(plan: Plan, segments: Iterable[Segment]) -> str:
    """Say why a sum was not added in the fixed order of its plan; empty where it was.

    Parameters
    ----------
    segments : iterable of Segment
        All segments of a run that was to be reproducible.
    """
    blocks = Blocks(plan)
    segments = list(segments)
    reasons = []
    if split := sum(len(segment.manifest.split) for segment in segments):
        reasons.append(f"{split:,} chunks did not fit into memory and were done in pieces")
    if parts := sum(_count_parts(blocks, one.manifest) for one in segments):
        reasons.append(f"{parts:,} blocks of chunks were done in parts")
    if moved := _count_moved(blocks, segments):
        reasons.append(
            f"{moved:,} sums were added out of their order: of chunks that failed first and were "
            "done later, or taken from a run of other files"
        )
    kinds = {name for segment in segments for name in segment.manifest.instructions}
    if len(kinds) > 1:
        reasons.append(
            f"{len(kinds)} kinds of processors took part, which need not compute the same bits: "
            f"{', '.join(sorted(kinds))}"
        )
    return "; ".join(reasons)


def _count_parts(blocks: Blocks, manifest: Manifest) -> int:
    if manifest.node is not None:
        return 0
    keys = ((chunk.uuid, chunk.k) for chunk in manifest.done)
    return len({blocks.find(manifest.dataset, key) for key in keys})


def _count_moved(blocks: Blocks, segments: Iterable[Segment]) -> int:
    """Segments with a place in the tree that is not, or no longer, theirs."""
    by_dataset: dict[str, list[Segment]] = defaultdict(list)
    for segment in segments:
        if segment.manifest.n_events and segment.manifest.node:
            by_dataset[segment.manifest.dataset].append(segment)
    n_moved = 0
    for some in by_dataset.values():
        nodes, parts = _place(some)
        n_moved += len(parts)
        n_moved += sum(not _is_at(blocks, one.manifest, node) for node, one in nodes.items())
    return n_moved


def _is_at(blocks: Blocks, manifest: Manifest, node: Node) -> bool:
    """Whether all chunks of a segment lie below its node in this plan."""
    level, index = node
    found = (blocks.find(manifest.dataset, (chunk.uuid, chunk.k)) for chunk in manifest.done)
    return all(block // FAN_IN**level == index for block in found)
