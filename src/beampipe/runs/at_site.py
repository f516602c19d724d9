"""A client of workers at a site, for as long as one run lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from beampipe.clusters.opening import cluster
from beampipe.errors import WorkersLostError

if TYPE_CHECKING:
    from distributed import Client

_MOST_WORKERS = 100


@contextlib.contextmanager
def client_at(site: str, n_workers: int | None) -> Iterator[Client]:
    """Get workers at a site.

    Parameters
    ----------
    site : str
        Its name.
    n_workers : int or None
        How many; None is as many as there is work for, 100 at most.

    Raises
    ------
    JobsFailError
        ``cluster-jobs-fail``: its jobs fail again and again, which ended what was under way.
    """
    with cluster(site) as workers:
        if n_workers is None:
            workers.adapt(minimum=0, maximum=_MOST_WORKERS)
        else:
            workers.scale(n_workers)
        with workers.get_client() as client:
            try:
                yield client
            except WorkersLostError as error:
                failure = getattr(workers, "failure", None)
                if failure is not None:
                    raise failure from error
                raise
