"""``beampipe reproduce``: one failed chunk, here."""

from __future__ import annotations

import shlex

import click

from beampipe.cli.options import run_argument
from beampipe.cli.user_code import show_user_errors


@click.command("reproduce")
@run_argument
@click.option(
    "--failure",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Its number in `beampipe show RUN --failures`.",
)
@click.option("--pdb", is_flag=True, help="Stop in the debugger where it is raised.")
def command(run: str, *, failure: int, pdb: bool) -> None:
    """Run one failed chunk of RUN in this process.

    It ends with the error that the chunk fails with, or says that it does not fail any more.
    """
    from beampipe.runs.reproduce import reproduce

    with show_user_errors(debug=pdb):
        trial = reproduce(run, failure=failure)
    if trial is None:
        click.echo("The file can be counted now; `beampipe run` it again to have its events.")
    else:
        click.echo(
            f"It does not fail here: {trial.n_events} events of {trial.url} went through. "
            f"`beampipe resume {shlex.quote(run)}` tries all failed chunks again."
        )
