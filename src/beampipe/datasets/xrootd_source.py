"""Through what uproot reads files behind XRootD; imports uproot, so only where files are read.

fsspec-xrootd (0.5) keeps a file's handle for as long as it is in use, and asks the server that had
it for the limits of vector reads before each of them: when that server is dead, every later read
fails, or waits for ten minutes, though the file is there behind the redirector.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

from uproot.source.chunk import Chunk, Source, notifier
from uproot.source.futures import TrivialFuture

from beampipe.datasets.xrootd_client import Request, XRootDError, tune_client

Span = tuple[int, int]
"""First byte, and the one behind the last."""


class Limits(NamedTuple):
    """What a server takes as one vector read: so many ranges, each of so many bytes."""

    ranges: int = 1024
    range_bytes: int = 2097136


_VECTOR_BYTES: Final = 32 * 1024 * 1024
"""Of one vector read, so that several can be under way and the server's buffers stay small."""
_LIMITS: dict[str, Limits] = {}
"""By server, for this process."""


class XRootDSource(Source):  # type: ignore[misc]  # uproot ships no types
    """Reads byte ranges, many in one request, and opens the file again where its server died.

    Parameters
    ----------
    file_path : str
        ``root://...`` or one of its like.
    **options : Any
        Of ``uproot.open``; none is of use here.

    Raises
    ------
    XRootDError
        It cannot be opened.
    """

    def __init__(self, file_path: str, **options: Any) -> None:
        super().__init__()
        del options
        tune_client()
        self._file_path = file_path
        self._lock = threading.Lock()
        self._is_closed = False
        self._limits = Limits()
        self._file = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        self._let_go()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._is_closed

    @property
    def num_bytes(self) -> int:
        """Size of the file."""
        return int(Request(self._opened().stat).result().size)

    def chunk(self, start: int, stop: int) -> Chunk:
        """Read one range."""
        return self.chunks([(start, stop)], queue.Queue())[0]

    def chunks(self, ranges: list[Span], notifications: queue.Queue[Chunk]) -> list[Chunk]:
        """Read ranges together; all are there when this returns.

        Raises
        ------
        XRootDError
            Also with the file opened anew.
        """
        if not ranges:
            return []
        self._num_requested_chunks += len(ranges)
        self._num_requested_bytes += sum(stop - start for start, stop in ranges)
        with self._lock:
            found = self._read(ranges)
        chunks = [
            Chunk(self, start, stop, TrivialFuture(found[start, stop])) for start, stop in ranges
        ]
        for chunk in chunks:
            notifier(chunk, notifications)()
        return chunks

    def _read(self, ranges: Sequence[Span]) -> dict[Span, Any]:
        found: dict[Span, Any] = {}
        try:
            self._read_into(found, ranges)
        except (XRootDError, TimeoutError):
            # The client itself tries another server, but not after every error.
            self._let_go()
            missing = [span for span in ranges if span not in found]
            try:
                self._read_into(found, missing)
            except XRootDError:
                short = self._find_end(missing)
                if short is not None:
                    raise short from None
                raise
        return found

    def _find_end(self, ranges: Sequence[Span]) -> XRootDError | None:
        """Say as other sources do that a file ends too early; servers call it an illegal seek."""
        with suppress(XRootDError, TimeoutError):
            size = self.num_bytes
            for start, stop in ranges:
                if stop > size:
                    sizes = f"length {stop - start}, received {max(0, size - start)} bytes"
                    return XRootDError(f"expected Chunk of {sizes}")
        return None

    def _read_into(self, found: dict[Span, Any], ranges: Sequence[Span]) -> None:
        file, under_way = self._opened(), []
        for spans in plan_requests(ranges, self._limits):
            self._num_requests += 1
            pieces = [(start, stop - start) for start, stop in spans]
            if len(spans) == 1:
                under_way.append((spans, Request(file.read, *pieces[0])))
            else:
                under_way.append((spans, Request(file.vector_read, pieces)))
        for spans, request in under_way:
            content = request.result()
            if len(spans) == 1:
                found[spans[0]] = content
            else:
                for span, piece in zip(spans, content, strict=True):
                    found[span] = piece.buffer

    def _opened(self) -> Any:
        if self._is_closed:
            raise OSError(f"file {self._file_path!r} is closed")
        if self._file is None:
            self._file = self._open()
        return self._file

    def _open(self) -> Any:
        from XRootD.client import File
        from XRootD.client.flags import OpenFlags

        file = File()
        Request(file.open, self._file_path, OpenFlags.READ).result()
        self._limits = find_limits(file)  # now, while its server is there
        return file

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            Request(file.close)  # nobody waits for the answer


def plan_requests(ranges: Sequence[Span], limits: Limits) -> Iterator[list[Span]]:
    """Group ranges into requests: those that are too large for a vector read go alone.

    Parameters
    ----------
    ranges : sequence of (int, int)
    limits : Limits
        Of the server.

    Yields
    ------
    list of (int, int)
        One range: an ordinary read; several: a vector read.

    Examples
    --------
    >>> list(plan_requests([(0, 2), (5, 7), (10, 90), (90, 91)], Limits(2, 10)))
    [[(10, 90)], [(0, 2), (5, 7)], [(90, 91)]]
    """
    vectors: list[list[Span]] = []
    n_bytes = 0
    for start, stop in dict.fromkeys(ranges):
        size = stop - start
        if size > limits.range_bytes:
            yield [(start, stop)]
            continue
        if not vectors or len(vectors[-1]) >= limits.ranges or n_bytes + size > _VECTOR_BYTES:
            vectors.append([])
            n_bytes = 0
        vectors[-1].append((start, stop))
        n_bytes += size
    yield from vectors


def find_limits(file: Any) -> Limits:
    """Ask the server that has a file for its limits, once in a process.

    Parameters
    ----------
    file : XRootD.client.File
        An open one.

    Returns
    -------
    Limits
        The protocol's own where the server does not say.
    """
    from XRootD.client import URL, FileSystem
    from XRootD.client.flags import QueryCode

    server = URL(str(file.get_property("DataServer")))
    address = f"{server.protocol}://{server.hostid}"
    if address not in _LIMITS:
        found = Limits()
        # That of a server which died since says nothing; the read will find another one.
        with suppress(XRootDError, TimeoutError, ValueError):
            asked = FileSystem(address).query, QueryCode.CONFIG, "readv_iov_max readv_ior_max"
            n_ranges, n_bytes = map(int, Request(*asked).result().split())
            found = Limits(max(1, min(n_ranges, found.ranges)), max(1, min(n_bytes, 2 * 10**9)))
        _LIMITS[address] = found
    return _LIMITS[address]
