"""Errors of the user's own code: shown with the user's lines, and none of ours."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import click

from beampipe.errors import BeampipeError, ColumnNotFoundError, ProcessorFailedError

_OURS = str(Path(__file__).parents[1])


@contextlib.contextmanager
def show_user_errors(*, debug: bool = False) -> Iterator[None]:
    """Turn what a processor raises into an error that shows where in the user's code.

    Parameters
    ----------
    debug : bool
        Enter the debugger where it was raised.
    """
    try:
        yield
    except ColumnNotFoundError as error:  # ours, and raised by a line of the user's
        show_raised(error.__cause__ or error, debug=debug)
        raise
    except (BeampipeError, click.ClickException, click.exceptions.Exit):
        raise
    except Exception as error:  # the user's code, which may raise anything
        show_raised(error, debug=debug)
        raise ProcessorFailedError(
            f"The processor raised {type(error).__name__}.",
            why=str(error),
            fix="the lines above show where; --pdb stops there in the debugger",
        ) from error


def show_raised(error: BaseException, *, debug: bool) -> None:
    """Print the user's part of a traceback, and stop there in the debugger if that is wanted."""
    tail = user_traceback(error.__traceback__)
    if tail is None:  # it was raised where none of the user's code was running
        return
    click.echo("Traceback (most recent call last):", err=True)
    click.echo("".join(traceback.format_tb(tail)), err=True, nl=False)
    click.echo(f"{type(error).__name__}: {error}\n", err=True)
    if debug:
        import pdb  # noqa: T100 (asked for with --pdb)

        leave_libraries(tail)
        pdb.post_mortem(tail)


def leave_libraries(frames: TracebackType) -> None:
    """Cut a traceback after the last line of the user's own, where their variables are."""
    from beampipe.environments.own_code import is_installed

    last: TracebackType | None = None
    frame: TracebackType | None = frames
    while frame is not None:
        if not is_installed(frame.tb_frame.f_code.co_filename):
            last = frame
        frame = frame.tb_next
    if last is not None:
        last.tb_next = None


def user_traceback(frames: TracebackType | None) -> TracebackType | None:
    """The traceback from where Beampipe's own code is left for good."""
    kept = frames
    while frames is not None:
        if frames.tb_frame.f_code.co_filename.startswith(_OURS):
            kept = frames.tb_next
        frames = frames.tb_next
    return kept
