"""What was found out of what the workers of a site see, kept for the next cluster there."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beampipe.clusters.cluster_folder import find_state
from beampipe.private_files import make_private_folder, write_private

_GOOD_FOR_S: Final = 30 * 86400.0
"""Sites change; then it is looked again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether workers see a folder.

    Attributes
    ----------
    is_seen : bool
    found_at : float
        [s since 1970]
    """

    is_seen: bool
    found_at: float

    @property
    def day(self) -> str:
        """When that was found out, for people."""
        return time.strftime("%Y-%m-%d", time.localtime(self.found_at))


def _note(site: str) -> Path:
    return find_state("sites") / f"{site}.json"


def _read(site: str) -> dict[str, dict[str, float]]:
    try:
        found = json.loads(_note(site).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # nobody looked yet, or what is there is none of ours
        return {}
    return found if isinstance(found, dict) else {}


def recall_seen(site: str, folder: str) -> Seen | None:
    """What was found out of a folder, if that is not too long ago."""
    found = _read(site).get(folder)
    try:
        seen = Seen(bool(found["is_seen"]), float(found["found_at"])) if found else None
    except (KeyError, TypeError, ValueError):
        return None
    return seen if seen and time.time() - seen.found_at < _GOOD_FOR_S else None


def note_seen(site: str, folder: str, *, is_seen: bool) -> None:
    """Keep what was found out; that it cannot be kept is no error."""
    known = _read(site)
    known[folder] = {"is_seen": is_seen, "found_at": time.time()}
    with contextlib.suppress(OSError):
        make_private_folder(_note(site).parent)
        write_private(_note(site), json.dumps(known))
