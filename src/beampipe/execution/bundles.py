"""What one Dask task does: the chunks of a bundle, one after the other, added up."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from beampipe.datasets.model import Chunk
from beampipe.environments.code_archive import CodeArchive
from beampipe.environments.inputs import InputFile, inputs_at, inputs_here, lay_out_inputs
from beampipe.error_kinds import classify_error
from beampipe.error_rules import ErrorRule
from beampipe.errors import BeampipeError
from beampipe.execution.accumulators import (
    add_into,
    add_outputs,
    approximate_bytes,
    check_output,
    take_output,
)
from beampipe.execution.exclusion import Exclusion
from beampipe.execution.failures import describe_failure, explain_error
from beampipe.execution.fills import watch_fills
from beampipe.execution.instructions import name_instructions
from beampipe.execution.manifest import (
    ChunkKey,
    DoneChunk,
    DoneChunks,
    FailedChunk,
    Manifest,
    SplitChunk,
)
from beampipe.execution.output_ties import check_can_travel, check_is_new, materialize
from beampipe.execution.partials import Partial
from beampipe.execution.retries import POLICY
from beampipe.execution.undeclared import watch_opens
from beampipe.execution.unpacking import unpack_processor
from beampipe.execution.worker_shelf import worker_shelf
from beampipe.reading.column_cache import ColumnRoom, open_column_cache
from beampipe.reading.index.store import StorePlace

if TYPE_CHECKING:
    from beampipe.reading.chunk_events import ChunkEvents
    from beampipe.reading.reader import Reader


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every bundle of a run needs; reaches each worker once.

    Attributes
    ----------
    digest : str
        Names the content, so that a worker unpacks it once.
    payload : bytes
        The pickled `Processor` and schema.
    metadata : dict of str to dict
        What the processor is told of each dataset.
    error_rules : tuple of ErrorRule
        The user's own rules of what kind an error is.
    store : StorePlace or None
        Where indexes of files are kept.
    columns : ColumnRoom or None
        What each host may keep of columns that were read; None for nothing.
    code : CodeArchive or None
        The user's own modules that the processor imports when it runs.
    inputs : tuple of InputFile
        Declared inputs, for workers that do not see them.
    versions : mapping of str to str, or None
        Of the driver's packages: workers that come with others refuse; None where they need not.
    """

    digest: str
    payload: bytes
    metadata: Mapping[str, Mapping[str, Any]]
    error_rules: tuple[ErrorRule, ...] = ()
    store: StorePlace | None = None
    columns: ColumnRoom | None = None
    code: CodeArchive | None = None
    inputs: tuple[InputFile, ...] = ()
    versions: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """Chunks of one dataset for one task.

    Attributes
    ----------
    budget_s : float
        After so long the rest is handed back [s].
    attempt : int
        Which try this is for its chunks; counts from 1.
    is_last_try : bool
        Whether a chunk that fails has failed for good, whatever the reason.
    is_suspect : bool
        Whether its chunks were on a worker that died; then each has a process to itself.
    avoid : tuple of str
        Replicas that gave trouble; they are tried last.
    away : frozenset of str
        Workers' addresses and hosts where they gave trouble; others are preferred.
    pieces : int
        Into how many entry ranges each chunk is cut while it is done, so that it fits into memory.
    given_up : tuple of FailedChunk
        Chunks of it that are not to be tried any more.
    """

    number: int
    dataset: str
    chunks: tuple[Chunk, ...]
    budget_s: float
    attempt: int = 1
    is_last_try: bool = False
    is_suspect: bool = False
    avoid: tuple[str, ...] = ()
    away: frozenset[str] = frozenset()
    pieces: int = 1
    given_up: tuple[FailedChunk, ...] = ()


class Trail:
    """Where a worker leaves word of the chunk that it is at; this one leaves none."""

    def begin(self, bundle: int, chunk: ChunkKey) -> None:
        """Say that a chunk begins."""

    def read(self, column: str) -> None:
        """Say that a column of it is about to be read."""

    def end(self) -> None:
        """Say that the chunk has ended, well or not."""


@dataclass(slots=True, weakref_slot=True)
class _Workbench:
    """The open trees of one thread of one worker, and what was returned last."""

    digest: str
    reader: Reader
    last_output: Any = None


_LOCAL = threading.local()
_EXCLUSION = Exclusion()
_LARGE_BYTES = 32_000_000


