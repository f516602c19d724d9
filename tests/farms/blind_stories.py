"""The story of workers that do not see the user's folder: keys, code and inputs go to them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from storytelling import PATIENCE_S, SYSTEM, open_cluster, tell

import beampipe as bp

ANALYSIS = """
import json
import hist
import beampipe as bp


def process(events):
    from cuts.met import CUT

    scale = json.loads(bp.input_path("scale.json").read_text())
    met = hist.Hist.new.Reg(50, 0, 200, name="met").Int64()
    met.fill(events.MET.pt[events.MET.pt > CUT] * scale)
    return {"n": len(events), "met": met}
"""
# Root in a namespace of its own, the user covers the folder with an empty one.
BLIND_PYTHON = """#!/bin/sh
exec unshare --user --map-root-user --mount \\
  sh -c 'mount -t tmpfs none "$0" && exec "$@"' {folder!r} {python} "$@"
"""


def lay_out(here: Path) -> Path:
    """An analysis with a module beside it, imported when it runs, and a file that it reads."""
    project = here / "project µ"
    (project / "cuts").mkdir(parents=True)
    (project / "cuts" / "__init__.py").touch()
    (project / "cuts" / "met.py").write_text("import offsets\nCUT = 20.0 + offsets.OFFSET\n")
    (project / "offsets.py").write_text("OFFSET = 5.0\n")
    (project / "scale.json").write_text("2")
    (project / "analysis.py").write_text(ANALYSIS)
    return project


def blind() -> dict[str, Any]:
    """The same result as here, by workers that see nothing of ours but the data."""
    here = Path.cwd()
    project, seen = lay_out(here), here.with_name(f"{here.name} seen by all")
    seen.mkdir()
    bp.make_data(seen / "data", events=20_000)
    python = seen / "python"
    python.write_text(BLIND_PYTHON.format(folder=str(here), python=sys.executable))
    python.chmod(0o755)
    how: dict[str, Any] = {"inputs": [project / "scale.json"], "progress": False, "fresh": True}
    program, data = f"{project}/analysis.py:process", str(seen / "data")
    expected = bp.run(program, data, client="inline", **how).output
    # HTCondor sends the keys along; elsewhere they lie where the workers see them.
    sent = {"key_files": "transfer"} if SYSTEM == "htcondor" else {"work_folder": str(seen)}
    with open_cluster(n_workers=1, python=str(python), **sent) as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE_S)
        with cluster.get_client() as client:
            blinds = client.run(lambda folder: not list(Path(folder).iterdir()), str(here))
            there = bp.run(program, data, client=client, **how)
        script = cluster.job_script()
    shutil.rmtree(seen)
    return {
        "blind": all(blinds.values()),
        "equal": there.output["n"] == expected["n"] and there.output["met"] == expected["met"],
        "complete": there.is_complete,
        "encrypted": cluster.scheduler_address.startswith("tls://") or "tls://" in script,
        "secret": "PRIVATE" in script,
    }


if __name__ == "__main__":
    tell(blind)
