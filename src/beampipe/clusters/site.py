"""A site: a named place where workers can run, described by data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, PrivateAttr

from beampipe.units import parse_optional_memory, parse_time, refuse_bool

BATCH_SYSTEMS = ("slurm", "htcondor", "sge", "pbs", "torque", "lsf", "oar", "moab")
SHORTEST_WALLTIME_S = 60.0
GATEWAY = "gateway"
# What is of jobs and connections that we start ourselves.
NOT_FOR_GATEWAYS = (
    *("directives", "processes", "walltime", "max_jobs", "contact_address", "tls"),
    *("interface", "worker_interface"),
    *("scheduler_ports", "worker_ports", "nanny_ports", "dashboard_ports", "key_files", "python"),
    *("prologue", "work_folder", "local_directory"),
    *("environment", "packed_format", "packed_without"),
)
PYTHONS = ("python", "venv", "conda", "pixi")
_LEAST_MEMORY_BYTES = 100 * 2**20
_HIGHEST_PORT = 65535
_ENDS = 2

Ports = tuple[int, int]
"""The first and the last port of a range; (0, 0) is any that is free."""


def parse_ports(value: Any) -> Any:
    """Turn ``"10000:10100"``, or one port, into a range.

    >>> parse_ports("10000:10100"), parse_ports(8786)
    ((10000, 10100), (8786, 8786))
    """
    match = re.fullmatch(r"\s*(\d{1,5})\s*(?:[:-]\s*(\d{1,5}))?\s*", str(value), re.ASCII)
    if isinstance(value, tuple | list) and len(value) == _ENDS:
        first, last = value
    elif match:
        first, last = int(match[1]), int(match[2] or match[1])
    else:
        raise ValueError("ports are written like '10000:10100', or as one number")
    if not 0 <= first <= last <= _HIGHEST_PORT:
        raise ValueError("ports go from a lower to a higher number, up to 65535")
    return first, last


def _parse_optional_time(value: Any) -> Any:
    return parse_time(value) if isinstance(value, str | int | float) else value


def _split_words(value: Any) -> Any:
    """Environment variables hold lists with a comma between the entries."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _parse_options(value: Any) -> Any:
    """An environment variable holds options as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("options are written like '{\"worker_cores\": 2}'") from None
    for name, entry in value.items() if isinstance(value, Mapping) else ():
        plain = entry.values() if isinstance(entry, Mapping) else [entry]
        if not all(isinstance(each, str | int | float | bool) for each in plain):
            raise ValueError(
                f"option '{name}' is no text, number, true or false, or table of these"
            )
    return value


_Count = Annotated[PositiveInt, BeforeValidator(refuse_bool)]
_Memory = Annotated[int, BeforeValidator(parse_optional_memory), BeforeValidator(refuse_bool)]
_Time = Annotated[float, BeforeValidator(_parse_optional_time), BeforeValidator(refuse_bool)]
_Ports = Annotated[Ports, BeforeValidator(parse_ports), BeforeValidator(refuse_bool)]
_Texts = tuple[str, ...]
_Words = Annotated[tuple[str, ...], BeforeValidator(_split_words)]
_Options = Annotated[Mapping[str, Any], BeforeValidator(_parse_options)]


class Site(BaseModel):
    """A site profile; frozen. Its reference is docs/reference/site-profiles.md.

    Attributes
    ----------
    description, documentation, tried : str
        For people: what it is, where it describes itself, and whether this was tried there.
    like : str
        Another site that gives what this one does not say.
    provider : str
        What kind of cluster: ``"local"``, ``"batch"``, ``"gateway"``, or one that a package adds.
    hosts : tuple of str
        Patterns of the host names from which one works there.
    batch_system : str
        Which batch system; with the provider ``"batch"``.
    queue, account : str
        Where jobs go, and who pays.
    directives : tuple of str
        More lines for the batch system, in its language.
    use_bindings : bool
        Whether HTCondor is asked through its Python bindings where they can be used.
    gateway_address, gateway_proxy_address, gateway_public_address : str
        Where a gateway is: for programs, for connections to schedulers, for browsers. Empty is
        dask-gateway's own configuration.
    gateway_logs : str
        Folder with a folder for each cluster, into which the gateway's jobs write; as a rule it can
        be seen where the homes of users can. Empty looks at none.
    gateway_auth : {"", "simple", "jupyterhub", "kerberos"}
        How one proves to it who one is; empty is dask-gateway's own configuration.
    gateway_options : dict
        Options of a cluster by the gateway's own names for them.
    gateway_variables : tuple of str
        Environment variables of this process that the gateway's workers get, too.
    cores, memory, walltime
        Of one job (at a gateway: of one worker): cores, bytes, seconds (None: the site's limit).
    processes : int or None
        Worker processes of one job; None is one per core, each with one thread.
    signal_ahead : float
        How long before its end a job is told [s].
    lifetime_stagger : float
        Workers end up to so much earlier, each at another time [s].
    max_jobs, array_size : int or None, int
        Most jobs at a time, and most in one submission.
    submit_every, look_every : float
        Shortest time between two submissions, and between two looks at the queue [s].
    start_timeout : float
        How long a running job may take until its worker is connected [s].
    interface, worker_interface, contact_address : str
        The network interface of the scheduler, that of workers, and the address that workers call.
    scheduler_ports, worker_ports, nanny_ports, dashboard_ports : tuple of int
        Ranges of ports.
    tls : bool
        Whether connections are encrypted and both sides prove who they are.
    key_files : {"shared", "transfer"}
        How keys reach the jobs.
    environment : {"", "shared", "packed"}
        Whether workers use this process' environment where it is, or get it packed; empty is by
        what is known of what they see.
    python, venv, conda, pixi, apptainer : str
        The environment of the workers instead: one of the first four, an image besides.
    packed_format : {"tar", "squashfs"}
        Of a packed environment.
    packed_without : tuple of str
        Installed packages that are not packed.
    version_gate : {"", "stop", "warn", "off"}
        What versions do that differ between here and the workers; empty is the setting of that
        name.
    prologue : tuple of str
        Shell lines before the worker starts.
    variables : dict
        Environment variables of the workers.
    shared_folders, client_folders : tuple of str
        Folders that both sides see, and those that workers do not.
    work_folder : Path
        Where scripts, logs and keys of clusters are kept.
    local_directory : str
        Where workers put what does not fit into memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    description: str = ""
    documentation: str = ""
    tried: str = ""
    like: str = ""
    provider: str = "batch"
    hosts: _Words = ()

    batch_system: Literal["", "slurm", "htcondor", "sge", "pbs", "torque", "lsf", "oar", "moab"] = (
        ""
    )
    queue: str = ""
    account: str = ""
    directives: _Texts = ()
    use_bindings: bool = True

    gateway_address: str = ""
    gateway_proxy_address: str = ""
    gateway_public_address: str = ""
    gateway_logs: str = "~/.dask-gateway"
    gateway_auth: Literal["", "simple", "jupyterhub", "kerberos"] = ""
    gateway_options: _Options = Field(default_factory=dict)
    gateway_variables: _Words = ()

    cores: _Count = 1
    processes: _Count | None = None
    memory: _Memory = 2 * 2**30
    walltime: _Time | None = None
    signal_ahead: _Time = 60.0
    lifetime_stagger: _Time = 60.0
    max_jobs: _Count | None = None
    array_size: _Count = 100
    submit_every: _Time = 2.0
    look_every: Annotated[_Time, Field(ge=1)] = 10.0
    start_timeout: _Time = 600.0

    interface: str = ""
    worker_interface: str = ""
    contact_address: str = ""
    scheduler_ports: _Ports = (0, 0)
    worker_ports: _Ports = (0, 0)
    nanny_ports: _Ports = (0, 0)
    dashboard_ports: _Ports = (8787, 8887)
    tls: bool = True
    key_files: Literal["shared", "transfer"] = "shared"

    environment: Literal["", "shared", "packed"] = ""
    python: str = ""
    venv: str = ""
    conda: str = ""
    pixi: str = ""
    apptainer: str = ""
    packed_format: Literal["tar", "squashfs"] = "tar"
    packed_without: _Words = ()
    version_gate: Literal["", "stop", "warn", "off"] = ""
    prologue: _Texts = ()
    variables: Mapping[str, str] = Field(default_factory=dict)

    shared_folders: _Words = ()
    client_folders: _Words = ()
    work_folder: str = ""
    local_directory: str = ""

    _name: str = PrivateAttr(default="")
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called: its file's name."""
        return self._name

    @property
    def processes_per_job(self) -> int:
        """Worker processes of one job."""
        return self.processes or self.cores

    @property
    def threads_per_worker(self) -> int:
        """Threads of one worker."""
        return self.cores // self.processes_per_job

    @property
    def memory_per_worker_bytes(self) -> int:
        """Memory of one worker [bytes]."""
        return self.memory // self.processes_per_job

    def origin(self, key: str) -> str:
        """Where a value comes from: a file and line, a variable, an argument, ``"default"``."""
        return self._origins.get(key, "default")

    def with_origins(self, name: str, origins: Mapping[str, str]) -> Site:
        """Say what it is called and where its values come from."""
        self._name = name
        self._origins.update(origins)
        return self


def find_contradictions(site: Site) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Look for values that cannot hold at the same time.

    Yields
    ------
    keys : tuple of str
        Those that contradict each other.
    why, fix : str
    """
    yield from _contradictions_of_kind(site)
    yield from _contradictions_of_size(site)
    yield from _contradictions_of_ports(site)
    yield from _contradictions_of_environment(site)
    relative = site.work_folder and not Path(site.work_folder).expanduser().is_absolute()
    if relative:
        yield ("work_folder",), f"'{site.work_folder}' is relative", "write a whole path"
    for folder in sorted(set(site.shared_folders) & set(site.client_folders)):
        why = f"'{folder}' cannot be seen by both sides and by one"
        yield ("shared_folders", "client_folders"), why, "keep it in one of them"


def _contradictions_of_kind(site: Site) -> Iterator[tuple[tuple[str, ...], str, str]]:
    if site.provider == "batch" and not site.batch_system:
        fix = f"set `batch_system` to one of {', '.join(BATCH_SYSTEMS)}"
        yield ("provider", "batch_system"), "no batch system is named", fix
    if site.provider == "local" and site.batch_system:
        why = "workers on this machine need no batch system"
        yield ("provider", "batch_system"), why, "leave out one of them"
    yield from _contradictions_of_gateway(site)
    if site.key_files == "transfer" and site.batch_system not in {"", "htcondor"}:
        why = f"{site.batch_system} sends no files along with a job"
        yield ("key_files", "batch_system"), why, "set `key_files = 'shared'`"


def _contradictions_of_gateway(site: Site) -> Iterator[tuple[tuple[str, ...], str, str]]:
    if site.provider != GATEWAY:
        for key in (key for key in type(site).model_fields if key.startswith(f"{GATEWAY}_")):
            default = type(site).model_fields[key].get_default(call_default_factory=True)
            if site.provider in {"batch", "local"} and getattr(site, key) != default:
                why = f"there is no gateway where the provider is '{site.provider}'"
                yield ("provider", key), why, f"set `provider = '{GATEWAY}'`, or leave out `{key}`"
        return
    if site.batch_system:
        why = "what runs behind a gateway is the gateway's affair"
        yield ("provider", "batch_system"), why, "leave out one of them"
    for key in NOT_FOR_GATEWAYS:
        if getattr(site, key) != type(site).model_fields[key].default:
            why = f"a gateway cannot be told of `{key}`"
            fix = "leave it out; what it can be told: `beampipe cluster preview --on SITE`"
            yield ("provider", key), why, fix
    for key in ("gateway_address", "gateway_public_address"):
        address = getattr(site, key)
        if address and not address.startswith(("http://", "https://")):
            why = f"'{address}' does not begin with http:// or https://"
            yield (key,), why, "write the whole address, as a browser would have it"


def _contradictions_of_environment(site: Site) -> Iterator[tuple[tuple[str, ...], str, str]]:
    chosen = tuple(key for key in PYTHONS if getattr(site, key))
    if len(chosen) > 1:
        yield chosen, "each names the Python of the workers", "keep one of them"
    if site.environment and chosen:
        why = "each says which Python the workers have"
        yield ("environment", *chosen), why, "keep one of them"
    if site.environment == "packed" and site.provider == "local":
        why = "workers on this machine see its environment"
        yield ("environment", "provider"), why, "leave out `environment`"


def _contradictions_of_size(site: Site) -> Iterator[tuple[tuple[str, ...], str, str]]:
    if site.processes_per_job > site.cores:
        why = f"{site.processes} processes do not fit into {site.cores} cores"
        yield ("processes", "cores"), why, "lower `processes`, or raise `cores`"
    elif site.provider != GATEWAY and site.memory_per_worker_bytes < _LEAST_MEMORY_BYTES:
        why = "less than 100 MiB are left for each worker process"
        yield ("memory", "processes"), why, "raise `memory` (it is that of the whole job)"
    if site.walltime is not None and site.walltime < SHORTEST_WALLTIME_S:
        why = f"in {site.walltime:g} s no worker gets anything done"
        yield ("walltime",), why, "give a minute at least"
    elif site.walltime is not None and site.lifetime_stagger > site.walltime / 2:
        why = "workers would end before half of their job's time"
        yield ("lifetime_stagger", "walltime"), why, "lower `lifetime_stagger`"


def _contradictions_of_ports(site: Site) -> Iterator[tuple[tuple[str, ...], str, str]]:
    for key in ("worker_ports", "nanny_ports"):
        first, last = getattr(site, key)
        if first and last - first + 1 < site.processes_per_job:
            why = f"{site.processes_per_job} processes of one job need as many ports"
            yield (key, "processes"), why, f"widen `{key}`"
    worker, nanny = site.worker_ports, site.nanny_ports
    if worker[0] and nanny[0] and max(worker[0], nanny[0]) <= min(worker[1], nanny[1]):
        why = "a worker would find its port taken by a nanny"
        yield ("worker_ports", "nanny_ports"), why, "give them ranges that do not overlap"


_TIMES = {"walltime", "signal_ahead", "lifetime_stagger", "submit_every", "look_every"} | {
    "start_timeout"
}


def describe_value(key: str, value: Any) -> str:
    """Write a value as it would stand in a profile."""
    if value is None:
        return "none"
    if key == "memory":
        return f'"{value // 2**20} MiB"' if value % 2**20 == 0 else f'"{value} B"'
    if key in _TIMES:
        return f'"{value:g} s"'
    if key.endswith("_ports"):
        return f'"{value[0]}:{value[1]}"' if value[0] != value[1] else str(value[0])
    return _describe_plain(value)


def _describe_plain(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(quote_toml(entry) for entry in value) + "]"
    if isinstance(value, Mapping):
        pairs = (f"{quote_toml(name)} = {_describe_plain(each)}" for name, each in value.items())
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    return quote_toml(value) if isinstance(value, str) else str(value).lower()


def quote_toml(text: str) -> str:
    """Write a text as TOML does."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped)
    return f'"{escaped}"'
