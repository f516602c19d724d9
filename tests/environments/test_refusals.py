from __future__ import annotations

import pytest
from tests.environments import grid
from tests.environments.tokens import SIGNATURE, make_token

from beampipe.environments.bearer_tokens import find_token
from beampipe.environments.refusals import explain_refusal

ROOT, WEB = "root://door.org//store/a.root", "https://door.org/store/a.root"


@pytest.fixture
def variables(tmp_path, monkeypatch):
    """Nothing is anywhere, whatever this computer has."""
    monkeypatch.setattr(
        "beampipe.environments.refusals.find_token",
        lambda known: find_token(known) if "BEARER_TOKEN" in known else None,
    )
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    (certificates / "a1b2c3d4.0").touch()
    named = {"X509_USER_PROXY": str(tmp_path / "x509up 'µ'")}
    return named | {"X509_CERT_DIR": str(certificates)}


def put_proxy(variables, tmp_path, *, end_h=12.0, mode=0o600):
    made = grid.proxy(grid.user(), "1", oid=grid.RFC, begin_h=-2, end_h=end_h)
    path = grid.write(tmp_path / "x509up 'µ'", made.pem())
    path.chmod(mode)
    return made


def test_nothing_is_there(variables):
    found = explain_refusal(ROOT, variables)
    assert "neither a proxy" in found.why
    assert "x509up 'µ'" in found.why
    assert "voms-proxy-init" in found.fix
    assert explain_refusal(WEB, variables) is None
    assert explain_refusal("s3://bucket/a.root", variables) is None


def test_the_word_for_a_proxy_that_is_over(variables, tmp_path):
    put_proxy(variables, tmp_path, end_h=-0.1)
    found = explain_refusal(ROOT, variables)
    assert found.why.startswith("the proxy")
    assert "has expired" in found.why
    assert "voms-proxy-init" in found.fix
    variables["BEARER_TOKEN"] = make_token()  # servers may want either
    assert "has expired" in explain_refusal(ROOT, variables).why
    assert explain_refusal(WEB, variables) is None


def test_a_proxy_that_others_read(variables, tmp_path):
    put_proxy(variables, tmp_path, mode=0o644)
    assert "0644" in explain_refusal(ROOT, variables).why


def test_nothing_is_wrong_that_can_be_seen(variables, tmp_path):
    put_proxy(variables, tmp_path)
    assert explain_refusal(ROOT, variables) is None


def test_tokens(variables, tmp_path):
    variables["BEARER_TOKEN"] = make_token(left_s=-10)
    for url in (ROOT, WEB):
        found = explain_refusal(url, variables)
        assert "the bearer token in BEARER_TOKEN has expired" in found.why
        assert SIGNATURE not in found.why + found.fix
    variables["BEARER_TOKEN"] = make_token()
    assert "X509_USER_PROXY names" in explain_refusal(ROOT, variables).why
    assert explain_refusal(WEB, variables) is None
    put_proxy(variables, tmp_path)
    assert explain_refusal(ROOT, variables) is None
    put_proxy(variables, tmp_path)
    variables["BEARER_TOKEN"] = make_token(left_s=-10)
    assert "bearer token" in explain_refusal(ROOT, variables).why


@pytest.mark.parametrize("scope", ["storage.read:/other", "storage.modify:/", "", "read:/sto"])
def test_a_token_for_something_else(variables, scope):
    variables["BEARER_TOKEN"] = make_token(scope=scope)
    for url in (ROOT, WEB):
        found = explain_refusal(url, variables)
        assert f"the scope of the bearer token in BEARER_TOKEN is {scope or 'nothing'}" in found.why
        assert "not to read" in found.why
        assert "--scopes=storage.read" in found.fix
        assert SIGNATURE not in found.why + found.fix


@pytest.mark.parametrize(
    "scope", ["openid storage.read:/store", "storage.stage:/", "read:/a.root", "storage.read", None]
)
def test_a_token_that_may_be_for_it(variables, scope, tmp_path):
    put_proxy(variables, tmp_path)
    variables["BEARER_TOKEN"] = make_token(scope=scope)
    assert explain_refusal(ROOT, variables) is None


def test_nobody_is_trusted(variables, tmp_path):
    put_proxy(variables, tmp_path)
    (tmp_path / "certificates" / "a1b2c3d4.0").unlink()
    found = explain_refusal(f"simplecache::{ROOT}", variables)
    assert f"no certificates of authorities in {tmp_path / 'certificates'}" in found.why
    assert "X509_CERT_DIR" in found.fix
    assert explain_refusal(WEB, variables) is None
    variables.pop("X509_CERT_DIR")
    assert "/etc/grid-security/certificates" in explain_refusal(ROOT, variables).why
