"""One chunk in this process, measured: what `try` and `reproduce` share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from beampipe.datasets.model import Chunk
from beampipe.execution.accumulators import check_output
from beampipe.execution.output_ties import materialize
from beampipe.execution.processors import Processor

if TYPE_CHECKING:
    from beampipe.reading.chunk_events import ChunkEvents
    from beampipe.reading.reader import Reader


@dataclass(frozen=True, slots=True)
class ChunkTrial:
    """What one chunk did.

    Attributes
    ----------
    output : Any
        What the processor returned.
    url : str
        The file (the replica that answered).
    start, stop : int
        Entry range [events].
    columns : tuple of str
        Branches that were read.
    bytes_read : int
        Compressed bytes fetched.
    open_s, read_s, process_s : float
        Time to open the file, to load columns, and to compute [s].
    memory_bytes : int
        What the process grew by [bytes].
    """

    output: Any
    url: str
    start: int
    stop: int
    columns: tuple[str, ...]
    bytes_read: int
    open_s: float
    read_s: float
    process_s: float
    memory_bytes: int

    @property
    def n_events(self) -> int:
        """Events in the chunk."""
        return self.stop - self.start


def _read_with_events(reader: Reader, chunk: Chunk, metadata: Mapping[str, Any]) -> ChunkEvents:
    """Read a chunk, or the next one of its file that is not empty.

    Where clusters are larger than chunks, the borders of some chunks fall together; a run passes
    over those too.
    """
    for k in range(chunk.k, chunk.plan.used_chunks):
        data = reader.read(Chunk(chunk.plan, k), metadata)
        if data.start < data.stop:
            return data
        data.close()
    return reader.read(chunk, metadata)


def _process(processor: Processor, data: ChunkEvents) -> Any:
    try:
        return processor.process(data.events)
    except (AttributeError, LookupError) as error:
        from beampipe.reading.columns import explain_missing_column

        explained = explain_missing_column(error, data.known_columns())
        if explained is None:
            raise
        raise explained from error


def run_chunk_here(
    processor: Processor, chunk: Chunk, *, schema: str | type | None, metadata: Mapping[str, Any]
) -> ChunkTrial:
    """Do one chunk in this process; what the processor raises comes out as it is.

    Raises
    ------
    DatasetError, ReadingError
        The file cannot be read.
    ColumnNotFoundError
        The processor asked for a column that is not there; the original is its cause.
    ProcessorOutputError
        The processor returned nothing, or something that cannot be added.
    """
    from beampipe.reading.reader import Reader

    reader = Reader(schema)
    memory_before = psutil.Process().memory_info().rss
    begin = time.perf_counter()
    try:
        data = _read_with_events(reader, chunk, metadata)
        try:
            output = _process(processor, data)
            check_output(output)
            output = materialize(output)
            done = time.perf_counter()
            metrics = data.metrics()
            return ChunkTrial(
                output=output,
                url=data.url,
                start=data.start,
                stop=data.stop,
                columns=data.columns(),
                bytes_read=int(metrics["bytes_read"]),
                open_s=metrics["open_s"],
                read_s=metrics["read_s"],
                process_s=done - begin - metrics["open_s"] - metrics["read_s"],
                memory_bytes=max(0, psutil.Process().memory_info().rss - memory_before),
            )
        finally:
            data.close()
    finally:
        reader.close()
