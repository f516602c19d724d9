"""What fake ``qsub``, ``bsub`` and ``msub`` read in a script: lines of options."""

from __future__ import annotations

import shlex
from pathlib import Path

from beampipe.testing.fake_batch.queue import FakeQueue


def read_directives(text: str, prefix: str) -> dict[str, list[str]]:
    r"""Read the options of the lines that begin with a prefix.

    >>> read_directives("#PBS -N a -r n\n#PBS -l mem=1mb\n#PBS -l nodes=1:ppn=2", "#PBS")
    {'-N': ['a'], '-r': ['n'], '-l': ['mem=1mb', 'nodes=1:ppn=2']}
    """
    options: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(f"{prefix} "):
            name = ""
            for word in shlex.split(line.removeprefix(prefix)):
                if word.startswith("-"):
                    name = word
                    options.setdefault(name, [])
                elif name:
                    options[name].append(word)
    return options


def read_resources(options: dict[str, list[str]]) -> dict[str, str]:
    """Read what ``-l`` asks for.

    >>> read_resources({"-l": ["mem=1mb,walltime=01:00:00", "select=1:ncpus=2:mem=3mb"]})
    {'mem': '3mb', 'walltime': '01:00:00', 'select': '1', 'ncpus': '2'}
    """
    asked = {}
    for text in options.get("-l", []):
        for part in text.split(","):
            name, _, value = part.partition("=")
            first, *more = value.split(":") if name in {"nodes", "select"} else [value]
            asked[name] = first
            asked |= dict(entry.partition("=")[::2] for entry in more)
    return asked


def read_clock(text: str) -> int:
    """Read ``HH:MM:SS`` [s]."""
    hours, minutes, seconds = map(int, text.split(":"))
    return (hours * 60 + minutes) * 60 + seconds


def write_clock(seconds: float) -> str:
    """Write ``HH:MM:SS``."""
    whole = max(0, round(seconds))
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def keep_script(queue: FakeQueue, number: int, text: str) -> str:
    """Keep a copy of a script, as most systems do; its path."""
    kept: Path = queue.folder / f"script-{number}"
    kept.write_text(text, encoding="utf-8")
    kept.chmod(0o755)
    return str(kept)
