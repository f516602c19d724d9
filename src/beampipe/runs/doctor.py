"""`beampipe doctor`: measures what makes a first day at a site fail, here and on a worker."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from beampipe.checks import Finding
from beampipe.clusters.batch_queue import find_missing_commands
from beampipe.clusters.condor_bindings import describe_way, explain_missing
from beampipe.clusters.opening import cluster, resolve_site
from beampipe.clusters.probe import measure_worker
from beampipe.clusters.seen_folders import note_seen
from beampipe.clusters.site import GATEWAY, Site
from beampipe.clusters.site_folders import is_unseen, unseen_error
from beampipe.clusters.strategies import choose_strategy, describe_strategy
from beampipe.clusters.ways import CHECK, find_no_way
from beampipe.clusters.worker_job import find_dialect
from beampipe.datasets.fileset import read_fileset
from beampipe.datasets.urls import is_remote
from beampipe.environments.version_gate import ask_versions, find_mismatches
from beampipe.errors import BeampipeError, ClusterError, GatewayStartError
from beampipe.execution.processors import Processor, load_processor
from beampipe.execution.shipping import pickle_processor
from beampipe.runs.doctor_admission import examine_admission
from beampipe.runs.doctor_gateway import examine_gateway
from beampipe.runs.doctor_ports import (
    NO_WAY_REMEDY,
    examine_ports,
    find_deaf_worker,
    wait_for_worker,
)
from beampipe.runs.doctor_storage import examine_storage_here, examine_storage_there

_LEAST_SCRATCH_BYTES: Final = 2 * 10**9
_DOORS: Final = ("batch-commands", "gateway")
_CLOCK_S: Final = 5.0
_MOST_PATHS: Final = 200
_SHORT_OF: Final = 0.95  # a limit is rarely the round number that was asked for


@dataclass(slots=True)
class _Patient:
    """What is examined."""

    site: Site
    processor: Processor | None = None
    paths: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)


def examine(
    site: str | None,
    *,
    processor: Any = None,
    fileset: Any = None,
    patience_s: float = 60.0,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Finding]:
    """Examine a site, by itself or with an analysis that is to run there.

    Parameters
    ----------
    site : str, optional
        Its name; without one the site of this host.
    processor, fileset : optional
        As for `beampipe.run`: whether workers can import the one and see the other.
    patience_s : float
        How long is waited for a worker [s].
    say : callable
        Told what is waited for.

    Yields
    ------
    Finding
        As soon as each is known. What could not be checked is a warning that says so.
    """
    try:
        profile = resolve_site(site)
    except ClusterError as error:
        yield _from_error("site-profile", error)
        return
    yield Finding("site-profile", "ok", f"site '{profile.name}': {profile.description or '-'}")
    try:
        yield Finding("environment", "ok", describe_strategy(profile))
    except ClusterError as error:
        yield _from_error("environment", error)
        return
    patient = _Patient(profile)
    is_fine = True
    for finding in _examine_here(patient, processor, fileset):
        yield finding
        is_fine &= finding.code not in _DOORS or finding.status != "error"
    if is_fine:
        with _quiet_dask():
            yield from _examine_worker(patient, patience_s, say)
    else:
        yield _unchecked("worker", "no worker can be had from here")


# -- here ---------------------------------------------------------------------------------------


def _examine_here(patient: _Patient, processor: Any, fileset: Any) -> Iterator[Finding]:
    site = patient.site
    if site.provider == "batch":
        dialect = find_dialect(site)
        missing = find_missing_commands(dialect)
        yield (
            Finding("batch-commands", "ok", describe_way(dialect))
            if not missing
            else Finding(
                "batch-commands",
                "error",
                explain_missing(dialect, missing),
                f"go to a host from which jobs of {site.batch_system} can be submitted",
            )
        )
        if not missing:
            yield from examine_admission(site)
    if site.provider == GATEWAY:
        yield from examine_gateway(site)
    if processor is not None:
        try:
            patient.processor = load_processor(processor)
            yield Finding("processor", "ok", f"{patient.processor.name} can be loaded here")
        except BeampipeError as error:
            yield _from_error("processor", error)
    urls: list[str] = []
    if fileset is not None:
        try:
            found = read_fileset(fileset)
        except BeampipeError as error:
            yield _from_error("fileset", error)
        else:
            files = [file for dataset in found.values() for file in dataset.files]
            urls = [file.urls[0] for file in files]
            patient.paths = [url for url in urls if not is_remote(url)]
            patient.urls = [url for file in files for url in file.urls if is_remote(url)]
            yield from _look_at_files(patient.paths, n_remote=len(urls) - len(patient.paths))
            if unseen := [path for path in patient.paths if is_unseen(site, path)]:
                what = f"{len(unseen)} of {len(urls)} files"
                yield _from_error("folders", unseen_error(site, unseen, what))
    yield from _look_at_credentials(site, urls)
    yield from examine_storage_here(patient.urls)


def _look_at_credentials(site: Site, urls: list[str]) -> Iterator[Finding]:
    """Whether proxy and token last for as long as one of the site's jobs does."""
    from beampipe.environments.credential_checks import examine_credentials

    yield from examine_credentials(urls, needed_s=site.walltime or 0.0)


