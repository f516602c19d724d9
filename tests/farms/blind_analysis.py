"""An analysis that needs all that can travel: modules, an input, and data behind a proxy.

Stories run it where workers see none of the user's folder: `here`, covered with an empty one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import beampipe as bp

VARIABLE = "BEAMPIPE_TEST_STORY"
ANALYSIS = """
import json
import os
import hist
import beampipe as bp


def process(events):
    from cuts.met import CUT

    scale = json.loads(bp.input_path("scale.json").read_text())
    met = hist.Hist.new.Reg(50, 0, 200, name="met").Int64()
    met.fill(events.MET.pt[events.MET.pt > CUT] * scale)
    where = os.environ.get("X509_USER_PROXY", "")
    return {"n": len(events), "met": met, "proxies": {where}}
"""
# Root in a namespace of its own, the user covers the folder with an empty one.
BLIND_PYTHON = """#!/bin/sh
exec unshare --user --map-root-user --mount \\
  sh -c 'mount -t tmpfs none "$0" && exec "$@"' {folder!r} {python} "$@"
"""


def facts_for_story(url: str, proxy: Path, certificates: Path, **more: str) -> dict[str, str]:
    """What a test tells a story, as a variable of its environment."""
    told = {"url": url, "proxy": str(proxy), "certificates": str(certificates)} | more
    return {VARIABLE: json.dumps(told), "X509_CERT_DIR": str(certificates)}


class BlindAnalysis:
    """The analysis, laid out in a folder that workers do not see.

    Parameters
    ----------
    here : Path
        The folder; the user's proxy is moved to it.
    seen : Path
        One that workers see, for the Python that hides the other one.
    """

    def __init__(self, here: Path, seen: Path) -> None:
        self.here, self.seen = here, seen
        self.told = json.loads(os.environ[VARIABLE])
        seen.mkdir(exist_ok=True)
        self.proxy = Path(self.told["proxy"]).rename(here / "proxy µ")
        os.environ["X509_USER_PROXY"] = str(self.proxy)
        self._project = here / "project µ"
        (self._project / "cuts").mkdir(parents=True)
        (self._project / "cuts" / "__init__.py").touch()
        (self._project / "cuts" / "met.py").write_text(
            "import offsets\nCUT = 20.0 + offsets.OFFSET\n"
        )
        (self._project / "offsets.py").write_text("OFFSET = 5.0\n")
        (self._project / "scale.json").write_text("2")
        (self._project / "analysis.py").write_text(ANALYSIS)
        self.python = seen / "python"
        self.python.write_text(BLIND_PYTHON.format(folder=str(here), python=sys.executable))
        self.python.chmod(0o755)

    @property
    def variables(self) -> Mapping[str, str]:
        """What workers need in their environment: whom to trust is a site's to say."""
        return {"X509_CERT_DIR": self.told["certificates"]}

    def run(self, client: Any) -> bp.RunResult:
        """Run it."""
        return bp.run(
            f"{self._project}/analysis.py:process",
            f"{self.told['url']}/",
            client=client,
            inputs=[self._project / "scale.json"],
            progress=False,
            fresh=True,
        )

    def compare(self, client: Any) -> dict[str, Any]:
        """Run it here and there: what is told of the two."""
        blinds = client.run(lambda folder: not list(Path(folder).iterdir()), str(self.here))
        here, there = self.run("inline").output, self.run(client)
        places = there.output["proxies"]
        return {
            "blind": all(blinds.values()),
            "equal": all(there.output[name] == here[name] for name in ("n", "met")),
            "complete": there.is_complete,
            "notes": list(there.notes),
            "proxies sent": bool(places) and not places & {"", str(self.proxy)},
            "proxies left": [place for place in places if Path(place).exists()],
        }
