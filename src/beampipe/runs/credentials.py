"""A user's proxy and token during a run: warned of early, and with the workers while it lasts."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

from beampipe.datasets.model import Plan
from beampipe.execution.progress import Notify, Progress

if TYPE_CHECKING:
    from distributed import Client

SOON_S: Final = 3600.0
"""Who starts a run with less than that left is told [s]."""
_LOOK_EVERY_S: Final = 60.0
_ASKING: Final = ("root://", "roots://", "xroot://", "xroots://", "https://", "davs://", "http://")


def find_asking(plan: Plan) -> list[str]:
    """The URLs of a plan whose servers may ask who one is."""
    return [
        url
        for dataset in plan.datasets
        for part in dataset.files
        for url in part.file.urls
        if url.startswith(_ASKING)
    ]


def warn_of_credentials(urls: list[str], *, needed_s: float = SOON_S) -> list[str]:
    """Say what is bad of a proxy or token that is there, if files may ask for it."""
    if not urls:
        return []
    from beampipe.environments.credential_checks import examine_credentials

    found = examine_credentials(urls, needed_s=needed_s)
    bad = [finding for finding in found if finding.status == "error"]
    return [f"{finding.fact}; {finding.remedy}." for finding in bad]


def travelling(
    client: Client | str | None, urls: list[str], *, say: Callable[[str], None]
) -> AbstractContextManager[None]:
    """Let a given client's workers have proxy and token, if any file may ask for them.

    Parameters
    ----------
    client : distributed.Client, "inline" or None
        Workers of this machine have them already.
    urls : list of str
        What `find_asking` gave.
    say : callable
        Told what is not sent, and why.
    """
    if client is None or isinstance(client, str) or not urls:
        return nullcontext()
    from beampipe.environments.credential_shipping import shipped_credentials

    return shipped_credentials(client, say=say)


@contextlib.contextmanager
def told_of_end(notify: Notify, urls: list[str], *, enabled: bool = True) -> Iterator[Notify]:
    """Watch a run's progress: who will be without proxy or token before its end is told once.

    Parameters
    ----------
    notify : callable
        What is told of the progress otherwise.
    urls : list of str
        What `find_asking` gave.
    enabled : bool
        False watches nothing.
    """
    if not enabled or not urls:
        yield notify
        return
    next_look = time.monotonic() + _LOOK_EVERY_S
    is_told = False

    def watch(progress: Progress) -> None:
        nonlocal next_look, is_told
        notify(progress)
        if is_told or progress.eta_s is None or time.monotonic() < next_look:
            return
        next_look = time.monotonic() + _LOOK_EVERY_S
        for text in warn_of_credentials(urls, needed_s=progress.eta_s):
            is_told = True
            tell(f"the run will take {progress.eta_s / 60:.0f} min more; {text}")

    yield watch


def tell(text: str) -> None:
    """Say something to whoever watches the run."""
    print(f"warning: {text}", file=sys.stderr, flush=True)  # noqa: T201 (progress goes there too)
