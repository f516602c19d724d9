"""``beampipe show``: a run in the terminal."""

from __future__ import annotations

import json

import click


@click.command("show")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--failures", is_flag=True, help="Every failure with its traceback.")
def command(run: str, *, as_json: bool, failures: bool) -> None:
    """Show RUN: its status, accounting, outputs and failures.

    RUN is a run directory, its name under the folder of runs, or 'latest'.
    """
    from beampipe.cli.run_output import result_json
    from beampipe.execution.record_reader import read_record
    from beampipe.execution.runs_index import find_run
    from beampipe.results.contents import describe_value, walk_output
    from beampipe.results.result import RunResult
    from beampipe.results.summary import print_summary

    result = RunResult(read_record(find_run(run)))
    if not as_json:
        print_summary(result, all_failures=failures)
        return
    described = {
        **result_json(result),
        "name": result.name,
        "run_id": result.run_id,
        "created": result.created,
        "is_complete": result.is_complete,
        "outputs": {leaf.name: describe_value(leaf.value) for leaf in walk_output(result.output)},
        "provenance": dict(result.provenance),
    }
    click.echo(json.dumps(described, ensure_ascii=False, default=str))
