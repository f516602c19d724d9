"""The story of workers that see no Python of ours: the environment goes to them, packed."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import sys
from importlib import metadata
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
# The job's script begins again, where folders are covered.
COVER = """[ "$COVERED" ] || COVERED=yes exec unshare --user --map-root-user --mount sh -c \\
  'while [ "$1" != -- ]; do mount -t tmpfs none "$1"; shift; done; shift; exec "$@"' \\
  sh {folders} -- /bin/bash "$0" "$@"
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


def packed() -> dict[str, Any]:
    """The same result as here, by workers that see neither our folders nor any Python of ours."""
    here = Path.cwd()
    project, seen = lay_out(here), here.with_name(f"{here.name} seen by all")
    (seen / "hosts").mkdir(parents=True)
    bp.make_data(seen / "data", events=20_000)
    hidden = [here, Path(sys.prefix), Path(bp.__file__).parents[1]]
    hidden += [Path(sys.base_prefix)] if sys.base_prefix != "/usr" else []
    how: dict[str, Any] = {"inputs": [project / "scale.json"], "progress": False, "fresh": True}
    program, data = f"{project}/analysis.py:process", str(seen / "data")
    expected = bp.run(program, data, client="inline", **how).output
    site: dict[str, Any] = {
        "client_folders": list(map(str, hidden)),
        "prologue": COVER.format(folders=shlex.join(map(str, hidden))).splitlines(),
        "packed_without": list_others("beampipe"),
        "local_directory": str(seen / "hosts"),
        "memory": "600 MiB",
    }
    site |= {"key_files": "transfer"} if SYSTEM == "htcondor" else {"work_folder": str(seen)}
    with open_cluster(n_workers=1, **site) as cluster:
        cluster.wait_for_workers(1, timeout=2 * PATIENCE_S)
        with cluster.get_client() as client:
            unseen = client.run(lambda some: not any(map(os.path.exists, some)), list_files(hidden))
            prefixes = set(client.run(lambda: sys.prefix).values())
            there = bp.run(program, data, client=client, **how)
        words = "".join(path.read_text() for path in cluster.folder.logs.iterdir())
        script = cluster.job_script()
    left = [path.name for path in Path(cluster.folder.path).glob("base-*")]
    shutil.rmtree(seen)
    return {
        "unseen": all(unseen.values()),
        "prefixes": len(prefixes),
        "unpacked": sum(f"unpacking {name}-" in words for name in ("base", "own")),
        "equal": there.output["n"] == expected["n"] and there.output["met"] == expected["met"],
        "complete": there.is_complete,
        "named": all(f"{Path(each).name}" in script for each in prefixes),
        "left": left,
    }


def list_files(folders: list[Path]) -> list[str]:
    """Something in each that is certainly there."""
    return [str(next(path for path in folder.iterdir())) for folder in folders]


def list_others(package: str) -> list[str]:
    """All that is installed and that a package does not need, so that there is less to pack."""
    wanted, waiting = set[str](), [package]
    while waiting:
        name = canonical(waiting.pop())
        if name in wanted:
            continue
        wanted.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            needs = metadata.requires(name) or []
            waiting += [re.match(r"[\w.-]+", each)[0] for each in needs if "extra ==" not in each]
    found = {each.name for each in metadata.distributions()}
    return sorted(name for name in found if canonical(name) not in wanted | {"setuptools"})


def canonical(name: str) -> str:
    """A package's name, however it is written."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    tell(packed)
