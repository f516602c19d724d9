"""A run on a worker that does not see its user's proxy: ``python proxy_story.py FOLDER URL RUN``.

A process of its own, since XRootD's client asks once for where the proxy is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from distributed import Client, LocalCluster
from distributed.security import Security

import beampipe as bp

HIDDEN = 'mount -t tmpfs none "$1" && shift && exec "$@"'


def process(events):
    import numpy as np

    place = os.environ.get("X509_USER_PROXY", "")
    return {"n": len(events), "sum": float(np.sum(events.MET.pt)), "places": {place}}


def start_worker(scheduler: str, security: Security, folder: Path, hidden: str):
    """A worker that does not see `hidden`."""
    options = []
    for name in ("tls_worker_cert", "tls_worker_key", "tls_ca_file"):
        path = folder / name
        path.write_text(getattr(security, name))
        options += [f"--{name.replace('worker_', '').replace('_', '-')}", str(path)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, *options]
    worker += ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
    return subprocess.Popen(
        ["unshare", "--mount", "bash", "-c", HIDDEN, "hide", hidden, *worker], stderr=sys.stderr
    )


def look() -> tuple[bool, str]:
    place = os.environ.get("X509_USER_PROXY", "")
    return Path(place).exists(), place


def main(folder: str, url: str, run_dir: str) -> None:
    security = Security.temporary()
    hidden = str(Path(os.environ["X509_USER_PROXY"]).parent)
    with (
        LocalCluster(
            n_workers=0, dashboard_address=":0", protocol="tls://", security=security
        ) as cluster,
        Client(cluster, security=security) as client,
    ):
        worker = start_worker(cluster.scheduler_address, security, Path(folder), hidden)
        client.wait_for_workers(1, timeout=60)
        before = client.run(look)
        result = bp.run(process, url, client=client, run_dir=run_dir, progress=False)
        after = client.run(look)
        output = result.output | {"places": sorted(result.output["places"])}
        told = {"output": output, "notes": result.notes, "complete": result.is_complete}
        states = {"before": list(before.values()), "after": list(after.values())}
        sys.stdout.write(json.dumps(told | states, default=str) + "\n")
        worker.terminate()
        worker.wait(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
