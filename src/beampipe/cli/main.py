"""The command line: finds the command, and turns errors into exit codes."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
import shlex
import signal
import sys
import traceback
from typing import Any

import click

from beampipe.cli.json_output import (
    FAILED,
    STOPPED,
    failed_json,
    is_wanted,
    plain_failure,
    print_json,
    remember_arguments,
)
from beampipe.errors import BeampipeError, RunInterruptedError

_OBJECTS_BETWEEN_COLLECTIONS = 10_000
COMPLETE, KNOWN_ERROR, UNEXPECTED, INCOMPLETE, INTERRUPTED = 0, 1, 3, 4, 130

COMMANDS = {
    "run": "beampipe.cli.run",
    "resume": "beampipe.cli.resume",
    "try": "beampipe.cli.try_",
    "plan": "beampipe.cli.plan",
    "index": "beampipe.cli.index",
    "make-data": "beampipe.cli.make_data",
    "runs": "beampipe.cli.runs",
    "show": "beampipe.cli.show",
    "report": "beampipe.cli.report",
    "plot": "beampipe.cli.plot",
    "export": "beampipe.cli.export",
    "verify": "beampipe.cli.verify",
    "reproduce": "beampipe.cli.reproduce",
    "site": "beampipe.cli.site",
    "cluster": "beampipe.cli.cluster",
    "doctor": "beampipe.cli.doctor",
    "notebook": "beampipe.cli.notebook",
    "proxy": "beampipe.cli.proxy",
    "token": "beampipe.cli.token",
}
"""In the order in which a newcomer meets them."""


DEFECT = (
    "[unexpected] This is a defect of Beampipe: please report the lines above with what you did."
)


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

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Begin as usual; whoever is interrupted as early as that is told as later on."""
        try:
            return super().make_context(*args, **extra)
        except KeyboardInterrupt:
            click.echo("\ninterrupted", err=True)
            sys.exit(INTERRUPTED)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as usual, and keep what was typed for the border."""
        remember_arguments(ctx, args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it raises becomes words and an exit code."""
        try:
            return super().invoke(ctx)
        except BeampipeError as error:
            ctx.exit(tell_error(ctx, error))
        except KeyboardInterrupt:
            click.echo("\ninterrupted", err=True)
            if is_wanted(ctx):
                print_json(plain_failure(STOPPED, code=STOPPED, message="Nothing was begun."))
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # `beampipe show RUN | head`: nobody listens any more, and nobody is to blame.
            drop_output()
            ctx.exit(COMPLETE)
        except click.UsageError as error:
            raise complete_usage_error(ctx, error) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 (the border: whatever it is, the user gets words and a code)
            ctx.exit(tell_defect(ctx, error))


def drop_output() -> None:
    """Let what Python still holds for a closed pipe go nowhere, without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell_error(ctx: click.Context, error: BeampipeError) -> int:
    """Print one of our errors, and where the run is that it ended; gives the exit code."""
    is_interrupt = isinstance(error, RunInterruptedError)
    click.echo(f"\n{error}" if is_interrupt else str(error), err=True)
    run_dir = error.facts.get("run_dir")
    if run_dir is not None and not is_interrupt:
        click.echo(f"What was done is kept: beampipe show {shlex.quote(str(run_dir))}", err=True)
    if is_wanted(ctx):
        print_json(failed_json(error, status=STOPPED if is_interrupt else FAILED))
    return INTERRUPTED if is_interrupt else KNOWN_ERROR


def tell_defect(ctx: click.Context, error: Exception) -> int:
    """Print what nobody thought of, with everything that helps to mend it."""
    traceback.print_exc()
    click.echo(DEFECT, err=True)
    if is_wanted(ctx):
        message = f"{type(error).__name__}: {error}"
        print_json(plain_failure(FAILED, code="unexpected", message=message))
    return UNEXPECTED


def complete_usage_error(ctx: click.Context, error: click.UsageError) -> click.UsageError:
    """Add what click does not know to its message, and tell those who read JSON."""
    if isinstance(error, click.NoSuchOption):
        advice = explain_option(error.option_name)
        error = click.UsageError(advice, error.ctx) if advice else error
    elif advice := guess_site(error):
        error = click.UsageError(f"{error.message.rstrip('.')}. {advice}", error.ctx)
    if is_wanted(ctx):
        print_json(plain_failure(FAILED, code="usage", message=error.format_message()))
    return error


def guess_site(error: click.UsageError) -> str:
    """Say how a site is named, if a word that nobody understands is one."""
    command = None if error.ctx is None else error.ctx.command
    if command is None or not any("--on" in parameter.opts for parameter in command.params):
        return ""
    from beampipe.clusters.site_files import list_sites

    sites = list_sites()
    words = re.findall(r"[\w.-]+", error.message.rpartition(" ")[2])
    return next((f"Did you mean '--on {word}'?" for word in words if word in sites), "")


def explain_option(option: str) -> str:
    """Say what an option is called here that people know from coffea; empty for others."""
    from beampipe.runs.arguments import FOREIGN

    advice = FOREIGN.get(option.lstrip("-").replace("-", "_"))
    if not advice:
        return ""
    return f"No such option {option!r}: it is an argument of coffea's; here: {advice}."


CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


# The name is what `dask` lists it under.
@click.command("beampipe", cls=CommandGroup, context_settings=CONTEXT)
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
    # Imports make a hundred thousand objects that stay; Python would go through them at every 700.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show is shown somehow, and ends nothing.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        cli(prog_name="beampipe")
    finally:
        # The process is on its way out: one more Ctrl-C must not change its exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
