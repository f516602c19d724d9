"""The command line: finds the command, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Any

import click

from beampipe.errors import BeampipeError, RunInterruptedError

COMPLETE, KNOWN_ERROR, UNEXPECTED, INCOMPLETE, INTERRUPTED = 0, 1, 3, 4, 130

COMMANDS = {
    "run": "beampipe.cli.run",
    "resume": "beampipe.cli.resume",
    "try": "beampipe.cli.try_",
    "plan": "beampipe.cli.plan",
    "make-data": "beampipe.cli.make_data",
    "runs": "beampipe.cli.runs",
    "show": "beampipe.cli.show",
    "report": "beampipe.cli.report",
    "plot": "beampipe.cli.plot",
    "export": "beampipe.cli.export",
    "verify": "beampipe.cli.verify",
    "reproduce": "beampipe.cli.reproduce",
}
"""In the order in which a newcomer meets them."""


class CommandGroup(click.Group):
    """Loads a command's module when it is asked for, and is the only place that ends a process."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order above."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for one that is not there name the closest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            if not close:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{close[0]}'?", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it raises becomes words and an exit code."""
        try:
            return super().invoke(ctx)
        except RunInterruptedError as error:
            click.echo(f"\n{error}", err=True)
            ctx.exit(INTERRUPTED)
        except BeampipeError as error:
            click.echo(str(error), err=True)
            ctx.exit(KNOWN_ERROR)
        except KeyboardInterrupt:
            click.echo("\ninterrupted", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # `beampipe show RUN | head`: nobody listens any more, and nobody is to blame.
            sys.stderr.close()
            ctx.exit(COMPLETE)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:  # noqa: BLE001 (the border: whatever it is, the user gets words and a code)
            traceback.print_exc()
            click.echo(
                "[unexpected] This is a defect of Beampipe: please report the lines above "
                "with what you did.",
                err=True,
            )
            ctx.exit(UNEXPECTED)


CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.command(cls=CommandGroup, context_settings=CONTEXT)
@click.version_option(package_name="beampipe", message="beampipe %(version)s")
def cli() -> None:
    """From a physicist's function to every file on a farm, each event once.

    \b
    A first run, in four commands:
      beampipe make-data data               synthetic dimuon data to play with
      beampipe try dimuon.py:process data   one chunk, here, with advice
      beampipe run dimuon.py:process data   everything, on all cores
      beampipe report latest                a page with plots and accounting

    A processor is a function of events, or a coffea ProcessorABC, given as
    FILE.py:NAME or package.module:NAME. A fileset is a ROOT file, a folder, a
    glob, or a TOML, JSON or YAML file with {dataset: files}.

    \b
    Exit codes: 0 complete, 1 a known error, 2 usage, 3 a defect of Beampipe,
    4 incomplete (some events were skipped), 130 interrupted.

    \b
    Shell completion (bash; also zsh, fish):
      eval "$(_BEAMPIPE_COMPLETE=bash_source beampipe)"
    """  # noqa: D301 (click's own mark)


def main() -> None:
    """Run the command line."""
    cli(prog_name="beampipe")
