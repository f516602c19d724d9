"""Files with secrets in them: read whole, and only if they are ours alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from beampipe.environments.secret import Secret
from beampipe.errors import (
    CredentialInvalidError,
    CredentialMissingError,
    CredentialUnsafeError,
)

LARGEST_BYTES = 10**6
_PRIVATE = 0o077
REMEDIES = {
    "proxy": "make a new one: `voms-proxy-init`, or `beampipe proxy create`",
    "token": "get one with your site's client (`htgettoken`, `oidc-token`)",
}


def read_file(path: Path, *, what: str) -> tuple[Secret, os.stat_result]:
    """Read a credential's file, and how it lies there.

    Raises
    ------
    CredentialMissingError, CredentialInvalidError, CredentialUnsafeError
        It is not there, no file of a credential's size, or may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # what is named may be a pipe
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_BYTES:
                raise invalid_file(path, "it is no file, or much too large", what)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return Secret(file.read()), found
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CredentialMissingError(
            f"There is no {what} at {path}.",
            why="no such file",
            fix=REMEDIES.get(what, "correct the path"),
            path=str(path),
        ) from error
    except OSError as error:
        raise CredentialUnsafeError(
            f"The {what} {path} cannot be read.",
            why=error.strerror or str(error),
            fix="look at whose it is; it must be yours, and for you alone",
            path=str(path),
        ) from error


def check_private(path: Path, mode: int, owner: int, *, what: str) -> None:
    """See that a secret is for its owner alone, and that this is us.

    Raises
    ------
    CredentialUnsafeError
        ``credential-unsafe``
    """
    if owner != os.geteuid():
        why, fix = f"it belongs to user {owner}, and you are {os.geteuid()}", "use one of your own"
    elif mode & _PRIVATE:
        why, fix = f"its mode is {mode:04o}", f"`chmod go= '{path}'`; then think of a new one"
    else:
        return
    raise CredentialUnsafeError(
        f"Others have access to the {what} {path}.", why=why, fix=fix, path=str(path)
    )


def invalid_file(path: Path, why: str, what: str) -> CredentialInvalidError:
    """Make the error for a file that does not hold what it is to hold."""
    return CredentialInvalidError(
        f"{path} cannot be used as a {what}.",
        why=why,
        fix=REMEDIES.get(what, "give the right file"),
        path=str(path),
    )


def describe_time(seconds: float) -> str:
    """Write a time as people say it.

    >>> describe_time(45000), describe_time(600)
    ('12 h 30 min', '10 min')
    """
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
