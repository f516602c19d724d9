from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.environments.tokens import SIGNATURE, encode, make_token

from beampipe import errors
from beampipe.environments.bearer_tokens import (
    TokenPlace,
    check_token,
    find_token,
    missing_token,
    read_token,
)

IN_VARIABLE = TokenPlace("BEARER_TOKEN")


def read(text):
    return read_token(IN_VARIABLE, {"BEARER_TOKEN": text})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "token µ 'x'"
    path.write_text(f"  {make_token()}\n")
    path.chmod(0o600)
    return path


def test_the_rules_in_their_order(tmp_path, monkeypatch):
    name = f"bt_u{os.geteuid()}"
    (tmp_path / name).write_text("x")
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path)}
    named = runtime | {"BEARER_TOKEN_FILE": "/not/there"}
    held = named | {"BEARER_TOKEN": " t "}
    assert find_token(held) == IN_VARIABLE
    assert find_token(held | {"BEARER_TOKEN": " "}).path == Path("/not/there")
    assert find_token(named) == TokenPlace("BEARER_TOKEN_FILE", Path("/not/there"))
    assert find_token(runtime) == TokenPlace("the default file", tmp_path / name)
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == f"/tmp/{name}")
    assert find_token(runtime).path == Path(f"/tmp/{name}")
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert find_token(runtime) is None
    assert "neither BEARER_TOKEN nor" in missing_token().why


def test_what_it_claims_and_not_itself(file):
    token = read_token(TokenPlace("BEARER_TOKEN_FILE", file))
    assert (token.claims["sub"], token.claims["iss"]) == ("zoë", "https://issuer.test/")
    described = token.to_json(datetime.now(UTC))
    assert described["claims"]["scope"] == "storage.read:/"
    assert 3500 < described["left_s"] <= 3600
    assert SIGNATURE not in repr(token) + str(described)
    check_token(token, needed_s=1800)


def test_expired_too_early_and_too_new():
    with pytest.raises(errors.CredentialExpiredError, match="BEARER_TOKEN has expired") as caught:
        check_token(read(make_token(left_s=-5)))
    assert "https://issuer.test/" in caught.value.why
    with pytest.raises(errors.CredentialExpiredError, match="ends in 59 min, which is too early"):
        check_token(read(make_token(left_s=3590)), needed_s=3600)
    with pytest.raises(errors.CredentialExpiredError, match="is not valid before"):
        check_token(read(make_token(nbf=time.time() + 600)))


def test_one_that_others_can_read_is_refused(file):
    file.chmod(0o644)  # XRootD would ignore it without a word
    with pytest.raises(errors.CredentialUnsafeError) as caught:
        check_token(read_token(TokenPlace("BEARER_TOKEN_FILE", file)))
    assert caught.value.why == "its mode is 0644"


@pytest.mark.parametrize(
    "text",
    [
        *("opaque", "a.b.c", "x.!!!!.y", f"x.{encode({})}", f"x.{encode([1])}.y"),
        *(f"x.{encode({'exp': end})}.y" for end in ("soon", 1e300, True)),
    ],
)
def test_one_that_says_nothing_of_its_end_may_be_good(text):
    token = read(text)
    assert token.ends_at is None
    assert token.to_json(datetime.now(UTC))["left_s"] is None
    check_token(token, needed_s=10**6)


def test_what_is_no_token(file, tmp_path):
    for text, why in (("", "empty"), ("two words", "one word"), ("tökén", "one word")):
        file.write_text(text)
        with pytest.raises(errors.CredentialInvalidError, match="no bearer token") as caught:
            read_token(TokenPlace("BEARER_TOKEN_FILE", file))
        assert why in caught.value.why
    with pytest.raises(errors.CredentialMissingError, match="There is no token at"):
        read_token(TokenPlace("BEARER_TOKEN_FILE", tmp_path / "none"))
