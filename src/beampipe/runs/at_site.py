"""A client of workers at a site, for as long as one run lasts, or of a cluster that stays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beampipe.clusters.connecting import connect
from beampipe.clusters.opening import cluster
from beampipe.clusters.site_files import load_site
from beampipe.clusters.site_folders import check_seen
from beampipe.datasets.fileset import read_fileset
from beampipe.datasets.urls import is_remote
from beampipe.environments.inputs import find_unsent
from beampipe.errors import WorkersLostError
from beampipe.runs.reusing import absolute_paths

if TYPE_CHECKING:
    from distributed import Client

_MOST_WORKERS = 100


def check_files_at(site: str, fileset: Any, inputs: Iterable[str | Path] = ()) -> None:
    """See whether workers of a site can see the files of a run, as far as its profile says.

    Raises
    ------
    SiteFoldersError
        ``site-folders``: there are files that only the client sees.
    """
    profile = load_site(site)
    if not profile.client_folders:
        return
    files = [file for dataset in read_fileset(fileset).values() for file in dataset.files]
    local = [file.urls[0] for file in files if not any(map(is_remote, file.urls))]
    check_seen(profile, local, f"of {len(files)} files")
    # What is smaller goes along with the run.
    check_seen(profile, find_unsent(absolute_paths(inputs)), "inputs, too large to be sent")


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
