"""What a running farm is to a test, and the note by which another process finds it."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tests.farms.daemons import run, wait_until
from tests.farms.nodes import Nodes

USER, SECOND_USER = "bpfarm", "bpfarm2"
NOTE = "farm.json"
_FOLDERS = {USER: "shared", SECOND_USER: "shared2"}


@dataclass(frozen=True)
class Farm:
    """A batch system that runs.

    Attributes
    ----------
    system : str
        As in a site's profile.
    folder : Path
        Its state, its logs.
    nodes : Nodes
        Where its jobs run.
    environment : dict
        What its commands need in their environment.
    user : str
        Who submits: no farm lets root do it.
    """

    system: str
    folder: Path
    nodes: Nodes
    environment: dict[str, str] = field(default_factory=dict)
    user: str = USER

    @property
    def shared(self) -> Path:
        """A folder of the user that all nodes see."""
        return self.folder / _FOLDERS[self.user]

    def as_second_user(self) -> Farm:
        """The same farm, for another ordinary user."""
        return replace(self, user=SECOND_USER)

    def with_environment(self, more: dict[str, str]) -> Farm:
        """The same farm, with more in the environment of who uses it."""
        return replace(self, environment={**self.environment, **more})

    def as_user(self, *argv: str) -> list[str]:
        """The command that does `argv` as its ordinary user."""
        return [
            *("setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"),
            *argv,
        ]

    def run(
        self, *argv: str, stdin: str = "", timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the batch system as the ordinary user."""
        return subprocess.run(
            self.as_user(*argv), input=stdin, capture_output=True, text=True, check=False,
            timeout=timeout, env=self.user_environment(), cwd=self.shared,
        )  # fmt: skip

    def user_environment(self) -> dict[str, str]:
        """What that user has in a login shell, and what the farm needs."""
        own = {"HOME": str(self.shared), "USER": self.user, "LOGNAME": self.user, "LC_ALL": "C"}
        path = os.environ.get("PATH", "/usr/bin:/bin")
        return {"PATH": f"{path}:/usr/sbin:/sbin"} | own | self.environment

    def write(self) -> None:
        """Leave the note."""
        facts = asdict(self) | {"folder": str(self.folder)}
        (self.folder / NOTE).write_text(json.dumps(facts))


def read_farm(folder: Path) -> Farm | None:
    """The farm whose note lies in a folder, if there is one."""
    note = folder / NOTE
    if not note.exists():
        return None
    facts = json.loads(note.read_text())
    return Farm(**facts | {"folder": folder, "nodes": Nodes(**facts["nodes"])})


def make_user(folder: Path) -> None:
    """Make its two ordinary users, let them use this Python, and give each a folder."""
    # A Python under /root is of no use to anybody else until one may pass through its folders.
    for place in (*Path(sys.base_prefix).parents, *Path(sys.prefix).parents):
        if not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o001)
    for name, own in _FOLDERS.items():
        user = _find_account(name)
        (folder / own).mkdir(exist_ok=True)
        os.chown(folder / own, user.pw_uid, user.pw_gid)


def _find_account(name: str) -> pwd.struct_passwd:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name)
    # Another farm may be doing the same just now.
    run("useradd", "--system", "--no-create-home", "--shell", "/bin/bash", name, check=False)
    wait_until(lambda: name in {each.pw_name for each in pwd.getpwall()}, f"the user {name}")
    return pwd.getpwnam(name)
