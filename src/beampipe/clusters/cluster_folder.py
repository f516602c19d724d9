"""The folder of one cluster: its keys, its job script, its jobs' output."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from beampipe.clusters.site import Site
from beampipe.errors import ClusterStartError
from beampipe.private_files import make_private_folder, write_private

if TYPE_CHECKING:
    from distributed.security import Security

CERTIFICATE, KEY = "certificate.pem", "key.pem"


@dataclass(frozen=True, slots=True)
class ClusterFolder:
    """Where everything of one cluster is kept; only its owner may look into it."""

    path: Path

    @property
    def logs(self) -> Path:
        """For the output of jobs."""
        return self.path / "logs"

    @property
    def script(self) -> Path:
        """What is submitted."""
        return self.path / "job.sh"

    @property
    def certificate(self) -> Path:
        """By which both sides know each other."""
        return self.path / CERTIFICATE

    @property
    def key(self) -> Path:
        """What proves it."""
        return self.path / KEY

    @property
    def starter(self) -> Path:
        """What starts workers in a packed environment."""
        return self.path / "start-packed.sh"

    def make(self) -> None:
        """Make the folder, or use the one that a process before this one has left.

        Raises
        ------
        ClusterStartError
            ``cluster-start``
        """
        try:
            make_private_folder(self.path)
            make_private_folder(self.logs)
        except OSError as error:
            raise ClusterStartError(
                f"The folder of the cluster, '{self.path}', cannot be made.",
                why=str(error),
                fix="set `work_folder` of the site to a place that you can write to",
            ) from error

    def write_keys(self, security: Security) -> None:
        """Write what workers need to be let in."""
        write_keys(self.path, security)

    def remove_keys(self) -> None:
        """Delete them: the cluster is no more."""
        for path in (self.certificate, self.key):
            path.unlink(missing_ok=True)

    def remove_packs(self) -> None:
        """Delete what was put here of a packed environment; the cache has its own."""
        for pattern in ("base-*", "own-*", ".placing-*"):
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.path, ignore_errors=True)


def write_keys(folder: Path, security: Security) -> None:
    """Write certificate and key, for nobody but their owner."""
    tls = security.get_tls_config_for_role("worker")
    write_private(folder / CERTIFICATE, str(tls["ca_file"]))
    write_private(folder / KEY, str(tls["key"]))


def make_tag(name: str) -> str:
    """A cluster's tag: its name, and what tells it from the last one of that name."""
    plain = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name)[:40]
    return f"bp-{plain.strip('-') or 'cluster'}-{secrets.token_hex(4)}"


def find_folder(site: Site, tag: str) -> ClusterFolder:
    """Where a cluster's folder is to be."""
    root = Path(site.work_folder).expanduser() if site.work_folder else find_state("clusters")
    return ClusterFolder(root / tag)


def find_state(what: str) -> Path:
    """Where the user's state of one kind is kept."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "beampipe" / what


def make_state_folder(path: Path, of: str) -> None:
    """Make a folder of the user's state.

    Raises
    ------
    ClusterStartError
        ``cluster-start``
    """
    try:
        make_private_folder(path)
    except OSError as error:
        raise state_error(f"The folder of {of}, '{path}', cannot be made.", error) from error


def state_error(message: str, error: OSError) -> ClusterStartError:
    """The error about state that cannot be written down."""
    return ClusterStartError(
        message, why=str(error), fix="set XDG_STATE_HOME to a folder that you can write to"
    )


def read_keys(folder: Path) -> Security:
    """Read what `write_keys` has written.

    Raises
    ------
    OSError
        It is not there.
    """
    from distributed.security import Security

    certificate = (folder / CERTIFICATE).read_text(encoding="ascii")
    key = (folder / KEY).read_text(encoding="ascii")
    roles = {
        f"tls_{role}_{what}": text
        for role in ("scheduler", "worker", "client")
        for what, text in (("cert", certificate), ("key", key))
    }
    return Security(tls_ca_file=certificate, require_encryption=True, **roles)
