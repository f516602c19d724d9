"""Stories of what a site's profile says: networks, ports, environments, prologue."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from storytelling import CONTACT, PATIENCE_S, open_cluster, tell

WORKER_PORTS, NANNY_PORTS = (24000, 24009), (24010, 24019)
STAND_INS = os.environ.get("STORIES_STAND_INS", "")
VARIABLES = ("FROM_PROLOGUE", "FROM_SITE", "SAID", "CONDA_PREFIX", "APPTAINER_CONTAINER")


def find_ports(dask_worker: Any = None) -> dict[str, Any]:
    return {"worker": dask_worker.address, "nanny": dask_worker.nanny}


def networks() -> dict[str, Any]:
    """A host with two networks, ranges of ports, and somebody who has the first one of each."""
    bridge = f"bpf{CONTACT.split('.')[2]}"
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        first = taken.getsockname()[1]
        with open_cluster(
            n_workers=3,
            contact_address="",
            interface=bridge,
            worker_interface="eth0",
            scheduler_ports=f"{first}:{first + 20}",
            worker_ports=f"{WORKER_PORTS[0]}:{WORKER_PORTS[1]}",
            nanny_ports=f"{NANNY_PORTS[0]}:{NANNY_PORTS[1]}",
        ) as cluster:
            cluster.wait_for_workers(3, timeout=PATIENCE_S)
            with cluster.get_client() as client:
                found = list(client.run(find_ports).values())
                total = sum(client.gather(client.map(abs, range(-9, 0))))
            return {
                "scheduler": cluster.scheduler.address,
                "listens": cluster.scheduler.listeners[0].listen_address,
                "taken": first,
                "found": found,
                "total": total,
            }


def find_environment(names: tuple[str, ...]) -> dict[str, str]:
    said = {name: os.environ[name] for name in names if name in os.environ}
    return {**said, "prefix": sys.prefix}


def in_environment(**values: Any) -> dict[str, Any]:
    with open_cluster(
        n_workers=1,
        prologue=[f'export PATH="{STAND_INS}:$PATH"', "export FROM_PROLOGUE='µ a'"],
        variables={"FROM_SITE": "b $HOME"},
        **values,
    ) as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE_S)
        with cluster.get_client() as client:
            return client.submit(find_environment, VARIABLES).result(timeout=PATIENCE_S)


def venv() -> dict[str, Any]:
    """An environment beside the one that submits, which sees the packages of that."""
    folder = Path("an env µ").absolute()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    own = sysconfig.get_path("purelib", vars={"base": str(folder)})
    seen = [path for path in sys.path if "site-packages" in path or path.endswith("src")]
    Path(own, "seen.pth").write_text("\n".join(seen) + "\n")
    return in_environment(venv=str(folder)) | {"wanted": str(folder)}


def conda() -> dict[str, Any]:
    return in_environment(conda="my env")


def pixi() -> dict[str, Any]:
    return in_environment(pixi="/pro ject")


def apptainer() -> dict[str, Any]:
    work = Path("work µ").absolute()
    work.mkdir()
    return in_environment(apptainer="/an image.sif", python="python", work_folder=str(work))


if __name__ == "__main__":
    tell(networks, venv, conda, pixi, apptainer)
