"""Two users with a cluster each, on the same farm."""

from __future__ import annotations

import json
import operator
import subprocess
import sys
from pathlib import Path
from typing import Any

from distributed import Client
from distributed.security import Security
from storytelling import PATIENCE_S, connected, ids, open_cluster, reach, tell, wait_for


def owner() -> dict[str, Any]:
    """Has a cluster while the other one tries what can be tried."""
    with open_cluster(n_workers=2) as cluster:
        cluster.wait_for_workers(2, timeout=PATIENCE_S)
        wait_for(lambda: len(connected(cluster)) == 2, "two connected jobs")
        jobs = ids(cluster.jobs())
        files = [
            str(cluster.folder.key),
            str(cluster.folder.certificate),
            str(cluster.folder.script),
        ]
        reach("open", address=cluster.scheduler_address, jobs=jobs, files=files)
        with cluster.get_client() as client:
            total = sum(client.gather(client.map(operator.neg, range(10))))
        return {"total": total, "untouched": ids(connected(cluster)) == jobs}


def stranger() -> dict[str, Any]:
    """Sees nothing of the other's cluster, is not let in, and ends none of its jobs."""
    reach("begin")
    other = json.loads(Path("other.json").read_text())
    with open_cluster(n_workers=1) as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE_S)
        wait_for(lambda: len(connected(cluster)) == 1, "one connected job")
        reap = [sys.executable, "-m", "beampipe", "cluster", "reap", "--all", "--yes"]
        reaped = subprocess.run(reap, capture_output=True, text=True, check=True).stdout
        keys = {"none": Security(), "own": cluster.security, "new": Security.temporary()}
        return {
            "read": [path for path in other["files"] if can_read(path)],
            "let_in": [name for name, key in keys.items() if can_connect(other["address"], key)],
            "let_in_at_home": can_connect(cluster.scheduler_address, cluster.security),
            "sees": [job for job in other["jobs"] if job in ids(cluster.jobs())],
            "reaped": reaped.strip(),
            "own": len(connected(cluster)),
        }


def can_read(path: str) -> bool:
    try:
        return bool(Path(path).read_bytes())
    except OSError:
        return False


def can_connect(address: str, security: Security) -> bool:
    if not security.require_encryption:
        address = address.replace("tls://", "tcp://")
    try:
        with Client(address, security=security, timeout=10, set_as_default=False) as client:
            return client.submit(operator.neg, 1).result(timeout=10) == -1
    except (OSError, TimeoutError):
        return False


if __name__ == "__main__":
    tell(owner, stranger)
