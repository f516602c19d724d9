"""A whole JupyterHub on this machine: its proxy, servers of users, and a gateway as its service."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import secrets
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.farms.daemons import PATIENCE_S, Daemons, free_port, wait_until
from tests.farms.gateway import GatewayServer, need_gateway
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

INSTALLED = Path("/var/tmp/beampipe-farms/hub")
CONFIG = Path(__file__).with_name("hub_config.py")
USERS = ("alice", "bob")
SERVICE = "/services/dask-gateway"


@dataclass
class Hub:
    """A Hub that runs.

    Attributes
    ----------
    folder : Path
    port, hub_port, proxy_api_port : int
        What browsers call, itself, and what its proxy is told through.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    hub_port: int = field(default_factory=free_port)
    proxy_api_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.daemons = Daemons(self.folder)
        self.admin_token, self.service_token = secrets.token_hex(16), secrets.token_hex(16)
        (self.folder / "gateway").mkdir()
        self.gateway = GatewayServer(
            self.folder / "gateway",
            hub=f"http://127.0.0.1:{self.hub_port}/hub/api",
            prefix=SERVICE,
            hub_token=self.service_token,
        )

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        told = {
            "folder": str(self.folder),
            "port": self.port,
            "hub_port": self.hub_port,
            "proxy_api_port": self.proxy_api_port,
            "proxy": [str(INSTALLED / "proxy/node_modules/.bin/configurable-http-proxy")],
            "singleuser": str(INSTALLED / "bin" / "jupyterhub-singleuser"),
            "password": secrets.token_hex(16),
            "users": USERS,
            "gateway": f"http://127.0.0.1:{self.gateway.port}",
            "gateway_proxy_port": self.gateway.proxy_port,
            "service_token": self.service_token,
            "admin_token": self.admin_token,
        }
        for user in USERS:
            (self.folder / user).mkdir()
        kernel = self.folder / "jupyter" / "kernels" / "beampipe" / "kernel.json"
        kernel.parent.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        kernel.write_text(json.dumps({"argv": argv, "display_name": "b", "language": "python"}))
        environment = os.environ | {"BEAMPIPE_TEST_HUB": json.dumps(told)}
        environment["PATH"] = f"{INSTALLED / 'bin'}:{environment['PATH']}"
        program = str(INSTALLED / "bin" / "jupyterhub")
        self.daemons.start("hub", [program, "-f", str(CONFIG)], environment)
        try:
            wait_until(lambda: self.ask("GET", "/hub/api/")[0] == http.client.OK, "the Hub")
        except TimeoutError as error:
            raise TimeoutError(
                f"{error}\n{(self.folder / 'hub.out').read_text()[-3000:]}"
            ) from None
        self.gateway.start()

    def stop(self) -> None:
        for user in USERS:
            with contextlib.suppress(OSError):
                self.ask("DELETE", f"/hub/api/users/{user}/server")
        self.gateway.stop()
        self.daemons.stop(patience_s=60)

    def ask(
        self, method: str, path: str, told: Any = None, *, token: str | None = None
    ) -> tuple[int, Any]:
        """Ask through the Hub's proxy, as a browser does; the HTTP status, and the answer."""
        door = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Authorization": f"token {self.admin_token if token is None else token}"}
        body = None if told is None else json.dumps(told)
        with contextlib.closing(door):
            try:
                door.request(method, path, body, headers)
                answer = door.getresponse()
                text = answer.read().decode(errors="replace")
            except ConnectionError:
                return 0, ""
        with contextlib.suppress(ValueError):
            return answer.status, json.loads(text)
        return answer.status, text

    def start_server(self, user: str) -> None:
        """Start a user's server, and wait until it is there."""
        self.ask("POST", f"/hub/api/users/{user}")
        status, words = self.ask("POST", f"/hub/api/users/{user}/server")
        assert status in {http.client.CREATED, http.client.ACCEPTED}, words

        def is_there() -> bool:
            servers = self.ask("GET", f"/hub/api/users/{user}")[1]["servers"]
            return bool(servers.get("", {}).get("ready"))

        wait_until(is_there, f"the server of {user}")

    def stop_server(self, user: str) -> None:
        """End a user's server, and with it its token."""
        self.ask("DELETE", f"/hub/api/users/{user}/server")
        wait_until(
            lambda: not self.ask("GET", f"/hub/api/users/{user}")[1]["servers"], "its end", 60
        )

    def make_token(self, user: str, *, lives_s: int | None = None) -> str:
        """A token of a user's, as from the Hub's token page."""
        self.ask("POST", f"/hub/api/users/{user}")
        told = {"note": "test", "expires_in": lives_s}
        status, made = self.ask("POST", f"/hub/api/users/{user}/tokens", told)
        assert status == http.client.CREATED, made
        return made["token"]

    def run_cell(self, user: str, code: str) -> Any:
        """Run code in a kernel of a user's server, through the proxy; it prints one JSON object."""
        status, kernel = self.ask("POST", f"/user/{user}/api/kernels", {"name": "beampipe"})
        assert status == http.client.CREATED, kernel
        return asyncio.run(self._talk(f"/user/{user}/api/kernels/{kernel['id']}/channels", code))

    async def _talk(self, path: str, code: str) -> Any:
        headers = {"Authorization": f"token {self.admin_token}"}
        request = HTTPRequest(f"ws://127.0.0.1:{self.port}{path}", headers=headers)
        channel = await websocket_connect(request)
        header = {"msg_id": uuid.uuid4().hex, "session": "x", "username": "x", "version": "5.3"}
        message = {
            "header": {**header, "msg_type": "execute_request"},
            "parent_header": {},
            "metadata": {},
            "channel": "shell",
            "content": {"code": code, "silent": False},
        }
        await channel.write_message(json.dumps(message))
        give_up, written = time.monotonic() + PATIENCE_S, ""
        while time.monotonic() < give_up:
            told = json.loads(str(await asyncio.wait_for(channel.read_message(), PATIENCE_S)))
            if told["msg_type"] == "stream":
                written += told["content"]["text"]
                for line in written.splitlines():
                    if line.startswith("{") and line.endswith("}"):
                        channel.close()
                        while await asyncio.wait_for(channel.read_message(), PATIENCE_S):
                            pass  # until it is closed on both sides
                        return json.loads(line)
            if told["msg_type"] == "error":
                raise AssertionError("\n".join(told["content"]["traceback"]))
        raise TimeoutError(written)


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    """Start a Hub of one's own."""
    need_gateway()
    if not (INSTALLED / "bin" / "jupyterhub").exists():
        reason = f"JupyterHub is not there: tests/farms/install-hub.sh {INSTALLED}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="bp-hub-", ignore_cleanup_errors=True) as folder:
        hub = Hub(Path(folder))
        try:
            hub.start()
            yield hub
        finally:
            hub.stop()