def _look_at_files(paths: list[str], *, n_remote: int) -> Iterator[Finding]:
    missing = [path for path in paths if not Path(path).exists()]
    if missing:
        fact = f"{len(missing)} of {len(paths)} local files are not here, as '{missing[0]}'"
        yield Finding("fileset", "error", fact, "correct the fileset: `beampipe plan` lists them")
    else:
        remote = f", and {n_remote} are behind URLs" if n_remote else ""
        yield Finding("fileset", "ok", f"{len(paths)} local files are here{remote}")


# -- on a worker --------------------------------------------------------------------------------


def _examine_worker(
    patient: _Patient, patience_s: float, say: Callable[[str], None]
) -> Iterator[Finding]:
    """Get one worker as a run would, and look around there."""
    begin = time.monotonic()
    site = patient.site
    # A job that cannot reach the scheduler says so at once, instead of waiting for it.
    is_batch = site.provider == "batch"
    checked: dict[str, Any] = {"variables": {**site.variables, CHECK: "1"}} if is_batch else {}
    if site.provider == GATEWAY:  # which waits for it before there is a cluster
        checked = {"start_timeout": f"{max(min(site.start_timeout, patience_s), 1):g} s"}
    try:
        with cluster(site.name, n_workers=1, name="doctor", **checked) as workers:
            trouble = wait_for_worker(workers, patience_s, say)
            took_s = time.monotonic() - begin
            if isinstance(trouble, Finding):
                yield trouble
            elif trouble is not None:
                yield _no_worker(patience_s, trouble)
            else:
                yield Finding("worker", "ok", f"a worker was connected after {took_s:.0f} s")
                if is_batch and choose_strategy(site).kind == "shared":
                    note_seen(site.name, sys.prefix, is_seen=True)
                with workers.get_client() as client:
                    if not is_batch:
                        yield from _look_around(patient, client)
                    elif (deaf := find_deaf_worker(site, client)) is not None:
                        yield deaf
                        yield _unchecked("worker", "it cannot be asked anything")
                    else:
                        yield from examine_ports(site, workers.contact, client)
                        yield from _look_around(patient, client)
    except GatewayStartError as error:
        is_late = error.facts.get("status") == "pending"
        yield _no_worker(patience_s, error.why) if is_late else _from_error("worker", error)
    except BeampipeError as error:
        no_way = find_no_way([error.why])
        yield (
            Finding("scheduler-ports", "error", f"no way from {no_way}", NO_WAY_REMEDY)
            if no_way
            else _from_error("worker", error)
        )


def _no_worker(patience_s: float, reason: str) -> Finding:
    return Finding(
        "worker",
        "warning",
        f"no worker within {patience_s:.0f} s, so nothing was checked there; {reason or 'no word'}",
        "see `beampipe cluster preview`; wait for longer with --wait, or when the queue is emptier",
    )


def _look_around(patient: _Patient, client: Any) -> Iterator[Finding]:
    yield from _compare_versions(client)
    sent_at = time.time()
    site = patient.site
    named = [*site.shared_folders, *site.client_folders]
    (facts,) = client.run(measure_worker, patient.paths[:_MOST_PATHS], named).values()
    back_at = time.time()
    yield Finding("worker-host", "ok", f"{facts['host']}, {facts['python']}")
    yield from _judge_resources(site, facts)
    yield _judge_clock("worker", facts["time"], sent_at, back_at)
    if site.provider == GATEWAY:
        sent_at = time.time()
        there = client.run_on_scheduler(time.time)
        yield _judge_clock("scheduler", there, sent_at, time.time())
    if facts["ends_at"] is not None:
        left_min = (facts["ends_at"] - facts["time"]) / 60
        yield Finding("walltime", "ok", f"the job has {left_min:.0f} minutes left")
    if named:
        yield _judge_folders(site, facts["folders"])
    if patient.paths:
        yield _judge_paths(patient.paths[:_MOST_PATHS], facts["unseen"])
    yield from _read_there(patient, client)
    if patient.processor is not None:
        yield _try_processor(patient.processor, client)


def _read_there(patient: _Patient, client: Any) -> Iterator[Finding]:
    """Files behind URLs, from the worker; a proxy or token that cannot be sent is told, too."""
    notes: list[str] = []
    try:
        yield from examine_storage_there(patient.urls, client, tell=notes.append)
    except (OSError, TimeoutError) as error:
        yield _unchecked("storage-worker", str(error) or "no answer in time")
    for note in notes:
        yield Finding("storage-worker", "warning", note, "see the findings `proxy` and `token`")


