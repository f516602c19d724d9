"""The story of workers that do not see the user's folder: all that they need goes to them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from blind_analysis import BlindAnalysis
from storytelling import PATIENCE_S, SYSTEM, open_cluster, tell


def blind() -> dict[str, Any]:
    """The same result as here, by workers that see nothing of ours but the data's server."""
    here = Path.cwd()
    seen = here.with_name(f"{here.name} seen by all")
    analysis = BlindAnalysis(here, seen)
    # HTCondor sends the keys along; elsewhere they lie where the workers see them.
    sent = {"key_files": "transfer"} if SYSTEM == "htcondor" else {"work_folder": str(seen)}
    how = {"python": str(analysis.python), "variables": analysis.variables}
    with open_cluster(n_workers=1, **how, **sent) as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE_S)
        with cluster.get_client() as client:
            compared = analysis.compare(client)
        script = cluster.job_script()
    shutil.rmtree(seen)
    return compared | {
        "encrypted": cluster.scheduler_address.startswith("tls://") or "tls://" in script,
        "secret": "PRIVATE" in script,
    }


if __name__ == "__main__":
    tell(blind)
