"""What a storage server's refusal comes from, as far as proxy and token here can tell.

XRootD's client says "No protocols left to try" of a proxy that has expired, of one that others can
read, of none at all, and where no certificates of authorities are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from beampipe.environments.bearer_tokens import check_token, find_token, may_read, read_token
from beampipe.environments.secret_files import REMEDIES
from beampipe.environments.x509 import VARIABLE, check_proxy, find_proxy, read_proxy
from beampipe.errors import CredentialError, CredentialMissingError

_XROOTD: Final = {"root", "roots", "xroot", "xroots"}
_TRUST_VARIABLE: Final = "X509_CERT_DIR"
_TRUSTED: Final = "/etc/grid-security/certificates"
_HTTP: Final = {"http", "https", "dav", "davs"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a server may have said no.

    Attributes
    ----------
    why : str
        What is wrong with the credentials here, in one sentence.
    fix : str
        What to do about it.
    """

    why: str
    fix: str


def explain_refusal(url: str, environment: Mapping[str, str] = os.environ) -> Refusal | None:
    """Look at this process' proxy and token after a refusal, and at whom it trusts.

    Parameters
    ----------
    url : str
        What was refused: proxies go to XRootD servers, tokens to all.
    environment : mapping
        Variables.

    Returns
    -------
    Refusal or None
        None if nothing is wrong that can be seen from here.
    """
    address = urlsplit(url.rpartition("::")[2])
    if address.scheme not in _HTTP | _XROOTD:
        return None
    token, has_token = _examine_token(address.path, environment)
    if address.scheme in _HTTP:
        return token
    try:
        check_proxy(read_proxy(find_proxy(environment)))
    except CredentialMissingError:
        if has_token and environment.get(VARIABLE):
            # Its client then does without TLS, over which alone a token goes.
            return token or Refusal(
                f"{VARIABLE} names {find_proxy(environment)}, which is not there, and so XRootD's"
                " client shows no token either",
                f"unset {VARIABLE}",
            )
        if not has_token:
            return Refusal(
                f"there is neither a proxy ({find_proxy(environment)}) nor a bearer token here",
                f"{REMEDIES['proxy']}, or {REMEDIES['token']}",
            )
    except CredentialError as error:
        return _name(error)
    return token or _examine_authorities(environment)


def _examine_token(path: str, environment: Mapping[str, str]) -> tuple[Refusal | None, bool]:
    """What is wrong with the token, and whether there is one."""
    place = find_token(environment)
    if place is None:
        return None, False
    try:
        token = read_token(place, environment)
        check_token(token)
    except CredentialError as error:
        return _name(error), True
    if may_read(token, path) is False:
        scope = token.claims["scope"] or "nothing"
        why = f"the scope of the bearer token in {place} is {scope}, not to read {path}"
        fix = "get one with a scope for it (`htgettoken --scopes=storage.read:/…`, `oidc-token -s`)"
        return Refusal(why, fix), True
    return None, True


def _examine_authorities(environment: Mapping[str, str]) -> Refusal | None:
    """XRootD's client says the same where it knows nobody who could speak for a server."""
    folder = Path(environment.get(_TRUST_VARIABLE) or _TRUSTED)
    if any(folder.glob("*.[0-9]")):
        return None
    return Refusal(
        f"there are no certificates of authorities in {folder}, so no server can be trusted",
        f"install the grid's, or set {_TRUST_VARIABLE} to where they are"
        f" (CVMFS has them in /cvmfs/grid.cern.ch{_TRUSTED})",
    )


def _name(error: CredentialError) -> Refusal:
    text = error.message.rstrip(".")
    return Refusal(f"{text[:1].lower()}{text[1:]} ({error.why})", error.fix)
