"""Clusters with a name, which outlive the shell and the notebook: what is written down of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from beampipe.clusters.cluster_folder import CERTIFICATE, KEY, find_state, make_state_folder
from beampipe.clusters.job_leases import SILENT_S, seems_alive
from beampipe.clusters.site import Site, describe_value
from beampipe.clusters.site_files import site_values
from beampipe.errors import (
    ClusterAmbiguousError,
    ClusterNameError,
    ClusterUnknownError,
)
from beampipe.private_files import write_private

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_RECORD, LOG, LOCK = "cluster.json", "controller.log", "lock"


class Standing(StrEnum):
    """How a named cluster is, in words for people."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    GONE = "gone"  # its process died; `cluster up` takes it over
    UNKNOWN = "unknown"  # what keeps it cannot be asked now


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How many workers a cluster is to have.

    Attributes
    ----------
    workers : int
        So many; without meaning where `maximum` is given.
    minimum : int
    maximum : int or None
        As many as there is work for, up to that.
    """

    workers: int = 0
    minimum: int = 0
    maximum: int | None = None

    def __str__(self) -> str:
        if self.maximum is None:
            return str(self.workers)
        return f"{self.minimum} to {self.maximum}"


@dataclass(frozen=True, slots=True)
class Sight:
    """How a cluster was found when what keeps it was asked.

    Attributes
    ----------
    standing : Standing
    words : str
        Of what keeps it, where something is wrong.
    status : mapping
        Workers, threads and the like, of one that runs.
    """

    standing: Standing
    words: str = ""
    status: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCluster:
    """What is written down of a named cluster; what keeps it keeps this up to date.

    Attributes
    ----------
    name : str
    site : str
        Its site's name.
    profile : str
        All that the site said when it was started, as TOML.
    wish : Wish
    state : str
        What the controller said last: ``"starting"``, ``"running"`` or ``"failed"``.
    words : str
        Why it failed.
    owner : mapping
        The controller's process, see `beampipe.process_identity`; empty before it began.
    address, dashboard : str
        Of the scheduler; empty before it began.
    tag : str
        Which its jobs carry, where it has jobs.
    began_at : float
        When it was asked for [s since 1970].
    controller_job : str
        The job that the controller is, where it runs as one.
    provider : str
        What kind of cluster it is; empty in records of older versions.
    server_name : str
        What a service that keeps it calls it; see `beampipe.clusters.keepers`.
    """

    name: str
    site: str
    profile: str
    wish: Wish = field(default_factory=Wish)
    state: str = Standing.STARTING
    words: str = ""
    owner: Mapping[str, Any] = field(default_factory=dict)
    address: str = ""
    dashboard: str = ""
    tag: str = ""
    began_at: float = 0.0
    controller_job: str = ""
    provider: str = ""
    server_name: str = ""

    @property
    def folder(self) -> Path:
        """Where its record, its keys and its controller's log are."""
        return find_state("named") / self.name

    @property
    def log(self) -> Path:
        """What its controller wrote."""
        return self.folder / LOG

    @property
    def standing(self) -> Standing:
        """How it is, as far as can be told without asking it."""
        if self.server_name:
            return Standing(self.state)
        if self.state == Standing.FAILED:
            return Standing.FAILED
        if not self.owner:  # whoever started it may have been killed before the controller began
            is_new = abs(time.time() - self.began_at) < SILENT_S
            return Standing.STARTING if is_new else Standing.GONE
        lives = seems_alive(self.owner, self.folder / _RECORD)
        return Standing(self.state) if lives else Standing.GONE

    def beat(self) -> None:
        """Say to other hosts that its controller lives."""
        with contextlib.suppress(OSError):  # the next time, perhaps
            os.utime(self.folder / _RECORD)

    def load_site(self) -> Site:
        """The site as it was when the cluster was started."""
        values = tomllib.loads(self.profile)
        origins = dict.fromkeys(values, f"when '{self.name}' was started")
        return Site.model_validate(values).with_origins(self.site, origins)

    def write(self) -> None:
        """Write it down.

        Raises
        ------
        OSError
        """
        write_private(self.folder / _RECORD, json.dumps(asdict(self), indent=1))

    def exists(self) -> bool:
        """Whether it is still written down."""
        return (self.folder / _RECORD).exists()

    def remove(self) -> None:
        """Forget it: it is down."""
        # The record first: what is left of a half removed folder is no cluster.
        for name in (_RECORD, KEY, CERTIFICATE):
            with contextlib.suppress(OSError):
                (self.folder / name).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


