"""The doctor's look at ports: those of a site's profile, one by one, from either side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from beampipe.checks import Finding
from beampipe.clusters.site import Ports, Site
from beampipe.clusters.ways import (
    choose_ports,
    close_ports,
    describe_ports,
    find_no_way,
    open_ports,
    split_address,
    try_port,
    try_ports,
)

_LOOK_S: Final = 0.25


def examine_ports(site: Site, contact: str, client: Any) -> Iterator[Finding]:
    """Try the ports of a site's profile between this host and one worker.

    Parameters
    ----------
    site : Site
    contact : str
        The address by which workers call the scheduler, which runs on this host.
    client : distributed.Client
        Of one worker.

    Yields
    ------
    Finding
        ``scheduler-ports``: from the worker to here; ``worker-ports`` and, where the profile has
        them, ``nanny-ports``: from here to the worker.
    """
    here, there = split_address(contact)[0], find_worker(client)[0]
    begun = open_ports(choose_ports(site.scheduler_ports))
    try:
        (closed,) = client.run(try_ports, here, begun).values()
    finally:
        close_ports()
    yield _judge(site, "scheduler_ports", begun, closed, f"from worker node {there} to {here}")
    for key in ("worker_ports", "nanny_ports"):
        ports = getattr(site, key)
        if key == "nanny_ports" and not ports[0]:
            continue
        try:
            (begun,) = client.run(open_ports, choose_ports(ports)).values()
            closed = try_ports(there, begun)
        finally:
            client.run(close_ports)
        yield _judge(site, key, begun, closed, f"from this host to worker node {there}")


def find_worker(client: Any) -> tuple[str, int]:
    """Host and port of the one worker."""
    return split_address(next(iter(client.scheduler_info(n_workers=-1)["workers"])))


def find_deaf_worker(site: Site, client: Any) -> Finding | None:
    """The finding of a worker that has reached the scheduler, and is not reached by anybody.

    It would look as if it worked, and never answer.
    """
    host, port = find_worker(client)
    why = try_port(host, port)
    if not why:
        return None
    fact = f"a worker is connected, and cannot be reached itself from here at {host} port {port}"
    return Finding(
        "worker-ports", "error", f"{fact}: {why}", _advise(site, "worker_ports", (), (0, 0))
    )


def _judge(
    site: Site, key: str, tried: Sequence[int], closed: Mapping[int, str], way: str
) -> Finding:
    """Say which of the ports that were tried are closed, and what to do."""
    code, ports = key.replace("_", "-"), getattr(site, key)
    which = f"of {describe_ports(range(ports[0], ports[1] + 1))}" if ports[0] else "any"
    if not tried:
        fact = f"not checked: somebody listens on every port {which}"
        return Finding(code, "warning", fact, f"widen `{key}` of site '{site.name}'")
    if not closed:
        return Finding(code, "ok", f"{len(tried)} ports ({which}) can be reached {way}")
    why = next(iter(closed.values()))
    fact = (
        f"{len(closed)} of {len(tried)} ports cannot be reached {way}: "
        f"{describe_ports(closed)} ({why})"
    )
    return Finding(code, "error", fact, _advise(site, key, sorted(set(tried) - set(closed)), ports))


def _advise(site: Site, key: str, fine: Sequence[int], ports: Ports) -> str:
    if not ports[0]:
        return f"ask the site which ports are open between its nodes, and set `{key}` to these"
    if not fine:
        return f"ask the site to open them, or for others that are: `{key}` of site '{site.name}'"
    best = _longest_run(fine)
    return f"set `{key} = \"{best[0]}:{best[1]}\"` of site '{site.name}', or have the others opened"


def _longest_run(ports: Sequence[int]) -> Ports:
    """The longest run of ports that were tried one after the other."""
    best = start = (ports[0], ports[0])
    for port in ports[1:]:
        start = (start[0], port) if port == start[1] + 1 else (port, port)
        best = max(best, start, key=lambda run: run[1] - run[0])
    return best


def wait_for_worker(
    workers: Any, patience_s: float, say: Callable[[str], None]
) -> Finding | str | None:
    """Wait for a worker as long as there is patience.

    Returns
    -------
    Finding, str or None
        None if it is there; what is to be said if its job runs and cannot reach the scheduler; else
        why it is not there, as far as the queue says.

    Raises
    ------
    BeampipeError
        There will be none.
    """
    describe = getattr(workers, "describe_jobs", lambda: "")
    give_up = time.monotonic() + patience_s
    told = ""
    while time.monotonic() < give_up:
        if workers.scheduler_info["workers"]:
            return None
        if no_way := find_no_way(_written_by_jobs(workers)):
            return Finding("scheduler-ports", "error", f"no way from {no_way}", NO_WAY_REMEDY)
        if (failure := getattr(workers, "failure", None)) is not None:
            raise failure
        if (words := describe()) != told:
            told = words
            say(words)
        time.sleep(_LOOK_S)
    return str(describe())


NO_WAY_REMEDY: Final = (
    "if that is a firewall: set `scheduler_ports` to what the site opens towards the host of the "
    "scheduler; if the address is wrong: set `contact_address` or `interface`; else go to a host "
    "that worker nodes reach, or have the scheduler as a job (`cluster up --scheduler job`)"
)


def _written_by_jobs(workers: Any) -> Iterable[str]:
    tail = getattr(workers, "job_tail", None)
    return () if tail is None else (tail(job.job_id) for job in workers.jobs())
