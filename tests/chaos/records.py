"""What has been played, one line of JSON each, so that a long campaign can be interrupted."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

from tests.chaos.campaign import Played
from tests.chaos.nursery import PROJECT


class Records:
    """A file of runs."""

    def __init__(self, path):
        self.path = Path(path)

    def all(self):
        if not self.path.exists():
            return []
        return [Played(**json.loads(line)) for line in self.path.read_text().splitlines()]

    def add(self, played):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(played)) + "\n")

    def known(self):
        return {(played.scenario, played.number) for played in self.all()}

    def read(self, wanted):
        """The runs that a campaign is made of; the last one where one was played twice."""
        found = {(played.scenario, played.number): played for played in self.all()}
        return [found[key] for key in wanted if key in found]

    def forget(self):
        self.path.unlink(missing_ok=True)


def describe_commit():
    """The commit that is checked out, and whether there is more than it."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"
