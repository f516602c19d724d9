"""What a storage server's refusal comes from, as far as proxy and token here can tell.

XRootD's client says "No protocols left to try" of a proxy that has expired, of one that others can
read, and of none at all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from beampipe.environments.bearer_tokens import check_token, find_token, read_token
from beampipe.environments.secret_files import REMEDIES
from beampipe.environments.x509 import check_proxy, find_proxy, read_proxy
from beampipe.errors import CredentialError, CredentialMissingError

_XROOTD: Final = {"root", "roots", "xroot", "xroots"}
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


def explain_refusal(scheme: str, environment: Mapping[str, str] = os.environ) -> Refusal | None:
    """Look at this process' proxy and token after a refusal.

    Parameters
    ----------
    scheme : str
        Of the URL that was refused: proxies go to XRootD servers, tokens to all.
    environment : mapping
        Variables.

    Returns
    -------
    Refusal or None
        None if nothing is wrong that can be seen from here.
    """
    if scheme not in _HTTP | _XROOTD:
        return None
    token, has_token = _examine_token(environment)
    if scheme in _HTTP:
        return _name(token)
    try:
        check_proxy(read_proxy(find_proxy(environment)))
    except CredentialMissingError:
        if has_token:
            return _name(token)
        return Refusal(
            f"there is neither a proxy ({find_proxy(environment)}) nor a bearer token here",
            f"{REMEDIES['proxy']}, or {REMEDIES['token']}",
        )
    except CredentialError as error:
        return _name(error)
    return _name(token)


def _examine_token(environment: Mapping[str, str]) -> tuple[CredentialError | None, bool]:
    """What is wrong with the token, and whether there is one."""
    place = find_token(environment)
    if place is None:
        return None, False
    try:
        check_token(read_token(place, environment))
    except CredentialError as error:
        return error, True
    return None, True


def _name(error: CredentialError | None) -> Refusal | None:
    if error is None:
        return None
    text = error.message.rstrip(".")
    return Refusal(f"{text[:1].lower()}{text[1:]} ({error.why})", error.fix)
