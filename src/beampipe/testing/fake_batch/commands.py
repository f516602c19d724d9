"""Put fake commands on PATH, and what they have in common."""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

from beampipe.testing.fake_batch.queue import FakeQueue

FOLDER: Final = "BEAMPIPE_FAKE_BATCH"
_PROGRAM: Final = """\
#!{python}
import sys
from beampipe.testing.fake_batch.commands import main
main({system!r}, {command!r}, sys.argv[1:])
"""


def install_fakes(folder: Path, system: str, commands: tuple[str, ...]) -> dict[str, str]:
    """Write fake commands.

    Parameters
    ----------
    folder : Path
        For the commands and the queue behind them.
    system : str
        Whose commands, as a site's profile names it: ``"slurm"``.
    commands : tuple of str
        Their names.

    Returns
    -------
    dict
        What must stand in the environment of who uses them.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for command in commands:
        path = programs / command
        text = _PROGRAM.format(python=sys.executable, system=system, command=command)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    search = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"PATH": search, FOLDER: str(folder / "queue")}


def main(system: str, command: str, argv: list[str]) -> None:
    """Run one fake command (what the programs on PATH do)."""
    queue = FakeQueue(Path(os.environ[FOLDER]))
    module = importlib.import_module(f"beampipe.testing.fake_batch.{system}")
    module.COMMANDS[command](queue, argv)


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


def fail(text: str, exit_code: int = 1) -> NoReturn:
    """End with an error."""
    sys.stderr.write(f"{text}\n")
    raise SystemExit(exit_code)


def misbehave(queue: FakeQueue) -> None:
    """Hang, fail, or print nonsense, if the queue is to."""
    rules = queue.rules()
    time.sleep(rules.hang_s)
    if rules.fail:
        fail(rules.fail)
    if rules.print:
        say(rules.print)
        raise SystemExit(0)
