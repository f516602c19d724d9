"""What a gateway's jobs wrote, where their folder can be seen from here.

A gateway with a batch system behind it lets each scheduler and worker write into a folder of its
user, by default ``~/.dask-gateway/CLUSTER``, and removes it as soon as the cluster is over. So what
a scheduler says that cannot start is read while one waits for it, or never.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from beampipe.clusters.batch_queue import read_tail
from beampipe.clusters.site import Site

_LOOK_S = 0.3


def find_log_folder(site: Site, cluster: str) -> Path | None:
    """The folder of a cluster's logs; None where it is not there, or not to be seen."""
    if not site.gateway_logs or not cluster:
        return None
    with contextlib.suppress(OSError, RuntimeError):  # no such user, no permission
        folder = Path(site.gateway_logs).expanduser() / cluster
        return folder if folder.is_dir() else None
    return None


def read_logs(site: Site, cluster: str) -> dict[str, str]:
    """The end of each log of a cluster's jobs, by its file's name; empty ones are left out."""
    folder = find_log_folder(site, cluster)
    if folder is None:
        return {}
    with contextlib.suppress(OSError):
        tails = {path.name: read_tail(path) for path in sorted(folder.glob("*.log"))}
        return {name: text for name, text in tails.items() if text}
    return {}


class LogWatch:
    """Keeps the end of a scheduler's log, which is gone as soon as the gateway gives it up."""

    def __init__(self, site: Site, cluster: str) -> None:
        self.site, self.cluster = site, cluster
        self.tail = ""

    def look(self) -> None:
        """Read it once more; what is gone is kept as it was."""
        for name, text in read_logs(self.site, self.cluster).items():
            if name.startswith("dask-scheduler"):
                self.tail = text


@contextlib.asynccontextmanager
async def watched_log(site: Site, cluster: str) -> AsyncIterator[LogWatch]:
    """Watch the log of a cluster's scheduler while it starts."""
    watch = LogWatch(site, cluster)

    async def go_on_looking() -> None:
        while True:
            watch.look()
            await asyncio.sleep(_LOOK_S)

    task = asyncio.create_task(go_on_looking())
    try:
        yield watch
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
