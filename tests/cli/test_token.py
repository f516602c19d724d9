from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner
from tests.environments.tokens import SIGNATURE, make_token

from beampipe.cli.main import cli


@pytest.fixture(autouse=True)
def _no_token(tmp_path, monkeypatch):
    for name in ("BEARER_TOKEN", "BEARER_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def call(*args):
    return CliRunner().invoke(cli, ["token", "info", *args])


def test_info_shows_claims_and_no_token(monkeypatch):
    token = make_token(sub="z\x1b[2J")
    monkeypatch.setenv("BEARER_TOKEN", token)
    done = call()
    assert done.exit_code == 0, done.output
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert rows["issuer"] == "https://issuer.test/"
    assert rows["subject"] == "z?[2J"
    assert rows["left"].startswith("59 min, until ")
    assert rows["place"] == "BEARER_TOKEN (BEARER_TOKEN)"
    found = call("--json")
    for part in (*token.split("."), SIGNATURE):
        assert part not in done.output + found.output
    assert json.loads(found.stdout)["valid"] is True


def test_info_of_one_that_ends_too_early(monkeypatch):
    monkeypatch.setenv("BEARER_TOKEN", make_token())
    done = call("--valid", "2")
    assert (done.exit_code, "[credential-expired]" in done.stderr) == (1, True)
    found = json.loads(call("--valid", "2", "--json").stdout)
    assert (found["valid"], found["error"]["code"]) == (False, "credential-expired")
    monkeypatch.setenv("BEARER_TOKEN", make_token(left_s=-1))
    assert "left      expired" in call().stdout


def test_info_of_others(monkeypatch, tmp_path):
    monkeypatch.setenv("BEARER_TOKEN", "opaque")
    assert "it is no JWT" in call().stdout
    monkeypatch.setenv("BEARER_TOKEN", make_token(left_s=None))
    assert "it does not say" in call().stdout
    monkeypatch.delenv("BEARER_TOKEN")
    path = tmp_path / f"bt_u{os.geteuid()}"
    path.write_text(make_token())
    path.chmod(0o600)
    done = call()
    assert f"{path} (the default file)" in done.stdout


def test_info_without_any(monkeypatch):
    monkeypatch.setattr("beampipe.environments.bearer_tokens.find_token", lambda: None)
    done = call()
    assert (done.exit_code, "[credential-missing]" in done.stderr) == (1, True)
