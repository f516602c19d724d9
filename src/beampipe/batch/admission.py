"""Whether a batch system knows a site's queue and account, and which limits it tells of.

As with jobs: text in, text out. Whoever asks runs the commands, and passes on what they answer.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from beampipe.batch.model import Answer, Command
from beampipe.checks import Finding

_LONGEST: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a site's profile says of its jobs.

    Attributes
    ----------
    site : str
        Its name, for the remedies.
    user : str
        Who submits.
    queue, account : str
        Empty for what the system gives.
    walltime_s : float or None
        How long jobs may run [s]; None for what the system gives.
    """

    site: str
    user: str
    queue: str = ""
    account: str = ""
    walltime_s: float | None = None


class Question(NamedTuple):
    """One thing to ask a batch system.

    Attributes
    ----------
    code : str
        Of the findings: ``"queue"``, ``"account"`` or ``"quota"``.
    command : Command
    judge : callable
        What its answer means.
    """

    code: str
    command: Command
    judge: Callable[[Answer], Iterator[Finding]]


def unasked(code: str, why: str, remedy: str = "ask the site, if jobs are refused") -> Finding:
    """The finding of what was not checked."""
    return Finding(code, "warning", f"not checked: {_shorten(why)}", remedy)


def judge_failure(code: str, program: str, answer: Answer) -> Finding:
    """The finding of a command that gave no answer."""
    words = answer.stderr.strip() or answer.stdout.strip() or f"exit code {answer.exit_code}"
    return unasked(code, f"`{program}` says: {words}")


def judge_name(
    code: str, *, name: str, known: Collection[str], key: str, what: str, site: str
) -> Finding | None:
    """The finding of a name that is not known; None if it is."""
    if name in known:
        return None
    close = difflib.get_close_matches(name, known, n=3)
    some = sorted(known)
    shown = ", ".join(some[:12]) + (f" and {len(some) - 12} more" if len(some) > 12 else "")
    fact = f"there is no {what} '{name}'; those that there are: {shown or 'none'}"
    hint = f"did you mean {' or '.join(repr(each) for each in close)}? " if close else ""
    return Finding(code, "error", fact, f"{hint}correct `{key}` of site '{site}'")


def judge_walltime(
    wanted: Wanted, longest_s: float | None, *, queue: str, what: str
) -> Finding | None:
    """The finding of jobs that would run for longer than their queue allows, or None."""
    if longest_s is None or wanted.walltime_s is None or wanted.walltime_s <= longest_s:
        return None
    fact = (
        f"jobs of {wanted.walltime_s / 3600:.4g} h are asked for, and {what} '{queue}' allows "
        f"{longest_s / 3600:.4g} h"
    )
    return Finding(
        "queue", "error", fact, f"lower `walltime` of site '{wanted.site}', or take another queue"
    )


def describe_longest(longest_s: float | None) -> str:
    """Say how long a queue's jobs may run.

    >>> describe_longest(7200), describe_longest(None)
    (', for jobs of up to 2 h', '')
    """
    return "" if longest_s is None else f", for jobs of up to {longest_s / 3600:.4g} h"


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else f"{flat[:_LONGEST]} ..."
