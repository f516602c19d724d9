"""The accounting of a run, proved."""

from __future__ import annotations

from pathlib import Path

from beampipe.execution.runs_index import find_run
from beampipe.results.verification import Verification, verify_run


def verify(run_dir: str | Path) -> Verification:
    """Prove from a run's segments alone that every event was counted once.

    The proof shares no code with the engine that wrote them.

    Parameters
    ----------
    run_dir : path or str
        The run directory, its name below the run root, or ``"latest"``.

    Returns
    -------
    Verification
        With `is_proved`, `is_complete`, `sentence`, `datasets`, `notes`, `errors`.

    Raises
    ------
    NotARunError
        ``run-not-found``
    """
    return verify_run(find_run(run_dir))
