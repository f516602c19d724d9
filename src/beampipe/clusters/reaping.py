"""Ends clusters from outside, and finds jobs that nobody looks after any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

from beampipe.batch.registry import DIALECTS
from beampipe.clusters.batch_queue import ALIVE, end_jobs, find_missing_commands, look_into
from beampipe.clusters.cluster_folder import find_folder
from beampipe.clusters.condor_bindings import choose_dialect
from beampipe.clusters.connecting import ConnectedCluster
from beampipe.clusters.job_leases import JobLease, is_our_tag, read_leases
from beampipe.clusters.keepers import find_keeper
from beampipe.clusters.named import NamedCluster, Standing
from beampipe.errors import BatchError, ClusterError, ClusterGoneError
from beampipe.process_identity import is_alive, is_known_here

_END_S = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Jobs of one cluster that nobody looks after.

    Attributes
    ----------
    system, tag : str
        Their batch system, and what they carry.
    job_ids : tuple of str
    cluster : str
        Its name; empty where nothing is known of it here.
    """

    system: str
    tag: str
    job_ids: tuple[str, ...]
    cluster: str = ""


def take_down(record: NamedCluster) -> list[str]:
    """End a named cluster: by what keeps it, or what is left of one whose controller died.

    Returns
    -------
    list of str
        Tags of jobs that could not be ended, because the queue gave no answer.

    Raises
    ------
    ClusterGoneError
        ``cluster-gone``: its controller lives elsewhere, and does not answer.
    GatewayUnreachableError, GatewayAnswerError, GatewayAccessError
        There is no way to its gateway.
    """
    keeper = find_keeper(record)
    if keeper is not None:
        keeper.end(record)
        return []
    if record.standing is Standing.RUNNING:
        try:
            with ConnectedCluster(record) as cluster:
                cluster.shut_down()
        except ClusterGoneError:
            if not _end_process(record):
                raise
        if _wait_until_gone(record):
            return []
        _end_process(record)
    elif record.standing is Standing.STARTING:
        _end_process(record)
        _wait_until_gone(record)
    left = _end_what_is_left(record)
    if not left:
        record.remove()
    return left


def _end_process(record: NamedCluster) -> bool:
    """Tell a controller on this host to end; whether there was one that could be told."""
    if not (record.owner and is_known_here(record.owner) and is_alive(record.owner)):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(record.owner["pid"]), signal.SIGTERM)
    return True


def _wait_until_gone(record: NamedCluster) -> bool:
    """Wait for its controller to clean up."""
    give_up = time.monotonic() + _END_S
    while time.monotonic() < give_up:
        if not record.exists():
            return True
        if is_known_here(record.owner) and not is_alive(record.owner):
            return False
        time.sleep(0.1)
    return False


def _end_what_is_left(record: NamedCluster) -> list[str]:
    """End jobs that a controller has left behind."""
    if not record.tag:
        return []
    site = record.load_site()
    orphans = Orphans(system=site.batch_system, tag=record.tag, job_ids=())
    if not end_orphans(orphans):
        return [record.tag]
    find_folder(site, record.tag).remove()
    return []


def find_orphans() -> Iterator[Orphans | str]:
    """Look into the queue of every batch system that is here for jobs without a living cluster.

    Yields
    ------
    Orphans or str
        Jobs, by cluster; or why a queue could not be asked.
    """
    leases = read_leases()
    living = {tag for tag, lease in leases.items() if lease.is_alive}
    for dialect in filter(None, map(choose_dialect, DIALECTS)):
        if find_missing_commands(dialect):
            continue
        try:
            found = asyncio.run(look_into(dialect))
        except BatchError as error:
            yield f"{dialect.name}: {error.message} {error.why}"
            continue
        by_tag: dict[str, list[str]] = {}
        for job_id, status in found.items():
            if is_our_tag(status.tag) and status.state in ALIVE and status.tag not in living:
                by_tag.setdefault(status.tag, []).append(job_id)
        for tag, job_ids in by_tag.items():
            name = leases[tag].name if tag in leases else ""
            yield Orphans(system=dialect.name, tag=tag, job_ids=tuple(job_ids), cluster=name)


def end_orphans(orphans: Orphans) -> bool:
    """End all jobs of a cluster that is no more; whether none are left."""
    dialect = choose_dialect(orphans.system)
    if dialect is None:
        raise ClusterError(
            f"Jobs of '{orphans.tag}' cannot be ended.",
            why=f"Beampipe does not speak the language of {orphans.system}",
        )
    ended = asyncio.run(end_jobs(dialect, orphans.tag, orphans.job_ids))
    if ended:
        JobLease.remove(orphans.tag)
    return ended
