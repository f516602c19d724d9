"""A gateway's server that is played: it answers as it is told, and starts nothing."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

OPTIONS = [
    {
        "field": "worker_cores",
        "default": 1,
        "label": "Cores",
        "spec": {"type": "int", "min": 1, "max": 4},
    },
    {"field": "env", "default": {}, "label": "Variables", "spec": {"type": "mapping"}},
]


@dataclass
class PlayedGateway:
    """What it says, and what it was asked.

    Attributes
    ----------
    address : str
    clusters : dict
        The state of each by its name: ``"PENDING"``, ``"RUNNING"``, ...
    refuses : str
        Why it starts no cluster; empty: it does.
    next_states : list of str
        Of a cluster, look after look; the last one stays. ``"BROKEN"`` is no answer.
    hesitates_s : float
        Between taking a cluster and saying so [s].
    asked : list of str
        Method and path, in the order in which they came.
    """

    address: str = ""
    clusters: dict[str, str] = field(default_factory=dict)
    refuses: str = ""
    next_states: list[str] = field(default_factory=list)
    hesitates_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    submitted: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON."""
        self.asked.append(f"{method} {path}")
        name = path.partition("?")[0].rpartition("/clusters/")[2]
        if path == "/api/version":
            return 200, {"version": "played"}
        if path == "/api/v1/options":
            return 200, {"cluster_options": OPTIONS}
        if method == "POST":
            return self._submit(json.loads(body)["cluster_options"])
        if not name:
            kept = {"PENDING", "RUNNING", "STOPPING"}
            return 200, {one: self._report(one) for one, at in self.clusters.items() if at in kept}
        if method == "DELETE":
            if name in self.clusters:
                self.clusters[name] = "STOPPED"
            return 204, None
        return self._tell(name)

    def _submit(self, options: dict[str, Any]) -> tuple[int, Any]:
        if self.refuses:
            return 422, {"error": self.refuses}
        self.submitted.append(options)
        name = f"c{len(self.clusters)}"
        self.clusters[name] = "PENDING"
        time.sleep(self.hesitates_s)
        return 201, {"name": name}

    def _tell(self, name: str) -> tuple[int, Any]:
        if name not in self.clusters:
            return 404, {"error": f"Cluster {name} not found"}
        if self.next_states and self.clusters[name] != "STOPPED":
            state = self.next_states[0]
            self.next_states = self.next_states[1:] or [state]
            if state == "BROKEN":
                return 0, None
            self.clusters[name] = state
        return 200, self._report(name)

    def _report(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "options": {},
            "status": self.clusters[name],
            "dashboard_route": f"/clusters/{name}/status",
            "start_time": 1000,
            "stop_time": None,
            "tls_cert": None,
            "tls_key": None,
        }


@contextlib.contextmanager
def playing() -> Iterator[PlayedGateway]:
    """Let it play."""
    played = PlayedGateway()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _serve(self):
            length = int(self.headers.get("Content-Length") or 0)
            status, answer = played.answer(self.command, self.path, self.rfile.read(length))
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            if answer is not None:
                self.wfile.write(json.dumps(answer).encode())

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 (the library calls them so)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        played.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield played
        finally:
            server.shutdown()
            thread.join()
