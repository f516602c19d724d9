"""Who looks after the jobs of a cluster: a note by which jobs that nobody looks after are found."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from beampipe.clusters.cluster_folder import find_state, state_error
from beampipe.private_files import make_private_folder, write_private
from beampipe.process_identity import is_alive, is_known_here, who_am_i

SILENT_S = 600.0
"""A process of another host that was not heard of for so long is taken for dead."""
_TAG = re.compile(r"bp-[A-Za-z0-9-]+-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLease:
    """A process' word that it looks after the jobs of a cluster.

    Attributes
    ----------
    tag : str
        Which the jobs carry.
    name, site, system : str
        The cluster's name, its site, and the batch system.
    owner : mapping
        The process, see `beampipe.process_identity`.
    """

    tag: str
    name: str
    site: str
    system: str
    owner: Mapping[str, Any]

    @classmethod
    def of_this_process(cls, *, tag: str, name: str, site: str, system: str) -> JobLease:
        """Make this process' lease."""
        return cls(tag=tag, name=name, site=site, system=system, owner=who_am_i())

    def write(self) -> None:
        """Write it down.

        Raises
        ------
        ClusterStartError
            ``cluster-start``: without it, nobody could find the jobs if this process dies.
        """
        path = _path(self.tag)
        try:
            make_private_folder(path.parent)
            write_private(path, json.dumps(asdict(self)))
        except OSError as error:
            raise state_error(f"The cluster cannot be noted in '{path}'.", error) from error

    def beat(self) -> None:
        """Say to other hosts that it lives."""
        with contextlib.suppress(OSError):  # the next time, perhaps
            os.utime(_path(self.tag))

    @staticmethod
    def remove(tag: str) -> None:
        """There are no jobs any more."""
        with contextlib.suppress(OSError):
            _path(tag).unlink()

    @property
    def is_alive(self) -> bool:
        """Whether its process lives, as far as can be told from here."""
        return seems_alive(self.owner, _path(self.tag))


def seems_alive(owner: Mapping[str, Any], note: Path) -> bool:
    """Whether a process lives, as far as can be told from here.

    Parameters
    ----------
    owner : mapping
        The process, see `beampipe.process_identity`.
    note : Path
        A file that it touches now and then, for other hosts.
    """
    if is_known_here(owner):
        return is_alive(owner)
    try:
        heard_at = note.stat().st_mtime
    except OSError:
        return False
    return abs(time.time() - heard_at) < SILENT_S


def read_leases() -> dict[str, JobLease]:
    """All leases of this user, by tag; what cannot be read is passed over."""
    leases: dict[str, JobLease] = {}
    for path in sorted(find_state("leases").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            lease = JobLease(**json.loads(path.read_bytes()))
            leases[lease.tag] = lease
    return leases


def is_our_tag(text: str) -> bool:
    """Whether a job's tag is one that Beampipe gives.

    >>> is_our_tag("bp-lpc-0123abcd"), is_our_tag("my-job")
    (True, False)
    """
    return _TAG.fullmatch(text) is not None


def _path(tag: str) -> Path:
    return find_state("leases") / f"{tag}.json"
