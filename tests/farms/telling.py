"""A story on a farm as a test sees it: told by an ordinary user, in a process of its own."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from tests.farms.daemons import wait_until
from tests.farms.farm import Farm

HERE = Path(__file__).parent
_LEAVE_S = 60
"""What a story that took too long has to close its clusters."""


class Telling:
    """A story that goes on, until it is at its end or waits at a point for the test.

    Parameters
    ----------
    farm : Farm
    story : str
        ``"script:name"``.
    patience_s : float
        After which it is ended.
    environment : mapping
        Variables of its own.
    """

    def __init__(
        self,
        farm: Farm,
        story: str,
        *,
        patience_s: float = 400,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        script, _, name = story.partition(":")
        self.patience_s = patience_s
        self.folder = farm.shared / f"story {uuid.uuid4().hex[:8]}"
        self.folder.mkdir()
        user = pwd.getpwnam(farm.user)
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        self._out, self._err = self.folder / "stdout", self.folder / "stderr"
        # Inside of `timeout`, whose SIGTERM lets the story close its clusters.
        program = [sys.executable, str(HERE / f"{script}.py"), name, farm.system, farm.nodes.host]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                farm.as_user("timeout", "-k", f"{_LEAVE_S}", f"{patience_s:.0f}", *program),
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self.folder,
                env=farm.user_environment()
                | {"STORIES_TRACE_AFTER_S": f"{patience_s - 1:.0f}"}
                | dict(environment),
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # `timeout` leads its group
            self._process.wait(10)

    def wait_until(self, holds: Any, what: str) -> None:
        """Wait for something that the story brings about."""
        wait_until(lambda: holds() or self._process.poll() is not None, what, self.patience_s)
        assert holds(), f"the story ended before {what}\n{self._told()}"

    def wait_for(self, point: str) -> dict[str, Any]:
        """Wait until it has come to a point; what it tells there."""
        path = self.folder / f"{point}.json"
        self.wait_until(path.exists, point)
        return json.loads(path.read_text())

    def go_on(self, point: str) -> None:
        """Let it go on."""
        (self.folder / f"{point}.done").touch()

    def end(self) -> Any:
        """What it tells at its end."""
        code = self._process.wait(self.patience_s + 2 * _LEAVE_S)
        assert code == 0, f"it ended with {code}\n{self._told()}"
        return json.loads(self._out.read_text().splitlines()[-1])

    def _told(self) -> str:
        out, err = (path.read_text(errors="replace") for path in (self._out, self._err))
        return f"{out[-3000:]}\n{err[-6000:]}"
