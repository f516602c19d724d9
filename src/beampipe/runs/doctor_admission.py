"""The doctor's look at queue, account and limits: what the batch system itself says of them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from getpass import getuser

from beampipe.batch.admission import Question, Wanted, unasked
from beampipe.batch.admission_questions import find_questions
from beampipe.batch.model import Answer
from beampipe.checks import Finding
from beampipe.clusters.batch_queue import run_command
from beampipe.clusters.site import Site
from beampipe.errors import BatchError


def examine_admission(site: Site) -> Iterator[Finding]:
    """Ask a site's batch system whether it knows queue and account of the profile.

    Yields
    ------
    Finding
        ``queue``, ``account``, ``quota``: what the system tells, or that it could not be asked.
    """
    wanted = Wanted(
        site=site.name,
        user=getuser(),
        queue=site.queue,
        account=site.account,
        walltime_s=site.walltime,
    )
    questions = find_questions(site.batch_system, wanted)
    if not questions:
        yield unasked("queue", f"no question to {site.batch_system} is known")
    for question, answer in zip(questions, asyncio.run(_ask_all(questions)), strict=True):
        if isinstance(answer, Answer):
            yield from question.judge(answer)
        else:
            yield unasked(question.code, answer)


async def _ask_all(questions: tuple[Question, ...]) -> list[Answer | str]:
    return await asyncio.gather(*map(_ask, questions))


async def _ask(question: Question) -> Answer | str:
    """The answer, or why there is none."""
    program = question.command.argv[0]
    if shutil.which(program) is None:
        return f"'{program}' is not on PATH"
    try:
        return await run_command(question.command)
    except BatchError as error:
        return f"{error.message} {error.why}".strip()
