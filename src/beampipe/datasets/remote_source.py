"""Through what uproot reads files behind URLs; imports uproot, so only where files are read."""

from __future__ import annotations

from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

from uproot.source.chunk import Source
from uproot.source.fsspec import FSSpecLoopExecutor, FSSpecSource

from beampipe.datasets.remote_options import storage_options
from beampipe.datasets.urls import is_xrootd


def source_of(url: str) -> type[Source]:
    """Give the class through which a remote file is read.

    Parameters
    ----------
    url : str
        Of the file.

    Returns
    -------
    type
        A handler for ``uproot.open``.
    """
    if is_xrootd(url):
        from beampipe.datasets.xrootd_source import XRootDSource

        return XRootDSource
    return RemoteSource


class RemoteSource(FSSpecSource):  # type: ignore[misc]  # uproot ships no types
    """uproot's own source, which raises what went wrong.

    Of several byte ranges fsspec returns the bytes or, in their place, an exception; uproot
    5.7 slices that like bytes, and the error that comes out is a TypeError ("'ClientResponseError'
    object is not subscriptable") with nothing behind it.
    """

    def _open(self) -> None:
        for name, value in storage_options(self._file_path_orig).items():
            self._fsspec_options.setdefault(name, value)
        super()._open()
        self._executor = _RaisingExecutor()


class _RaisingExecutor(FSSpecLoopExecutor):  # type: ignore[misc]  # uproot ships no types
    """Runs requests of several ranges, each of which is bytes or an exception."""

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Start a request in fsspec's thread."""
        future: Future[Any] = super().submit(_raise_first(coroutine))
        return future


async def _raise_first(request: Coroutine[Any, Any, Any]) -> Any:
    answers = await request
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers
