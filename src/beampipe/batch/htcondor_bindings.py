"""HTCondor, asked through its Python bindings instead of its commands.

The language is the same: submit descriptions, conditions, job ads. Only who is asked differs, a
program of ours that calls the bindings (by name: it belongs to a room further up).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beampipe.batch.htcondor import (
    HISTORY_ATTRIBUTES,
    QUEUE_ATTRIBUTES,
    HTCondor,
    constrain,
    describe_submission,
)
from beampipe.batch.model import Command, JobDescription
from beampipe.batch.spelling import in_turns
from beampipe.errors import BatchJobError

CALLS: Final = "beampipe.clusters.condor_calls"


@dataclass(frozen=True, slots=True)
class HTCondorBindings(HTCondor):
    """HTCondor's language, for its bindings.

    Attributes
    ----------
    python : str
        The Python that has them.
    version : str
        Of the bindings.
    """

    commands: tuple[str, ...] = ()
    python: str = "python3"
    version: str = ""

    def submit(self, job: JobDescription, script: Path) -> Command:
        """Submit the script."""
        for text in job.directives:
            if text.startswith("-"):
                raise BatchJobError(
                    f"The bindings of HTCondor know no option {text!r}.",
                    why="it is one of `condor_submit`",
                    fix="set `use_bindings = false` for the site",
                )
        return self._call("submit", stdin=describe_submission(job, script))

    def status(self, *, user: str, tag: str = "") -> Command:
        """Ask the queue for all jobs that carry the tag."""
        wanted = ("-constraint", constrain(user, tag), "-attributes", ",".join(QUEUE_ATTRIBUTES))
        return self._call("query", *wanted)

    def cancel(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Remove jobs from the queue, wherever they are."""
        return tuple(self._call("remove", *some) for some in in_turns(job_ids))

    def release(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Release held jobs."""
        return tuple(self._call("release", *some) for some in in_turns(job_ids))

    def autopsy(self, job_ids: tuple[str, ...]) -> tuple[Command, ...]:
        """Ask the queue's history."""
        wanted = ("-attributes", ",".join(HISTORY_ATTRIBUTES))
        return tuple(self._call("history", *wanted, *some) for some in in_turns(job_ids))

    def nodes(self, queue: str = "") -> Command:
        """Ask the pool's collector; there are no queues."""
        return self._call("nodes")

    def _call(self, *words: str, stdin: str = "") -> Command:
        argv = (self.python, "-P", "-m", CALLS, *self.schedd, *words)
        return Command(argv, stdin=stdin, title="HTCondor's queue, asked by its Python bindings,")
