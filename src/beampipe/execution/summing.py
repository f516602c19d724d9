"""The sum of a run's segments, dataset by dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beampipe.datasets.model import Plan
from beampipe.execution.accumulators import add_into, add_outputs, take_output
from beampipe.execution.blocks import FAN_IN, Blocks, Node
from beampipe.execution.manifest import DoneChunk, join_manifests
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
    nodes = {segment.manifest.node: segment for segment in segments if segment.manifest.node}
    parts = [segment for segment in segments if not segment.manifest.node]
    total = take_output(_Tree(nodes, trust=trust).sum()) if nodes else None
    # In the order of the events as far as it goes, as `merge_partials` has them.
    for number, segment in enumerate(sorted(parts, key=_first_chunk)):
        value = segment.read_value(trust=trust)
        total = take_output(value) if not nodes and number == 0 else add_into(total, value)
    return total


def _first_chunk(segment: Segment) -> DoneChunk:
    return min(segment.manifest.done)


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
    split = parts = 0
    for segment in segments:
        manifest = segment.manifest
        split += len(manifest.split)
        if manifest.node is None:
            keys = ((chunk.uuid, chunk.k) for chunk in manifest.done)
            parts += len({blocks.find(manifest.dataset, key) for key in keys})
    reasons = []
    if split:
        reasons.append(f"{split:,} chunks did not fit into memory and were done in pieces")
    if parts:
        reasons.append(f"{parts:,} blocks of chunks were done in parts")
    return "; ".join(reasons)
