from __future__ import annotations

import pytest
from tests.environments import grid
from tests.environments.grid import RFC, USER, proxy, user, write
from tests.environments.tokens import SIGNATURE, make_token

from beampipe.environments.credential_checks import examine_credentials

BEHIND = ["root://host//a.root", "/local/b.root", "root://host//c.root"]


def examine(environment, urls=(), needed_s=0.0):
    found = list(examine_credentials(urls, needed_s=needed_s, environment=environment))
    assert [finding.code for finding in found] == ["proxy", "token"]
    return found


@pytest.fixture
def none(tmp_path):
    """No credentials, whatever this computer has in its /tmp."""
    return {
        "X509_USER_PROXY": str(tmp_path / "none"),
        "BEARER_TOKEN_FILE": str(tmp_path / "none either"),
    }


@pytest.fixture
def good(tmp_path):
    made = proxy(user(), "1", oid=RFC, voms=grid.voms_extension())
    path = write(tmp_path / "proxy µ", made.pem())
    return {"X509_USER_PROXY": str(path), "BEARER_TOKEN": make_token()}


def test_good_ones(good):
    mine, token = examine(good, BEHIND, needed_s=3000)
    assert (mine.status, token.status) == ("ok", "ok")
    assert mine.fact.startswith(f"{USER}, VO cms, 11 h 59 min left")
    assert token.fact.startswith("from https://issuer.test/, 59 min left")
    assert SIGNATURE not in repr((mine, token))


def test_no_token_has_an_end_that_it_does_not_name(good):
    _, token = examine(good | {"BEARER_TOKEN": make_token(left_s=None)})
    assert "does not say until when" in token.fact


@pytest.mark.parametrize(("urls", "status"), [(BEHIND, "error"), ([], "warning")])
def test_they_end_too_early(good, urls, status):
    found = examine(good, urls, needed_s=24 * 3600)
    assert {finding.status for finding in found} == {status}
    assert all("too early" in finding.fact for finding in found)


@pytest.mark.parametrize(("urls", "status"), [(BEHIND, "error"), ([], "warning")])
def test_variables_that_lead_nowhere(none, urls, status):
    mine, token = examine(none, urls)
    assert (mine.status, token.status) == (status, status)
    assert mine.fact.startswith("X509_USER_PROXY: There is no proxy at")
    assert token.fact.startswith("BEARER_TOKEN_FILE: There is no token at")


def test_none_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr("beampipe.environments.credential_checks.find_token", lambda _: None)
    monkeypatch.setattr(
        "beampipe.environments.credential_checks.find_proxy", lambda _: tmp_path / "none"
    )
    for urls in ([], ["https://host/a.root"]):
        mine, token = examine({}, urls)
        assert (mine.status, token.status) == ("ok", "ok")
    mine, token = examine({}, BEHIND)
    assert (mine.status, token.status) == ("warning", "ok")
    assert "2 files are behind XRootD" in mine.fact
    assert "voms-proxy-init" in mine.remedy


def test_a_token_is_enough_for_xrootd(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "beampipe.environments.credential_checks.find_proxy", lambda _: tmp_path / "none"
    )
    mine, token = examine({"BEARER_TOKEN": make_token()}, BEHIND)
    assert (mine.status, token.status) == ("ok", "ok")


def test_one_that_others_can_read(good, tmp_path):
    (tmp_path / "proxy µ").chmod(0o644)
    mine, _ = examine(good, BEHIND)
    assert mine.status == "error"
    assert "its mode is 0644" in mine.fact