def run_bundle(
    context: RunContext,
    bundle: Bundle,
    *,
    is_unwanted: Callable[[], bool] = lambda: False,
    trail: Trail | None = None,
) -> Partial:
    """Do the chunks of a bundle until the time is up, or nobody waits for it any more.

    An exception in a chunk is recorded and never leaves here, except for outputs that cannot
    be added: no later chunk could mend those.

    Parameters
    ----------
    is_unwanted : callable
        Asked before each chunk; once it says so, the rest is handed back.
    trail : Trail, optional
        Told of every chunk and column.
    """
    begin = time.perf_counter()
    folder = _Folder(bundle, context.error_rules)
    left = list(bundle.chunks)
    try:
        bench = _workbench(context)
    except BeampipeError as error:
        for chunk in left:
            folder.fail(chunk, error, None)
        left.clear()
    else:
        work = _Work(context, bundle, bench, folder, trail or Trail(), left)
        with inputs_at(lay_out_inputs(context.inputs)):
            while left and not is_unwanted():
                work.do(left.pop(0))
                if time.perf_counter() - begin > bundle.budget_s:
                    break
        bench.reader.drop_ahead()
        if approximate_bytes(folder.total.value) > _LARGE_BYTES:
            bench.last_output = None  # the worker may have no room for what is only compared
    folder.count("bundle_s", time.perf_counter() - begin)
    folder.count("bundles", 1)
    return folder.partial(left)


def _workbench(context: RunContext) -> _Workbench:
    bench: _Workbench | None = getattr(_LOCAL, "bench", None)
    if bench is not None and bench.digest == context.digest:
        return bench
    clear_workbench()  # whatever goes wrong below, a closed reader is not used again
    from beampipe.reading.allocator import tune_allocator
    from beampipe.reading.reader import Reader

    tune_allocator()
    _, schema = unpack_processor(context.payload)
    columns = open_column_cache(context.columns)
    reader = Reader(schema, shelf=worker_shelf(), columns=columns)
    bench = _Workbench(context.digest, reader)
    weakref.finalize(bench, reader.close)  # a worker's thread may end, and its trees with it
    _LOCAL.bench = bench
    return bench


def clear_workbench() -> None:
    """Close the trees that this thread keeps open."""
    bench: _Workbench | None = getattr(_LOCAL, "bench", None)
    _LOCAL.bench = None
    if bench is not None:
        bench.reader.close()


@dataclass(frozen=True, slots=True)
class _Work:
    """A bundle under way: what its chunks need, and where they end up."""

    context: RunContext
    bundle: Bundle
    bench: _Workbench
    folder: _Folder
    trail: Trail
    left: list[Chunk]

    def do(self, chunk: Chunk) -> None:
        """Do a chunk, from one replica after the other where bytes are broken."""
        key = (chunk.plan.file.uuid, chunk.k)
        for failure in self.bundle.given_up:
            if (failure.uuid, failure.k) == key:
                self.folder.failed.append(failure)
                return
        avoid: frozenset[str] | None = frozenset(self.bundle.avoid)
        with _EXCLUSION.alone() if self.bundle.is_suspect else _EXCLUSION.together():
            self.trail.begin(self.bundle.number, key)
            try:
                while avoid is not None:
                    avoid = self._do_from(chunk, avoid)
            finally:
                self.trail.end()

    def _do_from(self, chunk: Chunk, avoid: frozenset[str]) -> frozenset[str] | None:
        """Do a chunk; the replicas to avoid in another try, None if there is to be none."""
        total = Sum()
        ranges: list[tuple[int, int]] = []
        for piece in range(self.bundle.pieces):
            processed = self._process(chunk, piece, avoid)
            if not isinstance(processed, _Processed):
                return processed
            begin = time.perf_counter()
            ranges.append(processed.entries)
            if processed.has_events:
                check_is_new(self.bench.last_output, processed.output)
                self.bench.last_output = processed.output
                total.add(processed.output)
            self.folder.count("add_s", time.perf_counter() - begin)
        begin = time.perf_counter()
        self.folder.add(chunk, total, (ranges[0][0], ranges[-1][1]))
        self.folder.count("add_s", time.perf_counter() - begin)
        return None

    def _process(
        self, chunk: Chunk, piece: int, avoid: frozenset[str]
    ) -> _Processed | frozenset[str] | None:
        """Read and process one piece; None if it failed, or the replicas to avoid from now on."""
        begin = time.perf_counter()
        data: ChunkEvents | None = None
        try:
            data = self.bench.reader.read(
                chunk,
                self.context.metadata.get(self.bundle.dataset, {}),
                avoid=avoid,
                piece=(piece, self.bundle.pieces),
                on_read=self.trail.read,
            )
            if data.start == data.stop:
                # Both borders fell on the same cluster boundary. Many processors cannot bear
                # arrays of length zero, and a loop over the file would never give them any.
                return _Processed((data.start, data.stop))
            self._look_ahead()
            is_first = chunk is self.bundle.chunks[0]
            given = (*chunk.plan.file.urls, *inputs_here())
            with (
                watch_opens(self.folder.opened, given=given, is_on=is_first),
                watch_fills(data.read_s) as fills,
            ):
                output = data.call(self._output)
            data.check_unchanged()
            self.folder.count("fill_s", fills.seconds)
            return _Processed((data.start, data.stop), output)
        except BaseException as error:  # (the worker's wrapper records all)
            if _is_ctrl_c(error):
                raise
            explained = explain_error(error, data)
            if data is not None and self._has_another(chunk, avoid, explained):
                return avoid | {data.url}  # a replica may have what this one has lost
            self.folder.fail(chunk, explained, data)
            return None
        finally:
            if data is not None:
                metrics = data.metrics()
                spent_s = time.perf_counter() - begin
                known_s = metrics["open_s"] + metrics["read_s"] + metrics.get("keep_s", 0.0)
                metrics["process_s"] = spent_s - known_s
                for name, amount in metrics.items():
                    self.folder.count(name, amount)
                data.close()

    def _look_ahead(self) -> None:
        """Read the next chunk meanwhile; not where a death would be taken for this chunk's doing.

        Once its bundle was lost, or trouble came of it, a chunk is read by itself.
        """
        is_new = self.bundle.attempt == 1 and not self.bundle.is_suspect
        if self.left and is_new and self.bundle.pieces == 1:
            self.bench.reader.look_ahead(self.left[0], avoid=self.bundle.avoid)

    def _output(self, events: Any) -> Any:
        # A fresh processor for every chunk, as coffea has it: one that counts in `self` would
        # otherwise return the chunks before along with this one.
        processor, _ = unpack_processor(self.context.payload)
        output = processor.process(events)
        check_output(output)
        return materialize(output)

    def _has_another(self, chunk: Chunk, avoid: frozenset[str], error: BaseException) -> bool:
        """Whether a file is broken, and there is another replica of it."""
        n_untried = len(set(chunk.plan.file.urls) - avoid)
        return n_untried > 1 and classify_error(error, self.context.error_rules).kind == "data"


