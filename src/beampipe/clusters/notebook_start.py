"""What a notebook's job runs: finds a port, and becomes JupyterLab.

``python -m beampipe.clusters.notebook_start FOLDER WORK``: the folder of the notebook, which has
its token and its certificate, and the one where it starts.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import psutil

TOKEN, CERTIFICATE, KEY, HOST, RUNTIME = "token", "certificate.pem", "key.pem", "host", "runtime"
_TRIES = 100


def build_command(folder: Path, work: Path, *, only_here: bool) -> tuple[list[str], dict[str, str]]:
    """The command that becomes JupyterLab, and what its environment has besides."""
    argv = [sys.executable, "-m", "jupyterlab", "--no-browser"]
    argv += [f"--ServerApp.ip={'127.0.0.1' if only_here else '0.0.0.0'}"]  # noqa: S104 (with TLS and a token)
    argv += [f"--ServerApp.port={_find_port()}", f"--ServerApp.port_retries={_TRIES}"]
    argv += [f"--ServerApp.root_dir={work}", "--ServerApp.allow_remote_access=True"]
    if not only_here:
        argv += [f"--ServerApp.certfile={folder / CERTIFICATE}"]
        argv += [f"--ServerApp.keyfile={folder / KEY}"]
    if os.geteuid() == 0:
        argv += ["--allow-root"]
    added = {
        # Never on a command line, which everybody on the node may read.
        "JUPYTER_TOKEN_FILE": str(folder / TOKEN),
        "JUPYTER_RUNTIME_DIR": str(folder / RUNTIME),
        # Dashboards of clusters that are started in the notebook come through it.
        "DASK_DISTRIBUTED__DASHBOARD__LINK": "/proxy/{port}/status",
    }
    return argv, added


def read_server(folder: Path) -> dict[str, object] | None:
    """What the running server has written about itself: ``port``, ``pid``; None before that."""
    for path in sorted((folder / RUNTIME).glob("jpserver-*.json")):
        try:
            facts = json.loads(path.read_bytes())
        except (OSError, ValueError):  # it is just being written
            continue
        if isinstance(facts, dict) and "port" in facts:
            return {"port": facts["port"], "pid": facts.get("pid")}
    return None


def find_address() -> str:
    """Find the first address of this node that others may reach; empty where there is none."""
    return next(
        (
            address.address
            for _, addresses in sorted(psutil.net_if_addrs().items())
            for address in addresses
            if address.family == socket.AF_INET and not address.address.startswith("127.")
        ),
        "",
    )


def _find_port() -> int:
    """A port that is free just now; JupyterLab tries others if somebody takes it."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    """Become JupyterLab."""
    folder, work = Path(sys.argv[1]), Path(sys.argv[2])
    only_here = "--only-here" in sys.argv[3:]
    (folder / HOST).write_text(f"{socket.getfqdn()} {find_address()}", encoding="utf-8")
    argv, added = build_command(folder, work, only_here=only_here)
    os.chdir(work)
    os.execve(argv[0], argv, {**os.environ, **added})  # noqa: S606 (no shell, and signals must reach it)


if __name__ == "__main__":
    main()
