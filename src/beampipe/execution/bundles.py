"""What one Dask task does: the chunks of a bundle, one after the other, added up."""

from __future__ import annotations

import socket
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.model import Chunk
from beampipe.datasets.urls import hide_secrets, show_url
from beampipe.errors import (
    BeampipeError,
    ProcessorFailedError,
    ProcessorOutputError,
    ProcessorPickleError,
    ReadingError,
)
from beampipe.execution.accumulators import (
    add_into,
    add_outputs,
    check_output,
    shares_state,
    take_output,
)
from beampipe.execution.manifest import ChunkKey, DoneChunk, FailedChunk, Manifest
from beampipe.execution.outputs import (
    is_awkward,
    is_histogram,
    is_tree,
    iter_leaves,
    path_text,
    type_text,
)
from beampipe.execution.own_code import where_raised
from beampipe.execution.partials import Partial

if TYPE_CHECKING:
    from beampipe.execution.processors import Processor
    from beampipe.reading.reader import ChunkEvents, Reader


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
    """

    digest: str
    payload: bytes
    metadata: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Chunks of one dataset for one task.

    Attributes
    ----------
    budget_s : float
        After so long the rest is handed back [s]; the first chunk is always done.
    attempt : int
        Which try this is for its chunks; counts from 1.
    is_suspect : bool
        Whether its chunks were on a worker that died; then it runs alone.
    """

    number: int
    dataset: str
    chunks: tuple[Chunk, ...]
    budget_s: float
    attempt: int = 1
    is_suspect: bool = False


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


# An array in an exception's message makes megabytes of it.
_MESSAGE, _TRACEBACK = 2_000, 20_000
# Values of these types can always be pickled.
_TRAVELLERS = (bool, int, float, complex, str, bytes, type(None), np.number, np.bool_)
_LOCAL = threading.local()


def run_bundle(
    context: RunContext, bundle: Bundle, *, is_unwanted: Callable[[], bool] = lambda: False
) -> Partial:
    """Do the chunks of a bundle until the time is up, or nobody waits for it any more.

    An exception in a chunk is recorded in the manifest and never leaves here, except for
    outputs that cannot be added: no later chunk could mend those.
    """
    begin = time.perf_counter()
    folder = _Folder(bundle.dataset)
    left = list(bundle.chunks)
    try:
        bench = _workbench(context)
    except BeampipeError as error:
        for chunk in bundle.chunks:
            folder.fail(chunk, error, None, bundle.attempt)
        left.clear()
    while left:
        _do_chunk(bench, left.pop(0), context, folder, bundle.attempt)
        if time.perf_counter() - begin > bundle.budget_s or is_unwanted():
            break
    folder.count("bundle_s", time.perf_counter() - begin)
    folder.count("bundles", 1)
    return folder.partial(tuple((chunk.plan.file.uuid, chunk.k) for chunk in left))


def _workbench(context: RunContext) -> _Workbench:
    bench: _Workbench | None = getattr(_LOCAL, "bench", None)
    if bench is not None and bench.digest == context.digest:
        return bench
    clear_workbench()  # whatever goes wrong below, a closed reader is not used again
    from beampipe.reading.allocator import tune_allocator
    from beampipe.reading.reader import Reader

    tune_allocator()
    _, schema = _unpack(context)
    reader = Reader(schema)
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


def _unpack(context: RunContext) -> tuple[Processor, type | None]:
    try:
        processor, schema = cloudpickle.loads(context.payload)
    except Exception as error:  # unpickling runs code of any class
        raise ProcessorPickleError(
            "A worker cannot unpack the processor.",
            why=f"{type(error).__name__}: {error}",
            fix="the worker's environment must have the modules that the processor imports",
        ) from error
    return processor, schema


