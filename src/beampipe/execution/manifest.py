"""What is in a partial: the chunks that were done, and those that failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from beampipe.errors import LedgerError
from beampipe.execution.done_chunks import NOTHING, DoneChunk, DoneChunks, check_no_overlap

__all__ = [
    "ChunkKey",
    "DoneChunk",
    "DoneChunks",
    "FailedChunk",
    "Manifest",
    "SplitChunk",
    "check_no_overlap",
    "join_manifests",
]

ChunkKey = tuple[str, int]
"""(file uuid, k): a chunk within its dataset."""


@dataclass(frozen=True, slots=True)
class FailedChunk:
    """Part k of n of a file that raised, and what it raised.

    Attributes
    ----------
    kind : str
        What kind of error it is: ``"transient"``, ``"data"``, ``"processor"``, ``"resource"``
        or ``"worker"``; empty where nobody said.
    rule : str
        The line of the table of error kinds that said so.
    attempt : int
        How often the chunk had been tried, this time included.
    seen : mapping
        What was seen of the death of the worker that had it, as far as it is known: ``signal``,
        ``exit_code``, ``memory_bytes``, ``memory_limit_bytes``, ``columns`` (the last ones
        that were read), ``workers_killed``.
    """

    uuid: str
    k: int
    n: int
    start: int
    stop: int
    url: str
    code: str
    error_type: str
    message: str
    traceback: str = ""
    worker: str = ""
    host: str = ""
    attempt: int = 1
    why: str = ""
    fix: str = ""
    kind: str = ""
    rule: str = ""
    seen: Mapping[str, Any] = field(default_factory=dict)

    @property
    def signature(self) -> tuple[str, str, str]:
        """What two strikes of the same bug have in common."""
        frames = [line for line in self.traceback.splitlines() if line.startswith("  File ")]
        return (self.code, self.error_type, frames[-1] if frames else "")


class SplitChunk(NamedTuple):
    """A chunk that did not fit into memory and was done in so many entry ranges."""

    uuid: str
    k: int
    pieces: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The chunks of one dataset that a value holds; travels with the value.

    Attributes
    ----------
    done : DoneChunks
        Given as any iterable of `DoneChunk`.
    split : tuple of SplitChunk
        The done chunks that were done piece by piece: another order of adding.
    opened : tuple of str
        Files that the processor was seen to open and that no plan knows of.
    node : (int, int) or None
        Level and index in the tree of a reproducible run.
    instructions : tuple of str
        What the processors are called that computed it (see `name_instructions`).
    """

    dataset: str
    done: DoneChunks = NOTHING
    failed: tuple[FailedChunk, ...] = ()
    split: tuple[SplitChunk, ...] = ()
    opened: tuple[str, ...] = ()
    node: tuple[int, int] | None = None
    instructions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "done", DoneChunks.of(self.done))

    def keys(self) -> Iterator[ChunkKey]:
        """Go through the chunks, done or failed."""
        yield from self.done.keys()
        for failed in self.failed:
            yield (failed.uuid, failed.k)

    @property
    def n_events(self) -> int:
        """Events in the value [events]."""
        return self.done.n_events

    def is_same(self, other: Manifest) -> bool:
        """Whether both hold exactly the same entry ranges, in whatever order."""
        return (
            self.dataset == other.dataset
            and self.done.is_same(other.done)
            and sorted(map(_place, self.failed)) == sorted(map(_place, other.failed))
        )

    def to_json(self) -> dict[str, Any]:
        """The form it has in a segment."""
        return {
            "dataset": self.dataset,
            "done": list(self.done),
            "failed": [_failed_to_json(chunk) for chunk in self.failed],
            **(
                {"split": [[one.uuid, int(one.k), int(one.pieces)] for one in self.split]}
                if self.split
                else {}
            ),
            **({"opened": list(self.opened)} if self.opened else {}),
            **({"node": list(self.node)} if self.node is not None else {}),
            **({"instructions": list(self.instructions)} if self.instructions else {}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Manifest:
        """The inverse of `to_json`."""
        return cls(
            dataset=data["dataset"],
            done=DoneChunks.of(data["done"]),
            failed=tuple(FailedChunk(**row) for row in data["failed"]),
            split=tuple(SplitChunk(*row) for row in data.get("split", ())),
            opened=tuple(map(str, data.get("opened", ()))),
            node=tuple(data["node"]) if data.get("node") else None,
            instructions=tuple(map(str, data.get("instructions", ()))),
        )


def _failed_to_json(chunk: FailedChunk) -> dict[str, Any]:
    numbers = {name: int(getattr(chunk, name)) for name in ("k", "n", "start", "stop", "attempt")}
    return {**asdict(chunk), **numbers}


def _place(chunk: FailedChunk) -> tuple[str, int, int]:
    return (chunk.uuid, chunk.k, chunk.n)


def join_manifests(manifests: Iterable[Manifest]) -> Manifest:
    """Put manifests of one dataset together.

    Raises
    ------
    LedgerError
        ``run-ledger``: two of them hold the same events, so their values must not be added.
    """
    manifests = list(manifests)
    names = {manifest.dataset for manifest in manifests}
    if len(names) != 1:
        raise LedgerError(f"Manifests of several datasets cannot be joined: {sorted(names)}.")
    done = DoneChunks.join(manifest.done for manifest in manifests)
    check_no_overlap(done)
    failed = tuple(chunk for manifest in manifests for chunk in manifest.failed)
    split = tuple(chunk for manifest in manifests for chunk in manifest.split)
    opened = {path for manifest in manifests for path in manifest.opened}
    instructions = {name for manifest in manifests for name in manifest.instructions}
    return Manifest(
        names.pop(),
        done,
        failed,
        split,
        opened=tuple(sorted(opened)),
        instructions=tuple(sorted(instructions)),
    )
