"""Starts a process that stays when the shell or notebook that wanted it is gone.

``python -m beampipe.clusters.detach LOG PROGRAM ARGUMENT...`` prints the process' number and ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from beampipe.private_files import PRIVATE_FILE


def start_detached(argv: list[str], log: Path) -> int:
    """Start a program in a session of its own, as nobody's child.

    Parameters
    ----------
    argv : list of str
        Program and arguments.
    log : Path
        Where it writes; only for its owner's eyes.

    Returns
    -------
    int
        Its process number.
    """
    # -P: what lies about in the folder where one happens to be is not to be imported.
    starter = [sys.executable, "-P", "-m", "beampipe.clusters.detach", str(log), *argv]
    done = subprocess.run(  # noqa: S603 (no shell)
        starter, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, text=True
    )
    return int(done.stdout)


def main() -> None:
    """Leave a child behind, in a session of its own, and become the program in it."""
    log, *argv = sys.argv[1:]
    child = os.fork()
    if child:
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        os._exit(0)
    os.setsid()
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.closerange(3, 256)
    os.execvp(argv[0], argv)  # noqa: S606 (no shell)


if __name__ == "__main__":
    main()
