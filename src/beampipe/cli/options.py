"""Options that several commands have."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import click

from beampipe.cli.completion import FileOrName, RunName, SchemaName

run_argument = click.argument("run", type=RunName())
trust_option = click.option(
    "--trust",
    is_flag=True,
    help="Load values that need pickle also from a directory that is not yours alone. A pickle "
    "can run any program: only if you trust whoever wrote it.",
)


workers_option = click.option(
    "--workers",
    type=click.IntRange(0),
    help="Worker processes [default: one per core]; 0 runs in this process.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress, no summary.")


def place_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where workers come from, if not from this machine: for `run` and `resume`."""
    for decorate in reversed(_PLACE_OPTIONS):
        function = decorate(function)
    return function


_PLACE_OPTIONS = (
    click.option(
        "--on",
        "site",
        metavar="SITE",
        help="Where workers run, see `beampipe site list` [default: this machine]. Without "
        "--workers as many as there is work for, 100 at most.",
    ),
    click.option(
        "--cluster",
        metavar="NAME",
        help="Workers of a cluster that `beampipe cluster up` has started.",
    ),
)


@contextlib.contextmanager
def placed_client(site: str | None, cluster: str | None, workers: int | None) -> Iterator[Any]:
    """Give a client of the workers that are meant; None where they are to be this machine's."""
    if site is not None and cluster is not None:
        raise click.UsageError("--on and --cluster exclude each other.")
    if site is None and cluster is None:
        yield None
        return
    from beampipe.runs.at_site import client_at, client_of

    with client_at(site, workers) if site is not None else client_of(cluster or "", workers) as at:
        yield at


class _Budget(click.ParamType[str]):
    """A percentage of a dataset's events, or a number of events."""

    name = "budget"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from beampipe.settings import parse_budget  # pydantic: only when asked

        try:
            parse_budget(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


def max_failed_option(default: str) -> Callable[..., Any]:
    """``--max-failed``, with what its absence means."""
    return click.option(
        "--max-failed",
        type=_Budget(),
        metavar="N%|EVENTS",
        help="With --on-error skip: how much of a dataset may fail before the run stops, as a "
        f"percentage or in events [default: {default}].",
    )


def parse_params(texts: tuple[str, ...]) -> dict[str, Any]:
    """Turn ``key=value`` texts into keyword arguments; values are typed as in TOML.

    What is no TOML value is taken as a string, so ``--param era=2018A`` needs no quotes.
    """
    params: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip().isidentifier():
            raise click.BadParameter(f"{text!r} is not key=value", param_hint="--param")
        params[key.strip()] = parse_value(value.strip())
    return params


def parse_value(text: str) -> Any:
    """A TOML value, or the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if set(parsed) == {"value"} else text


def processor_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How a processor sees the files: for `run` and `try`."""
    for decorate in reversed(_PROCESSOR_OPTIONS):
        function = decorate(function)
    return function


_PROCESSOR_OPTIONS = (
    click.argument("processor", metavar="PROCESSOR", type=FileOrName()),
    click.argument("fileset", metavar="FILESET...", nargs=-1, required=True, type=FileOrName()),
    click.option(
        "--schema",
        type=SchemaName(),
        default="NanoAODSchema",
        show_default=True,
        help="A coffea schema by name, or 'none' for plain arrays of branches.",
    ),
    click.option("--treename", help="The tree to read; found when a file holds one obvious tree."),
    click.option(
        "--chunksize", type=click.IntRange(1), help="Wanted events per chunk [default: 250000]."
    ),
    click.option(
        "--param",
        "params",
        metavar="KEY=VALUE",
        multiple=True,
        help="A keyword argument of the function (or the class); typed as in TOML. Repeatable.",
    ),
)


def one_or_many(fileset: tuple[str, ...]) -> Any:
    """A shell expands globs, so several files are one fileset."""
    return fileset[0] if len(fileset) == 1 else list(fileset)
