"""Starts the controller of a named cluster, here or as a job, and waits until it is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import psutil

from beampipe.batch.model import JobDescription
from beampipe.clusters.batch_queue import BatchQueue, read_tail
from beampipe.clusters.cluster_folder import make_tag, state_error
from beampipe.clusters.controller import AS_JOB
from beampipe.clusters.detach import start_detached
from beampipe.clusters.job_wait import wait_for_job
from beampipe.clusters.keepers import find_keeper, find_standing
from beampipe.clusters.named import NamedCluster, Standing, Wish, find_named, list_named, new_named
from beampipe.clusters.site import Site
from beampipe.clusters.strategies import refuse_packed
from beampipe.clusters.worker_job import describe_place, find_dialect, python_of
from beampipe.errors import (
    ClusterExistsError,
    ClusterStartError,
    ClusterUnknownError,
)

_LOOK_S = 0.1
_START_S = 120.0
_CONTROLLER: Final = "beampipe.clusters.controller"
_CONTROLLER_MEMORY = 2 * 2**30


def launch(
    name: str,
    site: Site | None,
    wish: Wish | None,
    *,
    as_job: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> NamedCluster:
    """Start a named cluster, or take over one whose controller died.

    Parameters
    ----------
    name : str
        Its name.
    site : Site or None
        Where; None only for one that is to be taken over.
    wish : Wish or None
        How many workers; None is none, or as many as it had.
    as_job : bool
        Whether scheduler and controller are a job themselves, at that site.
    say : callable
        Told what is waited for.

    Raises
    ------
    ClusterNameError, ClusterExistsError, ClusterStartError, BatchError
        It cannot be started, and why.
    """
    record = _prepare(name, site, wish)
    own = replace(
        record, state=Standing.STARTING, words="", owner={}, controller_job="", server_name=""
    )
    try:
        own.write()
    except OSError as error:
        message = f"Cluster '{name}' cannot be noted in '{own.folder}'."
        raise state_error(message, error) from error
    try:
        keeper = find_keeper(own)
        if keeper is not None:
            _refuse_job(own, as_job=as_job)
            return keeper.start(own, site or own.load_site(), say)
        return _start_as_job(own, say) if as_job else _start_here(own, say)
    except BaseException:
        if not record.tag:  # else there are jobs that belong to it
            own.remove()
        raise


def _prepare(name: str, site: Site | None, wish: Wish | None) -> NamedCluster:
    """The record of a new cluster, or of the one to be taken over."""
    known = next((each for each in list_named() if each.name == name), None)
    standing = None if known is None else find_standing(known)
    if known is not None and standing in {Standing.RUNNING, Standing.STARTING, Standing.UNKNOWN}:
        raise ClusterExistsError(
            f"A cluster '{name}' is there already.",
            why=f"it is {standing}, at {known.site}",
            fix=f"connect to it, choose another name, or `beampipe cluster down {name}`",
        )
    if known is None:
        if site is None:
            raise ClusterUnknownError(
                f"There is no cluster '{name}' to be taken over.",
                fix=f"say where it is to run: `beampipe cluster up {name} --on SITE`",
                known=[each.name for each in list_named()],
            )
        return new_named(name, site, wish or Wish(), began_at=time.time())
    if site is not None and site.name != known.site:
        raise ClusterExistsError(
            f"A cluster '{name}' is there already, at {known.site}.",
            why="its controller died; its jobs may still be there",
            fix=f"take it over (`beampipe cluster up {name}`), or end what is left of it "
            f"(`beampipe cluster down {name}`)",
        )
    return known if wish is None else replace(known, wish=wish)


def _refuse_job(record: NamedCluster, *, as_job: bool) -> None:
    if as_job:
        raise ClusterStartError(
            f"The scheduler of cluster '{record.name}' cannot be a job of ours.",
            why=f"a {record.provider} runs the schedulers of its clusters itself",
            fix="leave out `--scheduler job`",
        )


def _start_here(record: NamedCluster, say: Callable[[str], None]) -> NamedCluster:
    controller = [sys.executable, "-P", "-m", _CONTROLLER, record.name]
    pid = start_detached(controller, record.log)
    say(f"waiting for the scheduler of '{record.name}' (process {pid})")
    try:
        return _wait_for_process(record, pid)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)  # it ends what it has begun
        raise


def _wait_for_process(record: NamedCluster, pid: int) -> NamedCluster:
    give_up = time.monotonic() + _START_S
    while time.monotonic() < give_up:
        found = _reread(record)
        if found.state == Standing.RUNNING and found.owner.get("pid") == pid:
            return found
        if not psutil.pid_exists(pid):
            raise _not_started(record)
        time.sleep(_LOOK_S)
    raise _not_started(record, f"it was not ready within {_START_S:.0f} s")


def _reread(record: NamedCluster) -> NamedCluster:
    try:
        return find_named(record.name)
    except ClusterUnknownError:  # it ended, and is cleaned up
        return record


def _not_started(record: NamedCluster, why: str = "") -> ClusterStartError:
    found = _reread(record)
    log = read_tail(record.log)
    return ClusterStartError(
        f"Cluster '{record.name}' did not start.",
        why=why or found.words or log or "its process ended without a word",
        fix=f"see `beampipe cluster preview --on {record.site}`",
    )


# -- as a job -----------------------------------------------------------------------------------


def _start_as_job(record: NamedCluster, say: Callable[[str], None]) -> NamedCluster:
    site = record.load_site()
    refuse_packed(site, "a scheduler")
    queue = controller_queue(record, site)
    queue.check_commands()
    return asyncio.run(_submit_and_wait(record, queue, say))


def controller_queue(record: NamedCluster, site: Site) -> BatchQueue:
    """The queue, asked for the job that a cluster's controller is.

    Raises
    ------
    ProviderError
        ``cluster-provider``: the site has no batch system that Beampipe speaks.
    """
    job = JobDescription(
        name=f"{record.name} (scheduler)",
        tag=make_tag(f"{record.name}-scheduler"),
        command=(*python_of(site), "-P", "-m", _CONTROLLER, record.name, AS_JOB),
        log_folder=record.folder,
        **describe_place(site)
        | {
            "cores": 1,
            "memory_bytes": _CONTROLLER_MEMORY,
            "environment": {**site.variables, **_state_variable()},
        },
    )
    return BatchQueue(find_dialect(site), job, record.folder / "controller.sh")


def _state_variable() -> dict[str, str]:
    """Where the job is to look for the record: in the same place as this process."""
    given = os.environ.get("XDG_STATE_HOME")
    return {"XDG_STATE_HOME": given} if given else {}


async def _submit_and_wait(
    record: NamedCluster, queue: BatchQueue, say: Callable[[str], None]
) -> NamedCluster:
    (job_id,) = await queue.submit(1)
    try:
        await wait_for_job(
            queue, job_id, lambda: _is_ready(record, job_id), what="the scheduler", say=say
        )
        return _reread(record)
    except BaseException:
        await queue.cancel((job_id,))
        raise


def _is_ready(record: NamedCluster, job_id: str) -> bool:
    found = _reread(record)
    if found.controller_job == job_id and found.state == Standing.FAILED:
        raise _not_started(record)
    return found.controller_job == job_id and found.state == Standing.RUNNING
