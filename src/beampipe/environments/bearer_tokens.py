"""Bearer tokens: found by the rules of the WLCG, and what they claim, never what they are.

Source of the rules: WLCG Bearer Token Discovery 1.0 (Zenodo 3937438).
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beampipe.environments.secret import Secret
from beampipe.environments.secret_files import REMEDIES, check_private, describe_time, read_file
from beampipe.errors import (
    CredentialExpiredError,
    CredentialInvalidError,
    CredentialMissingError,
)

VALUE_VARIABLE, FILE_VARIABLE = "BEARER_TOKEN", "BEARER_TOKEN_FILE"
_GET = REMEDIES["token"]
_READS = {"storage.read", "storage.stage", "read"}
_SHOWN = ("iss", "sub", "aud", "scope", "wlcg.ver", "wlcg.groups", "iat", "nbf", "exp")


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Where a token is, by which rule.

    Attributes
    ----------
    rule : str
        A variable's name, or "the default file".
    path : Path or None
        None where the variable itself holds it.
    """

    rule: str
    path: Path | None = None

    def __str__(self) -> str:
        return self.rule if self.path is None else str(self.path)


@dataclass(frozen=True, slots=True)
class BearerToken:
    """What is known of a token; itself it is not kept.

    Attributes
    ----------
    place : TokenPlace
        Where it is.
    is_readable : bool
        Whether it is a JWT; others say nothing of themselves.
    claims : dict
        What it says; nobody has checked its signature.
    begins_at, ends_at : datetime or None
        When it is valid, as far as it says.
    mode, owner : int
        Permissions and user number of the file; of our own where a variable holds it.
    """

    place: TokenPlace
    is_readable: bool
    claims: Mapping[str, Any]
    begins_at: datetime | None
    ends_at: datetime | None
    mode: int
    owner: int

    def to_json(self, now: datetime) -> dict[str, Any]:
        """All of it that may be shown, for ``--json``."""
        ends_at = self.ends_at
        return {
            "place": str(self.place),
            "rule": self.place.rule,
            "jwt": self.is_readable,
            "claims": {name: self.claims[name] for name in _SHOWN if name in self.claims},
            "begins_at": self.begins_at and self.begins_at.isoformat(),
            "ends_at": ends_at and ends_at.isoformat(),
            "left_s": ends_at and (ends_at - now).total_seconds(),
        }


def find_token(environment: Mapping[str, str] = os.environ) -> TokenPlace | None:
    """Where this user's token is; None where no rule leads anywhere.

    ``BEARER_TOKEN`` holds it, or ``BEARER_TOKEN_FILE`` names it, or it is ``bt_u<uid>`` in
    ``XDG_RUNTIME_DIR`` or ``/tmp``. A file that a variable names need not be there.
    """
    if environment.get(VALUE_VARIABLE, "").strip():
        return TokenPlace(VALUE_VARIABLE)
    if named := environment.get(FILE_VARIABLE):
        return TokenPlace(FILE_VARIABLE, Path(named))
    name = f"bt_u{os.geteuid()}"
    runtime = environment.get("XDG_RUNTIME_DIR")
    for folder in (runtime, "/tmp"):  # noqa: S108 (that is where)
        if folder and (path := Path(folder, name)).exists():
            return TokenPlace("the default file", path)
    return None


def read_token(place: TokenPlace, environment: Mapping[str, str] | None = None) -> BearerToken:
    """Read what a token claims, without checking its signature.

    Raises
    ------
    CredentialMissingError, CredentialInvalidError, CredentialUnsafeError
        It is not there, empty or no token, or may not be read.
    """
    text, mode, owner = _read_text(place, environment)
    if not text or len(text.reveal().split()) != 1 or not text.reveal().isascii():
        raise CredentialInvalidError(
            f"What {place} holds is no bearer token.",
            why="it is empty" if not text else "it is not one word of ASCII letters",
            fix=_GET,
        )
    claims = _decode_claims(text)
    return BearerToken(
        place=place,
        is_readable=claims is not None,
        claims=claims or {},
        begins_at=_time_of(claims, "nbf"),
        ends_at=_time_of(claims, "exp"),
        mode=mode,
        owner=owner,
    )


