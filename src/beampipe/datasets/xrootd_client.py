"""XRootD's client in this process: what a dead server may cost, and requests with their answers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from typing import Any, Final, NamedTuple

SETTINGS: Final = {
    # To connect, with all that a login takes. A server that refuses is asked again when it is over.
    "ConnectionWindow": 15,
    "ConnectionRetry": 2,
    # For so long a server that could not be had is not asked again; by default half an hour, in
    # which it may have come back.
    "StreamErrorWindow": 2,
    # For one request. The client's own is half an hour.
    "RequestTimeout": 300,
    # How often the client looks whether time is up.
    "TimeoutResolution": 1,
    # A host that went without a word is noticed while we wait for its answer.
    "TCPKeepAlive": 1,
    "TCPKeepAliveTime": 15,
    "TCPKeepAliveInterval": 5,
    "TCPKeepAliveProbes": 3,
}
"""[s], but for switches and the numbers of tries."""
_LATE_S: Final = 60.0
"""An answer that is so late, after the client's own limit, never comes."""
_AT_WORK: set[Any] = set()


class XRootDError(OSError):
    """What the client said of a request, in its words: `datasets.file_errors` understands them."""


@cache
def tune_client() -> None:
    """Set them; what the user said by a variable (``XRD_CONNECTIONWINDOW``) stays.

    Raises
    ------
    ImportError
        There is no client.
    """
    from XRootD.client import EnvPutInt

    for name, value in SETTINGS.items():
        EnvPutInt(name, value)  # does nothing where a variable was set


class Request:
    """A request to a server, under way.

    Parameters
    ----------
    call : callable
        A method of ``XRootD.client`` that takes a `callback`.
    *arguments : Any
        Its own.
    """

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._answer: Future[tuple[Any, Any]] = Future()
        _AT_WORK.add(self)  # with its file, until it is answered

        def take(status: Any, content: Any, hosts: Any) -> None:
            del hosts
            _AT_WORK.discard(self)
            self._answer.set_result((status, content))

        status = call(*arguments, callback=take)
        if not status.ok:
            take(status, None, None)

    def result(self) -> Any:
        """Wait for the answer; can be interrupted, as calls without callback cannot.

        Raises
        ------
        XRootDError
            It is an error.
        TimeoutError
            There is none.
        """
        from XRootD.client import EnvGetInt

        limit_s = (EnvGetInt("RequestTimeout") or 0) + _LATE_S
        status, content = self._answer.result(limit_s)
        if not status.ok:
            raise XRootDError(f"XRootD: {status.message.strip()}")
        return content


class FileFacts(NamedTuple):
    """What a server says of a file that it has not opened."""

    size_bytes: int
    mtime_s: int


def stat_file(url: str) -> FileFacts:
    """Ask a server about a file.

    Raises
    ------
    XRootDError
        There is none, or it may not be asked.
    """
    from XRootD.client import URL, FileSystem

    tune_client()
    address = URL(url)
    server = FileSystem(f"{address.protocol}://{address.hostid}")
    found = Request(server.stat, address.path_with_params).result()
    return FileFacts(int(found.size), int(found.modtime))
