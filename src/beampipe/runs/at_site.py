"""A client of workers at a site, for as long as one run lasts, or of a cluster that stays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from beampipe.clusters.connecting import connect
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
    ClusterGoneError
        ``cluster-gone``: a gateway ended it.
    """
    with cluster(site) as workers:
        if n_workers is None:
            workers.adapt(minimum=0, maximum=_MOST_WORKERS)
        else:
            workers.scale(n_workers)
        with workers.get_client() as client, _explained(workers):
            yield client


@contextlib.contextmanager
def client_of(name: str, n_workers: int | None) -> Iterator[Client]:
    """Get workers of a named cluster, which stays.

    Parameters
    ----------
    name : str
        Its name.
    n_workers : int or None
        How many it is to have from now on; None leaves that as it is.

    Raises
    ------
    ClusterUnknownError, ClusterGoneError
        There is none, or it does not answer.
    """
    with connect(name) as workers, workers.get_client() as client, _explained(workers):
        if n_workers is not None:
            workers.scale(n_workers)
        yield client


@contextlib.contextmanager
def _explained(workers: Any) -> Iterator[None]:
    """Say why workers went away, if their cluster knows."""
    try:
        yield
    except WorkersLostError as error:
        failure = getattr(workers, "failure", None)
        if failure is not None:
            raise failure from error
        raise