def check_token(token: BearerToken, *, needed_s: float = 0.0, now: datetime | None = None) -> None:
    """See whether a token can be used, for as long as it is needed.

    Raises
    ------
    CredentialUnsafeError
        ``credential-unsafe``: XRootD ignores a token file that others can read.
    CredentialExpiredError
        ``credential-expired``: also where it ends too early, or begins later.
    """
    now = now or datetime.now(UTC)
    if token.place.path is not None:
        check_private(token.place.path, token.mode, token.owner, what="token")
    problem = ""
    if token.begins_at is not None and token.begins_at > now:
        problem = f"is not valid before {token.begins_at:%Y-%m-%d %H:%M:%S} UTC"
    elif token.ends_at is not None:
        left_s = (token.ends_at - now).total_seconds()
        if left_s <= 0:
            problem = "has expired"
        elif left_s <= needed_s:
            problem = f"ends in {describe_time(left_s)}, which is too early"
    if problem:
        until = f", until {token.ends_at:%Y-%m-%d %H:%M:%S} UTC" if token.ends_at else ""
        raise CredentialExpiredError(
            f"The bearer token in {token.place} {problem}.",
            why=f"it was issued by {token.claims.get('iss', 'somebody')}{until}",
            fix=_GET,
        )


def may_read(token: BearerToken, path: str) -> bool | None:
    """Tell whether a token's scope allows to read a path, as far as can be told from here.

    Parameters
    ----------
    token : BearerToken
    path : str
        Of a URL. What a scope names may begin further down: below which folder an issuer's paths
        lie is the storage's own business.

    Returns
    -------
    bool or None
        None where the token names no scope; servers then go by its groups.

    Examples
    --------
    >>> token = BearerToken(TokenPlace("x"), True, {"scope": "storage.read:/cms"}, None, None, 0, 0)
    >>> may_read(token, "//eos/cms/a.root"), may_read(token, "/eos/lhcb/a.root")
    (True, False)
    """
    scope = token.claims.get("scope")
    if not isinstance(scope, str):
        return None
    asked = _spell(path)
    for word in scope.split():
        what, _, where = word.partition(":")
        if what in _READS and _spell(where) in asked:
            return True
    return False


def _spell(path: str) -> str:
    """A path whose parts can be found in another one: ``/a/b/``."""
    return "/".join(("", *filter(None, path.split("/")), ""))


def missing_token() -> CredentialMissingError:
    """Make the error for no token anywhere."""
    return CredentialMissingError(
        "There is no bearer token.",
        why=f"neither {VALUE_VARIABLE} nor {FILE_VARIABLE} is set, and there is no"
        f" bt_u{os.geteuid()} in XDG_RUNTIME_DIR or /tmp",
        fix=_GET,
    )


def _read_text(place: TokenPlace, environment: Mapping[str, str] | None) -> tuple[Secret, int, int]:
    if place.path is None:
        variables = os.environ if environment is None else environment
        text = os.fsencode(variables.get(VALUE_VARIABLE, "")).strip()
        return Secret(text), 0o600, os.geteuid()
    data, found = read_file(place.path, what="token")
    return Secret(data.reveal().strip()), stat.S_IMODE(found.st_mode), found.st_uid


def _decode_claims(text: Secret) -> dict[str, Any] | None:
    """The middle part of a JWT; None if it is none."""
    parts = text.reveal().split(b".")
    if len(parts) != 3:
        return None
    try:
        padded = parts[1] + b"=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _time_of(claims: Mapping[str, Any] | None, name: str) -> datetime | None:
    value = (claims or {}).get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OSError, OverflowError, ValueError):
        return None
