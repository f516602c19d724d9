"""``beampipe proxy``: what a grid proxy is, and making one."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from beampipe.cli.json_output import failed_json, print_json
from beampipe.cli.options import json_option

if TYPE_CHECKING:
    from beampipe.environments.x509 import Proxy
    from beampipe.errors import CredentialError

_FILE = click.Path(path_type=Path)
KINDS = {
    "rfc3820": "RFC 3820 proxy",
    "draft": "draft proxy (before RFC 3820)",
    "legacy": "legacy proxy",
    "none": "no proxy: the user's own certificate",
}


@click.group("proxy")
def command() -> None:
    """Look at a grid proxy, or make one.

    A proxy shows to storage who you are. Workers get it with a run.
    """


@command.command("info")
@click.option("--file", "path", type=_FILE, help="The proxy [default: X509_USER_PROXY, or /tmp].")
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
def info_command(ctx: click.Context, *, path: Path | None, hours: float, as_json: bool) -> None:
    """Say whose proxy it is, of which VO, and for how long.

    The exit code is 1 if it cannot be used.

    \b
    Examples:
      beampipe proxy info
      beampipe proxy info --valid 12
    """  # noqa: D301 (click's own mark)
    from beampipe.environments.x509 import check_proxy, find_proxy, read_proxy
    from beampipe.errors import CredentialError

    proxy = read_proxy(path or find_proxy())
    problem: CredentialError | None = None
    try:
        check_proxy(proxy, needed_s=hours * 3600)
    except CredentialError as error:
        problem = error
    if as_json:
        _print_json(proxy, problem)
    else:
        _show(proxy)
        if problem is not None:
            click.echo(str(problem), err=True)
    if problem is not None:
        ctx.exit(1)


def _print_json(proxy: Proxy, problem: CredentialError | None) -> None:
    described = None if problem is None else failed_json(problem)["error"]
    print_json(proxy.to_json(datetime.now(UTC)) | {"valid": problem is None, "error": described})


def _show(proxy: Proxy) -> None:
    from beampipe.environments.secret_files import describe_time
    from beampipe.environments.x509 import describe_end

    left_s = (proxy.usable_until() - datetime.now(UTC)).total_seconds()
    rows = {
        "path": str(proxy.path),
        "identity": proxy.identity,
        "subject": proxy.subject,
        "issuer": proxy.issuer,
        "kind": KINDS[proxy.kind] + (", limited" if proxy.is_limited else ""),
        "key": f"{proxy.bits} bits" if proxy.bits else "",
        "further": "" if proxy.path_length is None else f"{proxy.path_length} proxies in a row",
        "vo": _describe_vo(proxy),
        "left": f"{describe_time(left_s)}, {describe_end(proxy)}" if left_s > 0 else "expired",
    }
    for name, text in rows.items():
        if text:
            click.echo(f"{name:<9} {text}")


def _describe_vo(proxy: Proxy) -> str:
    if proxy.voms is None:
        return "none"
    until = proxy.voms.ends_at
    ends = f", until {until:%Y-%m-%d %H:%M:%S} UTC" if until is not None else ""
    groups = f" ({', '.join(proxy.voms.fqans)})" if proxy.voms.fqans else ""
    return f"{proxy.voms.vo or 'there, but its name cannot be read'}{groups}{ends}"


@command.command("create")
@click.option("--cert", type=_FILE, help="Certificate [default: ~/.globus/usercert.pem], or proxy.")
@click.option("--key", type=_FILE, help="Its key [default: ~/.globus/userkey.pem].")
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    default=12.0,
    show_default=True,
    help="How long it is to be valid.",
)
@click.option(
    "--bits",
    type=click.IntRange(2048, 8192),
    default=2048,
    show_default=True,
    help="Size of its key.",
)
@click.option("--out", type=_FILE, help="Where to write it [default: where it is looked for].")
def create_command(
    *, cert: Path | None, key: Path | None, hours: float, bits: int, out: Path | None
) -> None:
    """Make a proxy (RFC 3820) from a certificate and key, or from a proxy.

    The passphrase of the key is asked for. The proxy names no VO, for that takes the VO's server:
    where storage asks for one, use voms-proxy-init.

    \b
    Examples:
      beampipe proxy create --hours 24
      beampipe proxy create --cert /tmp/x509up_u1000 --out shorter.pem --hours 1
    """  # noqa: D301 (click's own mark)
    from beampipe.environments.proxy_making import (
        find_user_files,
        load_signer,
        make_proxy,
        write_proxy,
    )
    from beampipe.environments.secret_files import describe_time
    from beampipe.environments.x509 import describe_end, find_proxy, read_proxy

    if key is not None and cert is None:
        raise click.UsageError("--key needs --cert.")
    if cert is None:
        cert, key = find_user_files()
    signer = load_signer(cert, key, _ask)
    path = out or find_proxy()
    write_proxy(path, make_proxy(signer, hours=hours, bits=bits))
    proxy = read_proxy(path)
    left_s = (proxy.ends_at - datetime.now(UTC)).total_seconds()
    click.echo(f"{path}: {proxy.identity}")
    click.echo(f"valid for {describe_time(left_s + 30)}, {describe_end(proxy)}")
    if left_s < hours * 3600 - 60:
        click.echo("This is shorter than asked for: what signed it ends then.", err=True)
    if proxy.voms is None:
        tool = shutil.which("voms-proxy-init")
        has = f"{tool} --voms VO" if tool else "voms-proxy-init --voms VO (not on PATH here)"
        click.echo(f"It names no VO. If your storage asks for one: {has}", err=True)


@command.command("from-p12")
@click.argument("file", type=_FILE)
@click.option("--out-dir", type=_FILE, default="~/.globus", show_default=True, help="Where to.")
@click.option("--no-passphrase", is_flag=True, help="Leave the key open; think twice.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def from_p12_command(*, file: Path, out_dir: Path, no_passphrase: bool, force: bool) -> None:
    """Make usercert.pem and userkey.pem of a .p12 file from a browser or an authority.

    The file's passphrase is asked for, and a new one for the key.

    \b
    Example:
      beampipe proxy from-p12 ~/Downloads/certificate.p12
    """  # noqa: D301 (click's own mark)
    from beampipe.environments.proxy_making import check_absent, read_p12, write_identity
    from beampipe.environments.secret import Secret
    from beampipe.environments.x509 import name_of

    folder = out_dir.expanduser()
    if not force:
        check_absent(folder)
    identity = read_p12(file, _ask)
    passphrase = None if no_passphrase else Secret(_ask_new().encode())
    certificate, key = write_identity(identity, folder, passphrase=passphrase, force=force)
    click.echo(f"{certificate}: {name_of(identity.certificate.subject)}")
    click.echo(f"valid until {identity.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    click.echo(f"{key}: {'open' if no_passphrase else 'locked with the new passphrase'}")
    click.echo("Next: voms-proxy-init --voms VO, or beampipe proxy create", err=True)


def _ask(what: str) -> str:
    return str(click.prompt(what, hide_input=True, default="", show_default=False, err=True))


def _ask_new() -> str:
    return str(
        click.prompt(
            "New passphrase of the key", hide_input=True, confirmation_prompt=True, err=True
        )
    )
