"""Blind workers of a gateway: ``python gateway_story.py SEEN`` in an empty folder.

`SEEN` is a folder that the workers see. It prints one JSON object at the end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dask
from blind_analysis import BlindAnalysis

import beampipe as bp

PATIENCE_S = 200


def main(seen: str) -> None:
    analysis = BlindAnalysis(Path.cwd(), Path(seen))
    user = {"username": "alice", "password": analysis.told["password"]}
    with dask.config.set({"gateway.auth.type": "basic", "gateway.auth.kwargs": user}):
        how = {"conda": str(analysis.python), "variables": analysis.variables}
        with bp.cluster("gate", n_workers=1, **how) as cluster:
            cluster.wait_for_workers(1, timeout=PATIENCE_S)
            with cluster.get_client() as client:
                compared = analysis.compare(client)
    sys.stdout.write(f"{json.dumps(compared)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
