"""Waits for what a job brings, and says why it is not there yet."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from beampipe.batch.model import JobState, JobStatus
from beampipe.clusters.batch_queue import BatchQueue
from beampipe.errors import BatchError, ClusterStartError

_LOOK_S, _ASK_QUEUE_S = 0.1, 3.0
_MOST_MISSED = 3
OVER: Final = {JobState.DONE, JobState.FAILED, JobState.GONE}
"""What jobs are at that will not come back."""


async def wait_for_job(
    queue: BatchQueue,
    job_id: str,
    is_ready: Callable[[], bool],
    *,
    what: str,
    say: Callable[[str], None],
) -> None:
    """Wait for as long as a job waits in the queue; a job that ends before is an error.

    Parameters
    ----------
    queue : BatchQueue
    job_id : str
    is_ready : callable
        Whether what is waited for is there.
    what : str
        What that is, for people: "the scheduler".
    say : callable
        Told what the queue says, when that changes.

    Raises
    ------
    ClusterStartError
        ``cluster-start``: the job has ended; with what it wrote.
    """
    told, missed, asked_at = "", 0, -math.inf
    while not is_ready():
        if time.monotonic() - asked_at >= _ASK_QUEUE_S:
            asked_at = time.monotonic()
            status = await _look(queue, job_id)
            missed = 0 if status else missed + 1
            if missed == _MOST_MISSED:
                raise ClusterStartError(
                    f"The job of {what} has ended.",
                    why=queue.tail(job_id) or "without a word",
                    fix="`beampipe doctor` looks at the site",
                )
            if status and told != (told := _describe(status, what)):
                say(told)
        await asyncio.sleep(_LOOK_S)


async def _look(queue: BatchQueue, job_id: str) -> JobStatus | None:
    """What the queue says of the job; None: it has ended, or is not there yet."""
    try:
        status = (await queue.look()).get(job_id)
    except BatchError:
        return JobStatus(job_id=job_id, state=JobState.PENDING, reason="the queue gives no answer")
    return None if status is None or status.state in OVER else status


def _describe(status: JobStatus, what: str) -> str:
    reason = f" ({status.reason})" if status.reason else ""
    return f"the job of {what}, {status.job_id}, is {status.state}{reason}"
