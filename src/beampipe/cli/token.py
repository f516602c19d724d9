"""``beampipe token``: what a bearer token claims."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from beampipe.cli.json_output import failed_json, print_json
from beampipe.cli.options import json_option

if TYPE_CHECKING:
    from beampipe.environments.bearer_tokens import BearerToken

_CLAIMS = {"issuer": "iss", "subject": "sub", "audience": "aud", "scope": "scope"}


@click.group("token")
def command() -> None:
    """Look at the bearer token that storage would be shown."""


@command.command("info")
@click.option(
    "--valid",
    "hours",
    type=click.FloatRange(0),
    default=0.0,
    metavar="HOURS",
    help="Ask whether it is valid for that long; the exit code is 1 if not.",
)
@json_option
@click.pass_context
def info_command(ctx: click.Context, *, hours: float, as_json: bool) -> None:
    """Say where the token is, what it claims, and for how long it is valid.

    The token itself is not shown, and its signature is not checked. The exit code is 1 if it
    cannot be used.
    """
    from beampipe.environments.bearer_tokens import (
        check_token,
        find_token,
        missing_token,
        read_token,
    )
    from beampipe.errors import CredentialError

    place = find_token()
    if place is None:
        raise missing_token()
    token = read_token(place)
    problem: CredentialError | None = None
    try:
        check_token(token, needed_s=hours * 3600)
    except CredentialError as error:
        problem = error
    if as_json:
        described = None if problem is None else failed_json(problem)["error"]
        print_json(
            token.to_json(datetime.now(UTC)) | {"valid": problem is None, "error": described}
        )
    else:
        _show(token)
        if problem is not None:
            click.echo(str(problem), err=True)
    if problem is not None:
        ctx.exit(1)


def _show(token: BearerToken) -> None:
    from beampipe.environments.secret_files import describe_time

    click.echo(f"{'place':<9} {token.place} ({token.place.rule})")
    if not token.is_readable:
        click.echo(f"{'claims':<9} cannot be read: it is no JWT")
        return
    for name, claim in _CLAIMS.items():
        if claim in token.claims:
            click.echo(f"{name:<9} {_printable(token.claims[claim])}")
    if token.ends_at is None:
        click.echo(f"{'left':<9} it does not say")
        return
    left_s = (token.ends_at - datetime.now(UTC)).total_seconds()
    until = f"{describe_time(left_s)}, until {token.ends_at:%Y-%m-%d %H:%M:%S} UTC"
    click.echo(f"{'left':<9} {until if left_s > 0 else 'expired'}")


def _printable(claim: object) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in str(claim))
