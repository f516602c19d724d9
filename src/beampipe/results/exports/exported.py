"""What an export gives back, and how what is written gets its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from beampipe.errors import ExportError


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written where, and what was not.

    Attributes
    ----------
    path : Path
        The file, or the directory for parquet.
    written : tuple of str
        Paths in the output of what is in it.
    skipped : dict of str to str
        Paths in the output of what is not, with the reason.
    """

    path: Path
    written: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)


@contextmanager
def mapped_errors(path: Path) -> Iterator[None]:
    """Turn what the file system says into an `ExportError`."""
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"{path} cannot be written.",
            why=str(error),
            fix="give another file with --output",
        ) from error


def partial_path(path: Path) -> Path:
    """Give the name to write under until everything is in; a torn export is never called `path`."""
    return path.with_name(f".{path.name}.part")


def make_member_name(name: str, taken: set[str]) -> str:
    """Make one name of `name` that no other has; adds it to `taken`."""
    candidate, number = name, 2
    while candidate.lower() in taken:
        candidate, number = f"{name}-{number}", number + 1
    taken.add(candidate.lower())
    return candidate
