from __future__ import annotations

import pytest
from tests.environments import grid
from tests.environments.tokens import SIGNATURE, make_token

from beampipe.environments.bearer_tokens import find_token
from beampipe.environments.refusals import explain_refusal


@pytest.fixture
def variables(tmp_path, monkeypatch):
    """Nothing is anywhere, whatever this computer has."""
    monkeypatch.setattr(
        "beampipe.environments.refusals.find_token",
        lambda known: find_token(known) if "BEARER_TOKEN" in known else None,
    )
    return {"X509_USER_PROXY": str(tmp_path / "x509up 'µ'")}


def put_proxy(variables, tmp_path, *, end_h=12.0, mode=0o600):
    made = grid.proxy(grid.user(), "1", oid=grid.RFC, begin_h=-2, end_h=end_h)
    path = grid.write(tmp_path / "x509up 'µ'", made.pem())
    path.chmod(mode)
    return made


def test_nothing_is_there(variables):
    found = explain_refusal("root", variables)
    assert "neither a proxy" in found.why
    assert "x509up 'µ'" in found.why
    assert "voms-proxy-init" in found.fix
    assert explain_refusal("https", variables) is None
    assert explain_refusal("s3", variables) is None


def test_the_word_for_a_proxy_that_is_over(variables, tmp_path):
    put_proxy(variables, tmp_path, end_h=-0.1)
    found = explain_refusal("root", variables)
    assert found.why.startswith("the proxy")
    assert "has expired" in found.why
    assert "voms-proxy-init" in found.fix
    variables["BEARER_TOKEN"] = make_token()  # servers may want either
    assert "has expired" in explain_refusal("root", variables).why
    assert explain_refusal("https", variables) is None


def test_a_proxy_that_others_read(variables, tmp_path):
    put_proxy(variables, tmp_path, mode=0o644)
    assert "0644" in explain_refusal("root", variables).why


def test_nothing_is_wrong_that_can_be_seen(variables, tmp_path):
    put_proxy(variables, tmp_path)
    assert explain_refusal("root", variables) is None


def test_tokens(variables, tmp_path):
    variables["BEARER_TOKEN"] = make_token(left_s=-10)
    for scheme in ("root", "https"):
        found = explain_refusal(scheme, variables)
        assert "the bearer token in BEARER_TOKEN has expired" in found.why
        assert SIGNATURE not in found.why + found.fix
    variables["BEARER_TOKEN"] = make_token()
    assert explain_refusal("root", variables) is None
    assert explain_refusal("https", variables) is None
    put_proxy(variables, tmp_path)
    variables["BEARER_TOKEN"] = make_token(left_s=-10)
    assert "bearer token" in explain_refusal("root", variables).why
