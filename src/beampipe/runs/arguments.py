"""Arguments of the front door's verbs: what is refused, and what it is called here."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from beampipe.errors import ArgumentError

ON_ERROR = ("stop", "skip")

# Arguments of coffea's Runner and its executors that are something else here, or nothing.
FOREIGN = {
    "skipbadfiles": 'use on_error="skip" (--on-error skip): it records what it skips, and the '
    "result says so",
    "executor": "pass client=, a distributed.Client, or nothing for this machine's cores",
    "pre_executor": "files are counted in parallel here; leave it out",
    "treereduction": "merging adapts itself; leave it out",
    "retries": "errors are classified here; leave it out",
    "savemetrics": "metrics are always kept, in RunResult.metrics; leave it out",
    "align_clusters": "chunks are always aligned to clusters; leave it out",
    "metadata_cache": "counts are always kept in a persistent cache; leave it out",
    "checkpointer": "every run is checkpointed in its run directory; leave it out",
    "processor_instance": "give the processor as the first argument",
    "processor_compression": "leave it out",
    "cachestrategy": "leave it out",
    "use_dataframes": "return Awkward or NumPy columns from the processor",
    "use_result_type": "errors are raised; what was done is in the run directory",
    "format": "only ROOT files are read",
    "xrootdtimeout": "leave it out",
    "dynamic_chunksize": "leave it out",
    "maxworkers": "use workers= (--workers)",
    "n_workers": "use workers= (--workers)",
}


def refuse_foreign(foreign: Mapping[str, Any], known: Collection[str]) -> None:
    """Say what an argument of coffea's Runner, or a misspelt one, is called here.

    Parameters
    ----------
    foreign : mapping
        What `run` was given and does not take.
    known : collection of str
        What it takes.

    Raises
    ------
    ArgumentError
        ``run-argument``
    """
    for name in foreign:
        if name in FOREIGN:
            raise ArgumentError(
                f"run has no argument {name!r}.",
                why="it is an argument of coffea's Runner or executors that means something else",
                fix=FOREIGN[name],
            )
        close = difflib.get_close_matches(name, known, 1)
        raise ArgumentError(
            f"run has no argument {name!r}.",
            why="neither Beampipe nor coffea's Runner knows it",
            fix=f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(known)}",
        )


def check_budget(max_failed: Any, on_error: str) -> None:
    """Refuse a budget of failures for a run that stops on failures anyway.

    Only one that was asked for with this very run: in the settings it stands for the runs that
    skip failures.

    Raises
    ------
    ArgumentError
        ``run-argument``
    """
    if max_failed is not None and on_error != "skip":
        raise ArgumentError(
            f"max_failed={max_failed!r} has no meaning with on_error={on_error!r}.",
            why="such a run stops when the same error has struck a few times, whatever the budget",
            fix='add on_error="skip" (--on-error skip), or leave max_failed out',
        )


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse a word that is not one of a few.

    Raises
    ------
    ArgumentError
        ``run-argument``
    """
    if value is not None and value not in choices:
        raise ArgumentError(
            f"{name}={value!r} means nothing.",
            why=f"the choices are {', '.join(choices)}",
            fix=f"write {name}={choices[0]!r}, or leave it out",
        )
