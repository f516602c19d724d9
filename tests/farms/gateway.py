"""A real dask-gateway-server on this machine; root is needed only where Slurm is behind it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import json
import os
import pwd
import secrets
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dask
import pytest
from tests.farms.daemons import Daemons, free_port, wait_until
from tests.farms.farm import SECOND_USER, USER, Farm

from beampipe.clusters.gateway_door import open_door
from beampipe.clusters.site_files import load_site

INSTALLED = Path("/var/tmp/beampipe-farms/gateway")
CONFIG = Path(__file__).with_name("gateway_config.py")
PASSWORD = "not 'so' secret"  # noqa: S105 (it opens nothing but tests' own servers)
# Who may have one cluster only.
LIMITED = ("bob", SECOND_USER)
SLURM_COMMANDS = {"submit": "sbatch", "cancel": "scancel", "status": "squeue"}


@dataclass
class GatewayServer:
    """A server that runs.

    Attributes
    ----------
    folder : Path
    hub, hub_token : str
        Where the Hub's API is that knows its users, and its own token there; without one name and
        password are asked for.
    prefix : str
        Of all its paths, where the Hub has it as a service.
    farm : Farm, optional
        The Slurm to which its jobs go, as the user who signed in; without it they are processes.
    port, private_port, proxy_port : int
        Of its web side, of itself behind that, and of the way to schedulers.
    """

    folder: Path
    hub: str = ""
    farm: Farm | None = None
    prefix: str = ""
    hub_token: str = PASSWORD
    port: int = field(default_factory=free_port)
    private_port: int = field(default_factory=free_port)
    proxy_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.daemons = Daemons(self.folder)
        self.key = base64.b64encode(secrets.token_bytes(32)).decode()

    @property
    def host(self) -> str:
        """Where its clusters can reach it."""
        return self.farm.nodes.host if self.farm else "127.0.0.1"

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Start it, or start it anew with what its database says."""
        told = {
            "folder": str(self.folder),
            "host": self.host,
            "slurm": _prepare_slurm(self.farm, self.folder) if self.farm else "",
            "python": sys.executable,
            "port": self.port,
            "private_port": self.private_port,
            "proxy_port": self.proxy_port,
            "password": PASSWORD,
            "hub": self.hub,
            "hub_token": self.hub_token,
            "prefix": self.prefix,
            "key": self.key,
            "limited": LIMITED,
        }
        environment = os.environ | {"BEAMPIPE_TEST_GATEWAY": json.dumps(told)}
        environment["PATH"] = f"{INSTALLED / 'bin'}:{environment['PATH']}"
        server = str(INSTALLED / "bin" / "dask-gateway-server")

        def is_healthy() -> bool:
            # A port may be in use for a moment, as that of a connection which others make.
            if not self.daemons.running():
                self.daemons.start("gateway", [server, "-f", str(CONFIG)], environment)
                time.sleep(0.5)
            return self._answer() == http.client.OK

        try:
            wait_until(is_healthy, "the gateway")
        except TimeoutError as error:
            log = (self.folder / "gateway.out").read_text()[-3000:]
            raise TimeoutError(f"{error}\n{log}") from None

    def kill(self) -> None:
        """End it as a crash does; its clusters go on."""
        for pid in self.daemons.running():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.daemons.running(), "the gateway's end")
        wait_until(lambda: self._answer() is None, "the end of its proxy")

    def _answer(self) -> int | None:
        """The HTTP status that it answers with; None: nobody answers."""
        door = http.client.HTTPConnection(self.host, self.port, timeout=5)
        with contextlib.closing(door):
            try:
                door.request("GET", f"{self.prefix}/api/health")
                return door.getresponse().status
            except OSError:
                return None

    def stop(self) -> None:
        """End it and its clusters."""
        self.daemons.stop(patience_s=60)

    def write_profile(self, folder: Path, name: str = "gate", **values: str) -> None:
        """Leave a site's profile for it."""
        folder.mkdir(parents=True, exist_ok=True)
        home = pwd.getpwnam(USER).pw_dir if self.farm else ""
        logs = {"gateway_logs": f'"{home}/.dask-gateway"'} if home else {}
        lines = (
            {
                "provider": '"gateway"',
                "gateway_address": f'"{self.address}"',
                "gateway_proxy_address": f'"{self.host}:{self.proxy_port}"',
                "gateway_auth": '"simple"',
                "cores": "1",
                "memory": '"512 MiB"',
            }
            | logs
            | values
        )
        text = "".join(f"{key} = {value}\n" for key, value in lines.items())
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def need_gateway() -> None:
    """Skip, or fail in CI, where the server is not installed."""
    if (INSTALLED / "bin" / "dask-gateway-server").exists():
        return
    reason = f"dask-gateway-server is not there: tests/farms/install-gateway.sh {INSTALLED}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def running_gateway(hub: str = "", farm: Farm | None = None) -> Iterator[GatewayServer]:
    """Start a server of one's own."""
    need_gateway()
    with tempfile.TemporaryDirectory(prefix="bp-gateway-", ignore_cleanup_errors=True) as folder:
        server = GatewayServer(Path(folder), hub, farm)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _prepare_slurm(farm: Farm, folder: Path) -> str:
    """What its server needs of a machine: homes of users, and commands that find this Slurm."""
    for name in (USER, SECOND_USER):
        user = pwd.getpwnam(name)
        Path(user.pw_dir).mkdir(exist_ok=True)
        os.chown(user.pw_dir, user.pw_uid, user.pw_gid)
    settings = "".join(
        f"export {name}={shlex.quote(text)}\n" for name, text in farm.environment.items()
    )
    for name, command in SLURM_COMMANDS.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\n{settings}exec {command} "$@"\n')
        program.chmod(0o755)
    folder.chmod(0o755)
    return str(folder)


def ids(status: tuple[str, ...] = ("pending", "running")) -> list[str]:
    """The clusters that the server of site ``gate`` has of whoever is signed in."""
    with open_door(load_site("gate")) as gateway:
        return [each.name for each in gateway.list_clusters(status=list(status))]


ALL = ("pending", "running", "stopping")


def end_all() -> None:
    """End whatever clusters the server of site ``gate`` has of whoever is signed in."""
    with open_door(load_site("gate")) as gateway:
        for each in gateway.list_clusters():
            gateway.stop_cluster(each.name)
    wait_until(lambda: not ids(ALL), "the end of all clusters")


@contextlib.contextmanager
def played_hub() -> Iterator[str]:
    """What of JupyterHub's API a gateway asks: whose a token is; nobody's is refused."""
    tokens = {
        "token good": {"name": "alice", "scopes": ["access:services!service=dask-gateway"]},
        "token narrow": {"name": "alice", "scopes": ["self"]},
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            user = tokens.get(self.headers.get("Authorization", ""))
            self.send_response(200 if user else 403)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"kind": "user", **(user or {})}).encode())

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hub/api"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def signed_in(username: str, password: str = PASSWORD) -> Iterator[None]:
    """Be one of its users."""
    import dask_gateway  # noqa: F401 (its defaults would go with ours when these are taken back)

    shown = {"username": username, "password": password}
    with dask.config.set({"gateway.auth.type": "basic", "gateway.auth.kwargs": shown}):
        yield
