"""Where runs are, and which one is meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from beampipe.errors import NotARunError
from beampipe.settings import load_settings

LATEST = "latest"


def run_root() -> Path:
    """The folder that new runs go to."""
    return Path(load_settings().run_root).expanduser()


def list_runs(root: Path | None = None) -> Iterator[Path]:
    """Go through the run directories below a folder, the oldest first."""
    root = run_root() if root is None else root
    if not root.is_dir():
        return
    found = (path.parent for path in root.glob("*/run.json"))
    yield from sorted(found, key=lambda path: ((path / "run.json").stat().st_mtime, path.name))


def find_run(text: str | Path) -> Path:
    """The run directory that a path, a name under the run root, or ``latest`` stands for.

    Raises
    ------
    NotARunError
        ``run-not-found``: with the closest names that there are.
    """
    for path in (Path(text).expanduser(), run_root() / text):
        if (path / "run.json").is_file():
            return path
    runs = list(list_runs())
    if str(text) == LATEST and runs:
        return runs[-1]
    close = difflib.get_close_matches(str(text), [path.name for path in runs], 3)
    raise NotARunError(
        f"There is no run {str(text)!r}.",
        why=f"neither {text} nor {run_root() / text} holds a run.json",
        fix=f"did you mean {', '.join(close)}?" if close else "`beampipe runs` lists them",
    )


def new_run_directory(name: str, root: Path | None = None) -> Path:
    """A name for a new run that is not taken: time first, so that they sort."""
    root = run_root() if root is None else root
    safe = re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "run"
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    path = root / f"{stamp}-{safe}"
    number = 1
    while path.exists():
        number += 1
        path = root / f"{stamp}-{safe}-{number}"
    return path
