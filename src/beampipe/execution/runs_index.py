"""Where runs are, and which one is meant."""

from __future__ import annotations

import contextlib
import difflib
import itertools
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from beampipe.errors import NotARunError
from beampipe.execution.storage import DIRECTORY_MODE, storage_errors
from beampipe.settings import load_settings

LATEST = "latest"
_NAME_LENGTH = 50  # file systems take 255 bytes, and a letter may take four


def run_root() -> Path:
    """The folder that new runs go to."""
    return Path(load_settings().run_root).expanduser()


def _expand(text: str | Path) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ``~nobody``: a run may be called so
        return Path(text)


def _is_run(path: Path) -> bool:
    try:
        return (path / "run.json").is_file()
    except (OSError, ValueError):  # too long for a name, not to be looked into, a null in it
        return False


def list_runs(root: Path | None = None) -> Iterator[Path]:
    """Go through the run directories below a folder, the oldest first."""
    root = run_root() if root is None else root
    if not root.is_dir():
        return
    # One with a dot is being removed.
    found = (path.parent for path in root.glob("[!.]*/run.json"))
    yield from sorted(found, key=lambda path: ((path / "run.json").stat().st_mtime, path.name))


def find_run(text: str | Path) -> Path:
    """The run directory that a path, a name under the run root, or ``latest`` stands for.

    Raises
    ------
    NotARunError
        ``run-not-found``: with the closest names that there are.
    """
    for path in (_expand(text), run_root() / text):
        if _is_run(path):
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
    """Make an empty directory for a new run: time first, so that they sort.

    It is made at once, so that of two runs that begin in the same second each has its own.

    Raises
    ------
    RunStorageError
        ``run-storage``
    """
    root = run_root() if root is None else root
    safe = re.sub(r"[^\w.+-]+", "-", name)[:_NAME_LENGTH].strip("-.") or "run"
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        path = root / (f"{stamp}-{safe}" if number == 1 else f"{stamp}-{safe}-{number}")
        with storage_errors(path), contextlib.suppress(FileExistsError):
            path.mkdir(DIRECTORY_MODE)
            break
    return path
