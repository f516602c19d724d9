"""The story of a node on which no worker can start, and which takes one job after the other."""

from __future__ import annotations

import operator
import shlex
import sys
from pathlib import Path
from typing import Any

from storytelling import connected, open_cluster, tell, wait_for

from beampipe.clusters.fleet import Phase

# The node that is the first to run a job has no Python.
PYTHON = """#!/bin/sh
mkdir {first} 2>/dev/null && hostname > {first}/new && mv {first}/new {first}/name
while [ ! -e {first}/name ]; do sleep 0.1; done
if [ "$(cat {first}/name)" = "$(hostname)" ]; then echo "no Python on this node" >&2; exit 127; fi
exec {python} "$@"
"""
# More than the other nodes have room for: the last one must go where it fails.
WANTED, ROOM = 5, 4


def bad_node() -> dict[str, Any]:
    """It is avoided, and the cluster has its workers elsewhere, and says so."""
    python, first = Path("python").absolute(), Path("first").absolute()
    quoted = {"first": shlex.quote(str(first)), "python": shlex.quote(sys.executable)}
    python.write_text(PYTHON.format(**quoted))
    python.chmod(0o755)
    with open_cluster(n_workers=WANTED, python=str(python)) as cluster:
        wait_for(lambda: "nodes avoided" in cluster.describe_jobs(), "a node that is avoided")
        wait_for(lambda: len(connected(cluster)) == ROOM, "workers on the other nodes")
        wait_for(lambda: any(j.phase is Phase.PENDING for j in cluster.jobs()), "one that waits")
        with cluster.get_client() as client:
            total = sum(client.gather(client.map(operator.neg, range(10))))
        lost = [job for job in cluster.jobs() if job.phase is Phase.LOST]
        (bad,) = {job.host for job in lost}
        return {
            "total": total,
            "elsewhere": bad not in {job.host for job in connected(cluster)},
            "lost": len(lost),
            "told": bad in cluster.describe_jobs(),
            "jobs": any(job.reason.endswith(f"{bad} is avoided from now on") for job in lost),
            "log": [text for _, text in cluster._cluster_manager_logs if text.startswith("node ")],
        }


if __name__ == "__main__":
    tell(bad_node)
