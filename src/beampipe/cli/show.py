"""``beampipe show``: a run in the terminal."""

from __future__ import annotations

import click

from beampipe.cli.options import json_option, run_argument, trust_option


@click.command("show")
@run_argument
@json_option
@click.option("--failures", is_flag=True, help="Every failure with its traceback.")
@trust_option
def command(run: str, *, as_json: bool, failures: bool, trust: bool) -> None:
    """Show RUN: its status, accounting, outputs and failures.

    RUN is a run directory, its name under the folder of runs, or 'latest'.
    """
    from beampipe.cli.json_output import print_json
    from beampipe.cli.run_output import result_json
    from beampipe.execution.record_reader import read_record
    from beampipe.execution.runs_index import find_run
    from beampipe.results.contents import describe_value, walk_output
    from beampipe.results.result import RunResult
    from beampipe.results.summary import print_summary

    result = RunResult(read_record(find_run(run), trust=trust or None))
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
    print_json(described)
