"""How durations, sizes and lists of jobs are spelt, where several systems spell them alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from beampipe.batch.model import Cause, JobDescription
from beampipe.errors import BatchJobError, BatchOutputError, BatchRefusedError

_DURATION: Final = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)")
_AT_ONCE: Final = 500  # ids in one command: short of every system's limit for a command line


def whole_mib(size_bytes: int) -> int:
    """Round a size up to mebibytes, which all systems can be told.

    >>> whole_mib(1), whole_mib(2**30)
    (1, 1024)
    """
    return -(-size_bytes // 2**20)


def spell_duration(seconds: int) -> str:
    """Spell a duration as hours, minutes and seconds.

    >>> spell_duration(90061)
    '25:01:01'
    """
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def read_duration(text: str) -> int | None:
    """Read ``D-HH:MM:SS`` or what is left of it [s]; None where it is no duration.

    >>> read_duration("1-02:03:04"), read_duration("5:06"), read_duration("UNLIMITED")
    (93784, 306, None)
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def split_status(status: int) -> tuple[int | None, int | None]:
    """Split the exit status of a shell, or of Torque's kin, into exit code and signal.

    >>> split_status(3), split_status(137), split_status(271), split_status(-11)
    ((3, None), (None, 9), (None, 15), (None, None))
    """
    if status > 128:
        return None, status - 256 if status > 256 else status - 128
    return (status if status >= 0 else None), None


def name_cause(status: int) -> Cause:
    """What an exit status says by itself; below zero it is a word of the node's.

    >>> name_cause(0), name_cause(3), name_cause(137), name_cause(-4)
    ('finished', 'exit', 'signal', 'node')
    """
    if status < 0:
        return "node"
    _, signal = split_status(status)
    return "signal" if signal else "exit" if status else "finished"


def in_turns(job_ids: tuple[str, ...], at_once: int = _AT_ONCE) -> Iterator[tuple[str, ...]]:
    """Cut a list of jobs into pieces that fit a command line."""
    for start in range(0, len(job_ids), at_once):
        yield job_ids[start : start + at_once]


def check_count(job: JobDescription, largest: int) -> None:
    """Refuse an array that the system does not take in one submission.

    Raises
    ------
    BatchJobError
        ``batch-job``
    """
    if job.count > largest:
        fix = f"submit at most {largest} at a time"
        raise BatchJobError(f"{job.count} jobs are too many for one array.", fix=fix)


def check_accepted(system: str, *, stdout: str, stderr: str, exit_code: int) -> None:
    """Raise what a system said when it did not take a job.

    Raises
    ------
    BatchRefusedError
        ``batch-refused``
    """
    if exit_code:
        words = (stderr.strip() or stdout.strip())[-2000:]
        raise BatchRefusedError(
            f"{system} did not take the jobs.",
            why=words or f"exit code {exit_code}, and no word",
            fix="see queue, account, walltime, memory and directives of the site",
            exit_code=exit_code,
        )


def misread(program: str, text: str) -> BatchOutputError:
    """The error for output that is not what a program prints."""
    shown = text.strip()[:300]
    return BatchOutputError(
        f"`{program}` printed what cannot be read as its answer.",
        why=repr(shown) if shown else "it printed nothing",
    )
