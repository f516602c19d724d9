"""The shell script that a job is, in every batch system."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from beampipe.batch.model import JobDescription


def redirect_output(job: JobDescription, job_id: str) -> str:
    """Write the line by which a job sends its output to its own two files, as it runs.

    Where the system itself would deliver the output at the end, or somewhere else.

    Parameters
    ----------
    job : JobDescription
    job_id : str
        Shell words that become the job's id when the script runs: ``'"$PBS_JOBID"'``.
    """
    stem = shlex.quote(f"{job.log_folder / job.tag}-")
    return f"exec >{stem}{job_id}.out 2>{stem}{job_id}.err </dev/null"


def write_script(
    job: JobDescription, header: Iterable[str] = (), *, relayed: tuple[str, ...] = ()
) -> str:
    """Write a job's script: the system's header, environment, prologue, command.

    The command replaces the shell. A shell that waits for a child keeps a signal to itself until
    the child has ended, and the warning before the end of the walltime would be of no use.

    Parameters
    ----------
    job : JobDescription
    header : iterable of str
        Lines for the batch system, in its language.
    relayed : tuple of str
        Signals of the batch system's own that are to reach the command as a SIGTERM. Then the
        shell stays, and passes them on; a SIGTERM it leaves to the command, as it is sent to all
        processes of a job.

    Returns
    -------
    str
        With a newline at the end.
    """
    lines = ["#!/bin/bash", *header]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in job.environment.items()]
    lines += job.prologue
    if relayed:
        signals = " ".join(relayed)
        lines += [
            "told= heard=",
            # Once: a worker that is told again while it hands over is gone at once.
            'tell() { [ "$heard" ] || kill -TERM "$command" 2>/dev/null && heard=yes; }',
            f"trap 'told=yes; tell' {signals}",
            f"(trap '' {signals}; exec {shlex.join(job.command)}) &",
            "command=$!",
            # It may have been said before there was anybody to tell.
            '[ -z "$told" ] || tell',
            'wait "$command"; code=$?',
            # A signal ends a wait early, with a code that is not the command's.
            'while [ "$told" ]; do told=; wait "$command"; code=$?; done',
            'exit "$code"',
        ]
    else:
        lines.append(f"exec {shlex.join(job.command)}")
    return "\n".join(lines) + "\n"
