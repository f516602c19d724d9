"""What is to be said of a user's proxy and token before they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from beampipe.checks import Finding, Status
from beampipe.environments.bearer_tokens import FILE_VARIABLE, check_token, find_token, read_token
from beampipe.environments.secret_files import REMEDIES, describe_time
from beampipe.environments.x509 import VARIABLE, Proxy, check_proxy, find_proxy, read_proxy
from beampipe.errors import CredentialError, CredentialMissingError

_ASKS = ("root://", "roots://", "xroot://", "xroots://")
_MAY_ASK = (*_ASKS, "https://", "davs://", "http://")


def examine_credentials(
    urls: Iterable[str] = (),
    *,
    needed_s: float = 0.0,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Finding]:
    """Hold proxy and token against files and a time.

    Parameters
    ----------
    urls : iterable of str
        The files that will be read.
    needed_s : float
        How long they will be needed [s].
    environment : mapping
        Variables.

    Yields
    ------
    Finding
        ``proxy`` and ``token``. What is bad is an error if there are files that may ask for it,
        and a warning if not; that there is none is a warning where files are behind XRootD.
    """
    all_urls = list(urls)
    may_ask = any(url.startswith(_MAY_ASK) for url in all_urls)
    severity: Status = "error" if may_ask else "warning"
    proxy = _examine_proxy(needed_s, severity, environment)
    token = _examine_token(needed_s, severity, environment)
    n_asking = sum(url.startswith(_ASKS) for url in all_urls)
    if proxy is None and token is None and n_asking:
        fact = f"none at {find_proxy(environment)}, and {n_asking} files are behind XRootD"
        proxy = Finding("proxy", "warning", fact, f"if they ask for one: {REMEDIES['proxy']}")
    yield proxy or Finding("proxy", "ok", "none found, none needed as far as can be told")
    yield token or Finding("token", "ok", "none found")


def _examine_proxy(
    needed_s: float, severity: Status, environment: Mapping[str, str]
) -> Finding | None:
    """What is to be said of the proxy; None if there is none, and nothing names one."""
    try:
        proxy = read_proxy(find_proxy(environment))
        check_proxy(proxy, needed_s=needed_s)
    except CredentialMissingError as error:
        if not environment.get(VARIABLE):
            return None
        return Finding("proxy", severity, f"{VARIABLE}: {error.message}", error.fix)
    except CredentialError as error:
        return _from_error("proxy", severity, error)
    return Finding("proxy", "ok", describe_proxy(proxy))


def describe_proxy(proxy: Proxy) -> str:
    """Say of a good proxy whose it is, and for how long it is good."""
    left_s = (proxy.usable_until() - datetime.now(UTC)).total_seconds()
    vo = f", VO {proxy.voms.vo or '?'}" if proxy.voms is not None else ", no VO"
    return f"{proxy.identity}{vo}, {describe_time(left_s)} left ({proxy.path})"


def _examine_token(
    needed_s: float, severity: Status, environment: Mapping[str, str]
) -> Finding | None:
    place = find_token(environment)
    if place is None:
        return None
    try:
        token = read_token(place, environment)
        check_token(token, needed_s=needed_s)
    except CredentialMissingError as error:
        return Finding("token", severity, f"{FILE_VARIABLE}: {error.message}", error.fix)
    except CredentialError as error:
        return _from_error("token", severity, error)
    issuer = token.claims.get("iss", "an issuer that it does not name")
    if token.ends_at is None:
        return Finding("token", "ok", f"from {issuer}; it does not say until when ({place})")
    left_s = (token.ends_at - datetime.now(UTC)).total_seconds()
    return Finding("token", "ok", f"from {issuer}, {describe_time(left_s)} left ({place})")


def _from_error(code: str, severity: Status, error: CredentialError) -> Finding:
    why = f" ({error.why})" if error.why else ""
    return Finding(code, severity, f"{error.message.rstrip('.')}{why}", error.fix)