def _do_chunk(
    bench: _Workbench,
    chunk: Chunk,
    context: RunContext,
    folder: _Folder,
    attempt: int,
    *,
    avoid: frozenset[str] = frozenset(),
) -> None:
    begin = time.perf_counter()
    data: ChunkEvents | None = None
    troubled: str | None = None
    try:
        metadata = context.metadata.get(folder.dataset, {})
        data = bench.reader.read(chunk, metadata, avoid=avoid)
        # A fresh processor for every chunk, as coffea has it: one that counts in `self` would
        # otherwise return the chunks before along with this one.
        processor, _ = _unpack(context)
        opened = time.perf_counter()
        if data.start == data.stop:
            # Both borders fell on the same cluster boundary. Many processors cannot bear arrays
            # of length zero, and a loop over the file would never give them any.
            folder.skip(chunk, data)
            return
        output = processor.process(data.events)
        check_output(output)
        output = materialize(output)
        done = time.perf_counter()
    except BaseException as error:  # (the worker's wrapper records all)
        if _is_ctrl_c(error):
            raise
        explained = explain_error(error, data)
        left = set(chunk.plan.file.urls) - avoid
        if data is not None and isinstance(explained, ReadingError) and len(left) > 1:
            troubled = data.url  # a replica may have what this one has lost
        else:
            folder.fail(chunk, explained, data, attempt)
    else:
        read_s = data.read_s()
        folder.count("open_s", opened - begin)
        folder.count("read_s", read_s)
        folder.count("process_s", done - opened - read_s)
        check_is_new(bench.last_output, output)
        bench.last_output = output
        folder.add(chunk, output, data)
        folder.count("add_s", time.perf_counter() - done)
    finally:
        if data is not None:
            folder.count("bytes_read", data.bytes_read())
            data.close()
    if troubled is not None:
        _do_chunk(bench, chunk, context, folder, attempt, avoid=avoid | {troubled})


def _is_ctrl_c(error: BaseException) -> bool:
    """Whether it came from the keyboard, which only the main thread hears, not from a processor."""
    is_main = threading.current_thread() is threading.main_thread()
    return isinstance(error, KeyboardInterrupt) and is_main


def explain_error(error: BaseException, data: ChunkEvents | None) -> BaseException:
    """Find the plain word for what came out of a processor, where there is one.

    Columns load inside the processor, so broken bytes and misspelt names arrive in the
    disguise that Awkward and others gave them; the original stays the cause.
    """
    from beampipe.reading.columns import explain_missing_column
    from beampipe.reading.faults import find_read_error

    if data is None or isinstance(error, BeampipeError):
        return error
    if (behind := find_read_error(error)) is not None:
        return behind
    explained = explain_missing_column(error, data.known_columns())
    if explained is None:
        return error
    explained.__cause__ = error
    return explained


def materialize(output: Any) -> Any:
    """Load the columns that an output still only refers to; their file is closed soon."""
    if is_tree(output):
        for key, item in list(output.items()):
            output[key] = materialize(item)
        return output
    if is_awkward(output):
        import awkward as ak

        return ak.materialize(output)
    if isinstance(output, list) and output and is_awkward(output[0]):
        output[:] = map(materialize, output)
    return output


def check_can_travel(value: Any) -> None:
    """Refuse a value that cannot leave the worker, before Dask fails on it far from here.

    Raises
    ------
    ProcessorOutputError
        ``processor-output``: names the key path.
    """
    for path, leaf in iter_leaves(value):
        if isinstance(leaf, _TRAVELLERS) or is_histogram(leaf) or is_awkward(leaf):
            continue
        try:
            cloudpickle.dumps(leaf)
        except Exception as error:  # pickling runs code of any class
            raise ProcessorOutputError(
                f"The processor returned something that cannot be stored: {path_text(path)}.",
                why=f"it is a {type_text(leaf)}: {type(error).__name__}: {error}",
                fix="return numbers, arrays, histograms and the like; no locks, files, functions",
            ) from error