@dataclass(frozen=True, slots=True)
class _Processed:
    """What came of an entry range; there is no output where there were no events."""

    entries: tuple[int, int]
    output: Any = None

    @property
    def has_events(self) -> bool:
        return self.entries[0] < self.entries[1]


def _is_ctrl_c(error: BaseException) -> bool:
    """Whether it came from the keyboard, which only the main thread hears, not from a processor."""
    is_main = threading.current_thread() is threading.main_thread()
    return isinstance(error, KeyboardInterrupt) and is_main


@dataclass(slots=True)
class Sum:
    """Adds outputs up; adding in place happens only here."""

    value: Any = None
    n_values: int = 0

    def add(self, output: Any) -> None:
        """Add one more; it belongs to the sum from now on."""
        if self.n_values == 0:
            self.value = take_output(output)
        else:
            # The first sum is a fresh one, as coffea does it, so what the processor may
            # still hold of its first output is never changed.
            is_first = self.n_values == 1
            self.value = (add_outputs if is_first else add_into)(self.value, output)
        self.n_values += 1


@dataclass(slots=True)
class _Folder:
    """Gathers what became of the chunks of one bundle."""

    bundle: Bundle
    rules: Sequence[ErrorRule]
    total: Sum = field(default_factory=Sum)
    done: list[DoneChunk] = field(default_factory=list)
    failed: list[FailedChunk] = field(default_factory=list)
    returned: list[FailedChunk] = field(default_factory=list)
    split: list[SplitChunk] = field(default_factory=list)
    opened: set[str] = field(default_factory=set)
    metrics: dict[str, float] = field(default_factory=dict)

    def count(self, name: str, amount: float) -> None:
        self.metrics[name] = self.metrics.get(name, 0.0) + amount

    def add(self, chunk: Chunk, output: Sum, entries: tuple[int, int]) -> None:
        """Write a chunk down as done, and add its output if there is any."""
        start, stop = entries
        if output.n_values:
            self.total.add(output.value)
        plan = chunk.plan
        self.done.append(DoneChunk(plan.file.uuid, chunk.k, plan.n_chunks, start, stop))
        if self.bundle.pieces > 1:
            self.split.append(SplitChunk(plan.file.uuid, chunk.k, self.bundle.pieces))
        self.count("events", stop - start)

    def fail(self, chunk: Chunk, error: BaseException, data: ChunkEvents | None) -> None:
        """Write a failure down, or hand the chunk back if it may do better another time."""
        failure = describe_failure(
            chunk, error, data, attempt=self.bundle.attempt, rules=self.rules
        )
        may_pass = not self.bundle.is_last_try and POLICY.is_worth_another(failure)
        (self.returned if may_pass else self.failed).append(failure)

    def partial(self, left: Sequence[Chunk]) -> Partial:
        check_can_travel(self.total.value)
        return Partial(
            Manifest(
                self.bundle.dataset,
                done=DoneChunks.of(self.done),
                failed=tuple(self.failed),
                split=tuple(self.split),
                opened=tuple(sorted(self.opened)),
                instructions=(name_instructions(),) if self.done else (),
            ),
            self.total.value,
            self.metrics,
            remainder=tuple((chunk.plan.file.uuid, chunk.k) for chunk in left),
            returned=tuple(self.returned),
        )
