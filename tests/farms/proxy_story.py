"""A run on a worker that does not see its user's proxy: ``python proxy_story.py FOLDER URL RUN``.

A process of its own, since XRootD's client asks once for where the proxy is. With a folder of
signs it waits in the middle of the data, until the test has done its part.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from distributed import Client, LocalCluster
from distributed.security import Security

import beampipe as bp

HIDDEN = 'mount -t tmpfs none "$1" && shift && exec "$@"'


def process(events, signs=""):
    import numpy as np

    place = os.environ.get("X509_USER_PROXY", "")
    total = float(np.sum(events.MET.pt))
    if signs and events.metadata["entrystart"] > 0:
        (Path(signs) / "new").write_text(place)
        (Path(signs) / "new").rename(Path(signs) / "half way")
        while not (Path(signs) / "go on").exists():
            time.sleep(0.05)
    return {"n": len(events), "sum": total, "places": {place}}


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


def main(folder: str, url: str, run_dir: str, signs: str = "") -> None:
    security = Security.temporary()
    hidden = str(Path(os.environ["X509_USER_PROXY"]).parent)
    with (
        LocalCluster(
            n_workers=0, dashboard_address=":0", protocol="tls://", security=security
        ) as cluster,
        Client(cluster, security=security) as client,
    ):
        worker = start_worker(cluster.scheduler_address, security, Path(folder), hidden)
        client.wait_for_workers(1, timeout=120)
        before = client.run(look)
        if signs:
            (Path(signs) / "ready").touch()
            while not (Path(signs) / "begin").exists():
                time.sleep(0.05)
        result = bp.run(
            process,
            url,
            client=client,
            run_dir=run_dir,
            progress=False,
            chunksize=1000,
            params={"signs": signs},
        )
        after = client.run(look)
        output = result.output | {"places": sorted(result.output["places"])}
        told = {"output": output, "notes": result.notes, "complete": result.is_complete}
        states = {"before": list(before.values()), "after": list(after.values())}
        sys.stdout.write(json.dumps(told | states, default=str) + "\n")
        worker.terminate()
        worker.wait(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
