"""``beampipe try``: one chunk here, before scaling out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from beampipe.cli.options import one_or_many, parse_params, processor_options
from beampipe.cli.user_code import show_user_errors

if TYPE_CHECKING:
    from beampipe.runs.trial import Trial


@click.command("try", short_help="Run PROCESSOR on one chunk, here, before scaling out.")
@processor_options
@click.option("--pdb", is_flag=True, help="Stop in the debugger where the processor raises.")
def command(
    processor: str, fileset: tuple[str, ...], *, params: tuple[str, ...], pdb: bool, **options: Any
) -> None:
    """Run PROCESSOR on one chunk of FILESET, here, and say what the whole would take.

    Breakpoints work; nothing is written. Prints the columns that were read, the rate, the
    memory, the outputs with their sizes, and the time for the whole fileset.
    """
    from beampipe.runs.trial import try_run

    with show_user_errors(debug=pdb):
        trial = try_run(processor, one_or_many(fileset), params=parse_params(params), **options)
    click.echo("\n".join(describe_trial(trial)))


def describe_trial(trial: Trial) -> list[str]:
    """The lines that are printed."""
    from beampipe.execution.outputs import describe_output
    from beampipe.runs.display import count, spell_time

    chunk, plan = trial.chunk, trial.plan
    spent_s = chunk.open_s + chunk.read_s + chunk.process_s
    lines = [
        f"file      {chunk.url}, entries {chunk.start} to {chunk.stop}",
        (
            f"time      {spent_s:.2f} s: opening {chunk.open_s:.2f}, "
            f"reading {chunk.read_s:.2f}, computing {chunk.process_s:.2f}"
        ),
        f"rate      {count(trial.events_per_s)} events/s on one core",
        f"read      {spell_bytes(chunk.bytes_read)} compressed, {len(chunk.columns)} columns",
        *(f"            {column}" for column in chunk.columns),
        f"memory    grew by {spell_bytes(chunk.memory_bytes)}",
        "output",
    ]
    lines += [
        f"            {leaf.path}  {leaf.kind} {leaf.detail}  {spell_bytes(leaf.size_bytes)}"
        for leaf in describe_output(trial.output)
    ]
    lines.append(
        f"all       {count(plan.n_events)} events in {plan.n_chunks} chunks, "
        f"{spell_bytes(trial.total_bytes)} to read: about {spell_time(trial.wall_s(1))} on one "
        f"core, {spell_time(trial.wall_s(trial.n_cores))} on this machine's {trial.n_cores}, "
        f"{spell_time(trial.wall_s(100))} on 100 workers"
    )
    for dataset in plan.datasets:
        lines += [f"unusable  {file.error.message}" for file in dataset.uncounted]
    return lines


def spell_bytes(number: float) -> str:
    """Bytes for people: 1.2 MB."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f} B"
