"""Files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

PRIVATE_FOLDER, PRIVATE_FILE, PRIVATE_PROGRAM = 0o700, 0o600, 0o700


def write_private(path: Path, data: str | bytes, mode: int = PRIVATE_FILE) -> None:
    """Write a file that was never open to others, in the place of what may be there.

    Whoever is killed meanwhile leaves the old file or the new one; a reader never sees a part.

    Raises
    ------
    OSError
        It cannot be written; what was there still is.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask is
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def make_private_folder(path: Path) -> None:
    """Make a folder for its owner's eyes, and those above it that are missing.

    Raises
    ------
    OSError
        It cannot be made, or is no folder.
    """
    path.mkdir(parents=True, mode=PRIVATE_FOLDER, exist_ok=True)
