"""``beampipe verify``: the accounting proved from the segments alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from beampipe.cli.json_output import print_json
from beampipe.cli.options import json_option, run_argument

if TYPE_CHECKING:
    from beampipe.results.verification import Verification


@click.command("verify", short_help="Prove that RUN counted every event exactly once.")
@run_argument
@json_option
def command(run: str, *, as_json: bool) -> None:
    """Prove that RUN counted every event once: processed, failed or not reached.

    Reads the plan and the committed segments, checks every checksum, and counts again with code
    that shares nothing with the engine. Exits with 0 if the accounting is proved (the run
    may still be incomplete, and then that is proved), with 1 if it is not.

    RUN is a run directory, its name under the folder of runs, or 'latest'.
    """
    from beampipe.errors import VerificationError
    from beampipe.execution.runs_index import find_run
    from beampipe.results.verification import verify_run

    run_dir = find_run(run)
    proof = verify_run(run_dir)
    if as_json:
        print_json(proof.to_json())
    else:
        print_proof(proof)
    if not proof.is_proved:
        raise VerificationError(
            f"The accounting of {run_dir} is not proved.",
            why="; ".join(proof.errors[:3]) + ("; ..." if len(proof.errors) > 3 else ""),
            fix="restore it from a copy; `beampipe resume` does again what no whole segment "
            "holds; where events are counted twice, run it anew and report this",
            errors=proof.errors,
        )


def print_proof(proof: Verification) -> None:
    """Print the table, what was found on the way, and the verdict."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from beampipe.results.summary import make_console

    console = make_console()
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("dataset", overflow="fold")
    for title in ("files", "events planned", "processed", "failed", "not reached", "chunks"):
        table.add_column(title, justify="right")
    for one in proof.datasets:
        table.add_row(
            Text(one.name),
            f"{one.files - one.files_uncounted:,} of {one.files:,}",
            f"{one.events_planned:,}",
            f"{one.events_processed:,}",
            f"{one.events_failed:,}",
            f"{one.events_not_reached:,}",
            f"{one.chunks_processed:,} of {one.chunks_planned:,}",
        )
    console.print(table)
    adopted = f", {proof.adopted:,} of them taken over from other runs" if proof.adopted else ""
    console.print(f"{proof.segments:,} segments{adopted}, every checksum computed again")
    for one in proof.datasets:
        if one.chunks_failed:
            kinds = ", ".join(f"{n:,} {kind}" for kind, n in one.chunks_failed_by_kind.items())
            console.print(Text(f"failed in {one.name}: {one.chunks_failed:,} chunks ({kinds})"))
    if proof.split:
        console.print(f"{proof.split:,} chunk(s) were done piece by piece")
    for title, lines in (("note", proof.notes), ("error", proof.errors)):
        for line in lines:
            console.print(Text(f"{title}: {line}"))
    style = "red" if not proof.is_proved else "green" if proof.is_complete else "yellow"
    console.print(Text(proof.sentence, style=style))