def new_named(name: str, site: Site, wish: Wish, *, began_at: float) -> NamedCluster:
    """Begin the record of a cluster that does not exist yet; its folder is made.

    Raises
    ------
    ClusterNameError
        ``cluster-name``: it is no name for a cluster.
    ClusterStartError
        ``cluster-start``: its folder cannot be made.
    """
    check_name(name, "a cluster")
    cluster = NamedCluster(
        name=name,
        site=site.name,
        profile=write_profile(site),
        wish=wish,
        began_at=began_at,
        provider=site.provider,
    )
    make_state_folder(cluster.folder, f"cluster '{name}'")
    return cluster


def check_name(name: str, of: str) -> None:
    """Refuse what cannot name a cluster or a notebook.

    Raises
    ------
    ClusterNameError
        ``cluster-name``
    """
    if not _NAME.fullmatch(name):
        raise ClusterNameError(
            f"{name!r} cannot name {of}.",
            why="a name has up to 40 letters, digits, '.', '_' or '-', and begins with one of the "
            "first two",
            fix="choose a name like 'top-quark'",
        )


def list_named() -> list[NamedCluster]:
    """All named clusters of this user, also those whose controller died."""
    found = []
    for path in sorted(find_state("named").glob(f"*/{_RECORD}")):
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError):
            found.append(_read(path))
    return found


def find_named(name: str | None) -> NamedCluster:
    """Find a cluster by its name; without one, the one that there is.

    Raises
    ------
    ClusterUnknownError
        ``cluster-unknown``: there is none (of that name).
    ClusterAmbiguousError
        ``cluster-ambiguous``: there are several, and none is named.
    """
    clusters = list_named()
    names = [each.name for each in clusters]
    if name is None:
        running = [each for each in clusters if each.standing is Standing.RUNNING] or clusters
        if len(running) == 1:
            return running[0]
        if running:
            raise ClusterAmbiguousError(
                f"{len(running)} clusters are there: {', '.join(map(_introduce, running))}.",
                why="no name was given",
                fix=f"name one, like '{running[0].name}'",
                candidates=[each.name for each in running],
            )
    found = [each for each in clusters if each.name == name]
    if not found:
        what = f"no cluster '{name}'" if name else "no cluster"
        raise ClusterUnknownError(
            f"There is {what}.",
            why=f"those that there are: {', '.join(names)}" if names else "none was started here",
            fix="`beampipe cluster up NAME --on SITE` starts one; `beampipe cluster ls` lists them",
            known=names,
        )
    return found[0]


def _introduce(cluster: NamedCluster) -> str:
    return f"'{cluster.name}' at {cluster.site} ({cluster.standing})"


def _read(path: Path) -> NamedCluster:
    facts = json.loads(path.read_bytes())
    cluster = NamedCluster(**facts | {"wish": Wish(**facts["wish"])})
    return replace(cluster, name=path.parent.name)


def write_profile(site: Site) -> str:
    """Write a site's values as a profile, without those that are defaults."""
    values = {key: value for key, value in site_values(site).items() if value is not None}
    kept = {key: value for key, value in values.items() if site.origin(key) != "default"}
    return "\n".join(f"{key} = {describe_value(key, value)}" for key, value in kept.items())