def check_is_new(last: Any, output: Any) -> None:
    """Refuse an output that holds on to what the one before held.

    Raises
    ------
    ProcessorOutputError
        ``processor-output``: names the object that both hold.
    """
    shared = None if last is None else shares_state(last, output)
    if shared is not None:
        raise ProcessorOutputError(
            f"The processor returned the same object for two chunks: {shared}.",
            why="what it holds of one chunk would be counted again with the next",
            fix="make histograms and dictionaries inside the function (or `process`)",
        )


@dataclass(slots=True)
class _Folder:
    """Adds the chunks of one bundle up; adding in place happens only here."""

    dataset: str
    value: Any = None
    n_values: int = 0
    done: list[DoneChunk] = field(default_factory=list)
    failed: list[FailedChunk] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)

    def count(self, name: str, amount: float) -> None:
        self.metrics[name] = self.metrics.get(name, 0.0) + amount

    def add(self, chunk: Chunk, output: Any, data: ChunkEvents) -> None:
        if self.n_values == 0:
            self.value = take_output(output)
        else:
            # The first sum is a fresh one, as coffea does it, so what the processor may
            # still hold of its first output is never changed.
            fresh = self.n_values == 1
            self.value = (add_outputs if fresh else add_into)(self.value, output)
        self.n_values += 1
        self.skip(chunk, data)
        self.count("events", data.stop - data.start)

    def skip(self, chunk: Chunk, data: ChunkEvents) -> None:
        """Write a chunk down as done; one without events has no value."""
        plan = chunk.plan
        self.done.append(DoneChunk(plan.file.uuid, chunk.k, plan.n_chunks, data.start, data.stop))

    def fail(
        self, chunk: Chunk, error: BaseException, data: ChunkEvents | None, attempt: int
    ) -> None:
        self.failed.append(describe_failure(chunk, error, data, attempt=attempt))

    def partial(self, remainder: tuple[tuple[str, int], ...] = ()) -> Partial:
        check_can_travel(self.value)
        manifest = Manifest(self.dataset, tuple(self.done), tuple(self.failed))
        return Partial(manifest, self.value, self.metrics, remainder)


def describe_failure(
    chunk: Chunk,
    error: BaseException,
    data: ChunkEvents | None = None,
    *,
    attempt: int = 1,
    worker: str | None = None,
) -> FailedChunk:
    """Say everything about an exception that a person needs to act on it."""
    plan = chunk.plan
    start, stop = (data.start, data.stop) if data is not None else chunk_range(chunk)
    code = error.code if isinstance(error, BeampipeError) else ProcessorFailedError.code
    message, why, fix = _say(error), where_raised(error), ""
    if isinstance(error, BeampipeError):
        # What the processor raised is the cause where we put a plain word for it.
        why = why or (where_raised(error.__cause__) if error.__cause__ is not None else "")
        message, fix = error.message, error.fix
        why = "; ".join(text for text in (error.why, why) if text)
    return FailedChunk(
        uuid=plan.file.uuid,
        k=chunk.k,
        n=plan.n_chunks,
        start=start,
        stop=stop,
        url=show_url(data.url if data is not None else plan.file.urls[0]),
        code=code,
        error_type=type(error).__name__,
        message=_shorten(hide_secrets(message), _MESSAGE),
        traceback=_shorten(hide_secrets("".join(traceback.format_exception(error))), _TRACEBACK),
        worker=worker if worker is not None else _worker_name(),
        host=socket.gethostname(),
        attempt=attempt,
        why=hide_secrets(why),
        fix=hide_secrets(fix),
    )


def _shorten(text: str, most: int) -> str:
    """Keep both ends of a text; the driver holds it for every chunk that failed."""
    left_out = len(text) - most
    if left_out <= 0:
        return text
    return f"{text[: most // 2]} [... {left_out:,} characters ...] {text[-most // 2 :]}"


def _say(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 (the user's own exception class, and it is broken)
        return "an error that raises when it is printed"


def _worker_name() -> str:
    # Only inside a Dask worker is distributed loaded already; elsewhere there is no worker.
    if "distributed" not in sys.modules:
        return "inline"
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return "inline"
