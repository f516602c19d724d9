"""From a site's profile to the job that is submitted."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from beampipe.batch.model import Dialect, JobDescription
from beampipe.batch.registry import DIALECTS
from beampipe.clusters.cluster_folder import ClusterFolder
from beampipe.clusters.condor_bindings import choose_dialect
from beampipe.clusters.site import Ports, Site
from beampipe.clusters.strategies import choose_strategy, plan_for
from beampipe.errors import ProviderError

# Its results go to others before it ends (by name: it belongs to a room further up).
_PRELOAD = "beampipe.execution.preload"
_DEATH_TIMEOUT_S = 120


def find_dialect(site: Site) -> Dialect:
    """The language of a site's batch system.

    Raises
    ------
    ProviderError
        ``cluster-provider``: it is not spoken yet.
    """
    dialect = choose_dialect(
        site.batch_system, use_bindings=site.use_bindings, directives=site.directives
    )
    if dialect is None:
        raise ProviderError(
            f"Beampipe does not speak the language of {site.batch_system} yet.",
            why=f"site '{site.name}' has it as its `batch_system`",
            fix=f"those it speaks: {', '.join(DIALECTS)}; elsewhere start a Dask cluster yourself "
            "and pass `client=`",
            known=tuple(DIALECTS),
        )
    return dialect


def describe_job(
    site: Site, *, tag: str, folder: ClusterFolder, scheduler: str, name: str = "", count: int = 1
) -> JobDescription:
    """Describe the jobs of a cluster's workers.

    Parameters
    ----------
    site : Site
    tag : str
        The cluster's.
    folder : ClusterFolder
        The cluster's.
    scheduler : str
        The address that workers are to call.
    name : str
        The cluster's, for people.
    count : int
        How many jobs.
    """
    sends = site.key_files == "transfer"
    keys = (folder.certificate, folder.key) if sends and site.tls else ()
    packed = packed_files(site, folder)
    return JobDescription(
        name=name or tag,
        tag=tag,
        command=_command(site, folder, scheduler, packed),
        log_folder=folder.logs,
        files=(*keys, *packed) if sends else (),
        count=count,
        signal_ahead_s=_signal_ahead(site),
        **describe_place(site),
    )


def describe_place(site: Site) -> dict[str, Any]:
    """What a site says of each of its jobs, whatever that runs; for a `JobDescription`."""
    return {
        "cores": site.cores,
        "memory_bytes": site.memory,
        "walltime_s": None if site.walltime is None else round(site.walltime),
        "queue": site.queue,
        "account": site.account,
        "directives": site.directives,
        "environment": dict(site.variables),
        "prologue": site.prologue,
    }


def _signal_ahead(site: Site) -> int | None:
    if not site.signal_ahead:
        return None
    if site.walltime is not None and site.signal_ahead >= site.walltime / 2:
        return None  # a short job would be told as soon as it begins
    return round(site.signal_ahead)


def packed_files(site: Site, folder: ClusterFolder) -> tuple[Path, ...]:
    """What a packed environment is in a cluster's folder: program, base, own; else nothing."""
    if choose_strategy(site).kind != "packed":
        return ()
    pack = plan_for(site)
    return folder.starter, folder.path / pack.base_name, folder.path / pack.own_name


def _command(
    site: Site, folder: ClusterFolder, scheduler: str, packed: tuple[Path, ...]
) -> tuple[str, ...]:
    python = _packed_python(site, packed) if packed else python_of(site)
    start = [*python, "-m", "beampipe.clusters.worker_start"]
    if site.walltime is not None:
        start += ["--walltime", f"{site.walltime:.0f}"]
    start += ["--stagger", f"{site.lifetime_stagger:.0f}"]  # the queue may know of a limit
    worker = [
        *(scheduler, "--nworkers", str(site.processes_per_job)),
        *("--nthreads", str(site.threads_per_worker)),
        *("--memory-limit", str(site.memory_per_worker_bytes)),
        *("--death-timeout", str(_DEATH_TIMEOUT_S), "--no-dashboard"),
        *("--preload", _PRELOAD, "--preload-nanny", _PRELOAD),
    ]
    if site.tls:
        sent = site.key_files == "transfer"
        certificate = folder.certificate.name if sent else str(folder.certificate)
        key = folder.key.name if sent else str(folder.key)
        worker += ["--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key]
    worker += _ports("--worker-port", site.worker_ports) + _ports("--nanny-port", site.nanny_ports)
    worker += ["--interface", site.worker_interface] if site.worker_interface else []
    worker += ["--local-directory", site.local_directory] if site.local_directory else []
    return (*start, "--", *worker)


def _ports(option: str, ports: Ports) -> list[str]:
    first, last = ports
    if not first:
        return []
    return [option, str(first) if first == last else f"{first}:{last}"]


# Each becomes the environment's Python. `conda run` and `pixi run` would stay and wait for it, and
# a signal that the batch system sends to the job's first process alone would not reach the worker.
_IN_CONDA: Final = 'eval "$(conda shell.bash hook)" && conda activate "$0" && exec python "$@"'
_IN_PIXI: Final = 'eval "$(pixi shell-hook --shell bash --manifest-path "$0")" && exec python "$@"'


def _packed_python(site: Site, packed: tuple[Path, ...]) -> list[str]:
    """How the Python of a packed environment is started: by a program that unpacks it first."""
    container = _enter_container(site) if site.apptainer else []
    program, *archives = (
        path.name if site.key_files == "transfer" else str(path) for path in packed
    )
    return [*container, "/bin/sh", program, site.local_directory, *archives]


def python_of(site: Site) -> list[str]:
    """How the Python of the workers is started."""
    container = _enter_container(site) if site.apptainer else []
    if site.venv:
        return [*container, str(Path(site.venv).expanduser() / "bin" / "python")]
    if site.conda:
        by_path = "/" in site.conda
        chosen = str(Path(site.conda).expanduser()) if by_path else site.conda
        return [*container, "bash", "-c", _IN_CONDA, chosen]
    if site.pixi:
        project = str(Path(site.pixi).expanduser() / "pixi.toml")
        return [*container, "bash", "-c", _IN_PIXI, project]
    own = "python3" if site.apptainer else sys.executable
    return [*container, site.python or own]


def _enter_container(site: Site) -> list[str]:
    """Run in an image that sees the cluster's folder, besides home, /tmp and where it is run.

    Apptainer passes signals on to what it runs.
    """
    enter = ["apptainer", "exec"]
    if site.work_folder and site.key_files == "shared":
        enter += ["--bind", str(Path(site.work_folder).expanduser())]
    return [*enter, site.apptainer]


def with_count(job: JobDescription, count: int) -> JobDescription:
    """The same job, so many times."""
    return replace(job, count=count)