def _compare_versions(client: Any) -> Iterator[Finding]:
    try:
        found = find_mismatches(ask_versions(client))
    except (OSError, TimeoutError) as error:
        yield _unchecked("versions", str(error) or "no answer")
        return
    for one in found:
        remedy = f"install {one.package} {one.ours} on both sides"
        yield Finding("versions", "error" if one.is_fatal else "warning", str(one), remedy)
    if not found:
        yield Finding("versions", "ok", "client, scheduler and worker have the same versions")


def _judge_resources(site: Site, facts: Mapping[str, Any]) -> Iterator[Finding]:
    limit = facts["memory_bytes"]
    asked = f"{site.memory / 1e9:.1f} GB"
    if limit is None:
        yield Finding(
            "memory", "ok", f"no limit of memory holds for the job; {asked} were asked for"
        )
    elif limit < _SHORT_OF * site.memory:
        fact = f"the job may use {limit / 1e9:.1f} GB of memory, and {asked} were asked for"
        yield Finding("memory", "error", fact, f"set `memory` of site '{site.name}' to that")
    else:
        yield Finding("memory", "ok", f"the job may use {limit / 1e9:.1f} GB of memory")
    if facts["cores"] < site.cores and site.provider == "batch":
        fact = f"the job may use {facts['cores']} cores, and {site.cores} were asked for"
        yield Finding("cores", "warning", fact, f"set `cores` of site '{site.name}' to that")
    free = facts["scratch_bytes"]
    fact = f"{free / 1e9:.1f} GB are free in {facts['scratch']}"
    if free < _LEAST_SCRATCH_BYTES:
        yield Finding("scratch", "warning", fact, "set `local_directory` to a larger place")
    else:
        yield Finding("scratch", "ok", fact)


def _judge_clock(whose: str, there: float, sent_at: float, back_at: float) -> Finding:
    ahead_s = there - back_at if there > back_at else min(there - sent_at, 0.0)
    if abs(ahead_s) > _CLOCK_S:
        fact = f"the {whose}'s clock is {ahead_s:+.0f} s off this host's"
        return Finding("clock", "warning", fact, "tell the site: certificates and tokens will fail")
    return Finding("clock", "ok", f"the {whose}'s clock agrees with this host's")


def _judge_folders(site: Site, seen: Collection[str]) -> Finding:
    """Whether the profile is right in what it says of folders."""
    missing = [folder for folder in site.shared_folders if folder not in seen]
    if missing:
        fact = f"the worker does not see {', '.join(missing)}, which the profile says it does"
        return Finding("folders", "error", fact, f"correct `shared_folders` of '{site.name}'")
    # A folder of the same name may be another one: what lies in it tells.
    there = [folder for folder in site.client_folders if folder in seen]
    also = f"; {', '.join(there)} is there too, though it may be another one" if there else ""
    return Finding(
        "folders", "ok", f"the worker sees {', '.join(site.shared_folders) or 'no folder'}{also}"
    )


def _judge_paths(paths: list[str], unseen: Mapping[str, str]) -> Finding:
    if not unseen:
        return Finding("paths", "ok", f"the worker reads all {len(paths)} files that were tried")
    path, reason = next(iter(unseen.items()))
    return Finding(
        "paths",
        "error",
        f"the worker cannot read {len(unseen)} of {len(paths)} files: '{path}': {reason}",
        "put them where workers see them, or name them by a URL (root://, https://)",
    )


def _try_processor(processor: Processor, client: Any) -> Finding:
    try:
        client.run(_unpack, pickle_processor(processor, None))
    except BeampipeError as error:
        return _from_error("imports", error)
    except Exception as error:  # noqa: BLE001 (unpickling imports, and runs any code)
        return Finding(
            "imports",
            "error",
            f"the worker cannot import {processor.name}: {type(error).__name__}: {error}",
            "install what is missing in the environment of the workers",
        )
    return Finding("imports", "ok", f"the worker imports {processor.name}")


def _unpack(packed: bytes) -> None:
    import cloudpickle

    cloudpickle.loads(packed)


@contextlib.contextmanager
def _quiet_dask() -> Iterator[None]:
    """Keep what Dask says of its connections from standing between findings."""
    import distributed  # noqa: F401 (sets its own level when it is imported)

    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


# -- shared -------------------------------------------------------------------------------------


def _from_error(code: str, error: BeampipeError) -> Finding:
    fact = f"{error.message} {error.why}".strip()
    return Finding(code, "error", fact, error.fix or f"see docs/reference/errors.md#{error.code}")


def _unchecked(code: str, why: str) -> Finding:
    return Finding(code, "warning", f"not checked: {why}", "mend what is above, and try again")
