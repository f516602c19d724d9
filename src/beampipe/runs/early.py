"""Workers that prepare themselves from the first moment of a command."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

from beampipe.runs.embedded import warm_workers


def early_workers(workers: int | None) -> AbstractContextManager[None]:
    """Let workers prepare themselves before it is certain that there will be any.

    Importing what a run needs takes as long in this process as in theirs, and both can be done
    at once. Where it turns out that nothing is to be done, or that there is a mistake, what was
    started is ended with the block, wherever it is.

    Parameters
    ----------
    workers : int or None
        What was asked for at the command line; 0 means none.
    """
    asked = os.environ.get("BEAMPIPE_WORKERS", "") if workers is None else str(workers)
    return nullcontext() if asked.strip() == "0" else warm_workers()
