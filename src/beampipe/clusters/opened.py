"""What makes one of Dask's clusters be open once it is made, or once it is awaited."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Self

from distributed.core import Status
from distributed.deploy import Cluster

from beampipe.clusters.leaving import forget

_LOOP_ENDS_S = 60.0  # Dask's ten are too few where a login node is busy


class OpenedCluster(Cluster):
    """A cluster whose `_start` and `_close` do all there is to do.

    A subclass calls `_open` at the end of its ``__init__``: in a script or a notebook the cluster
    is open then, or everything of it is closed again. In async code it is opened by ``await``.
    """

    def _open(self) -> None:
        if self.called_from_running_loop:
            return
        self._loop_runner.start()
        try:
            self.sync(self._start)  # type: ignore[no-untyped-call]
        except BaseException:
            self.sync(self._close)  # type: ignore[no-untyped-call]
            self._loop_runner.stop(timeout=_LOOP_ENDS_S)
            raise
        self._when_open()

    def _when_open(self) -> None:
        """Do what is left to do, in the thread of whoever has opened it."""

    def __await__(self) -> Generator[Any, None, Self]:
        return self._opened().__await__()

    async def _opened(self) -> Self:
        if self.status == Status.created:
            try:
                await self._start()  # type: ignore[no-untyped-call]
            except BaseException:
                await self._close()  # type: ignore[no-untyped-call]
                raise
            self._when_open()
        return self

    def close(self, timeout: float | None = None) -> Any:
        """Close it, and the event loop that it had for itself."""
        closing = super().close(timeout)
        if not self.asynchronous:
            self._loop_runner.stop(timeout=_LOOP_ENDS_S)
            forget(self)  # in the thread that signals belong to
        return closing
