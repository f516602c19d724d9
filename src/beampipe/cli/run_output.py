"""What `run` and `resume` print at the end, for people and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from beampipe.cli.json_output import datasets_json, print_json
from beampipe.cli.main import COMPLETE, INCOMPLETE

if TYPE_CHECKING:
    from beampipe.results.result import RunResult


def finish_run(go: Callable[[], RunResult], *, as_json: bool, quiet: bool) -> None:
    """Do the run and say how it went; errors go on to the command line's border."""
    result = go()
    if as_json:
        print_json(result_json(result))
    elif not quiet:
        from rich.console import Console

        from beampipe.results.summary import format_summary, print_summary

        if sys.stdout.isatty():
            print_summary(result.record, Console())
        else:
            click.echo(format_summary(result.record))
    click.get_current_context().exit(COMPLETE if result.is_complete else INCOMPLETE)


def result_json(result: RunResult) -> dict[str, Any]:
    """The documented object of ``--json``."""
    return {
        "status": result.status,
        "run_dir": str(result.run_dir),
        "wall_s": result.metrics.get("wall_s"),
        "datasets": datasets_json(result.accounting),
        "failures": [asdict(failure) for failure in result.failures],
        "metrics": dict(result.metrics),
        "timing": result.timing.to_json(),
        "incidents": list(result.incidents),
        "accepted_changes": list(result.accepted_changes),
        "notes": list(result.notes),
    }
