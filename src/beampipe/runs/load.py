"""A result taken up again, years later if need be."""

from __future__ import annotations

from pathlib import Path

from beampipe.execution.record_reader import read_record
from beampipe.execution.runs_index import find_run
from beampipe.results.result import RunResult


def load(run_dir: str | Path, *, trust: bool | None = None) -> RunResult:
    """Load the result of a run from its directory.

    Parameters
    ----------
    run_dir : path or str
        The run directory, its name below the run root, or ``"latest"``.
    trust : bool, optional
        Load values that need pickle. A pickle can run any code, so by default it is done only
        from a directory that is your own and that no one else may write to.

    Returns
    -------
    RunResult
        As `run` returned it. A run that has not ended gives the sum of what is committed,
        before the processor's `postprocess`.

    Raises
    ------
    NotARunError
        ``run-not-found``
    RunFormatError
        ``run-format``: a newer Beampipe wrote it; says which.
    TrustError
        ``run-trust``: values need pickle, and the directory is not trusted.
    """
    return RunResult(read_record(find_run(run_dir), trust=trust))
