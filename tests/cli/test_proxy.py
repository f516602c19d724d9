from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.environments import grid
from tests.environments.grid import PASSPHRASE, RFC, USER, proxy, user, write
from tests.environments.test_proxy_making import make_p12

from beampipe.cli.main import cli
from beampipe.environments.x509 import read_proxy


def call(*args, typed=None):
    return CliRunner().invoke(cli, ["proxy", *map(str, args)], input=typed)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the proxy is, and a home without any other."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "proxy µ 'x'"
    monkeypatch.setenv("X509_USER_PROXY", str(path))
    return path


def test_info_says_whose_it_is_and_for_how_long(place):
    write(place, proxy(user(), "1", oid=RFC, voms=grid.voms_extension()).pem())
    done = call("info")
    assert done.exit_code == 0, done.output
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert rows["identity"] == USER
    assert rows["kind"] == "RFC 3820 proxy"
    assert rows["vo"].startswith("cms (/cms/Role=NULL/Capability=NULL), until ")
    assert rows["left"].startswith("11 h 59 min, until ")
    assert call("info", "--valid", 11).exit_code == 0
    done = call("info", "--valid", 13)
    assert done.exit_code == 1
    assert "[credential-expired]" in done.stderr


def test_info_as_json(place):
    write(place, proxy(user(), "1", oid=RFC).pem(), mode=0o644)
    done = call("info", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (found["identity"], found["valid"], found["vo"]) == (USER, False, None)
    assert found["error"]["code"] == "credential-unsafe"
    place.chmod(0o600)
    assert json.loads(call("info", "--file", place, "--json").stdout)["valid"] is True


def test_info_without_a_proxy(place):
    done = call("info")
    assert done.exit_code == 1
    assert "[credential-missing]" in done.stderr


def test_info_of_one_that_is_over(place):
    write(place, proxy(user(), "proxy", begin_h=-2, end_h=-1).pem())
    done = call("info")
    assert (done.exit_code, "left      expired" in done.stdout) == (1, True)
    assert "vo        none" in done.stdout
    assert "legacy proxy" in done.stdout


def test_create_asks_for_the_passphrase_and_shows_it_nowhere(place, tmp_path):
    folder = tmp_path / ".globus"
    folder.mkdir()
    party = user(end_h=20)
    write(folder / "usercert.pem", grid.to_pem(party.certificate), 0o644)
    write(folder / "userkey.pem", grid.key_pem(party.key, PASSPHRASE), 0o400)
    done = call("create", typed=f"{PASSPHRASE}\n")
    assert done.exit_code == 0, done.output
    assert PASSPHRASE not in done.output
    assert f"{place}: {USER}" in done.stdout
    assert "valid for 12 h 0 min" in done.stdout
    assert "voms-proxy-init --voms VO" in done.stderr
    assert read_proxy(place).identity == USER
    done = call("create", "--hours", 30, typed=f"{PASSPHRASE}\n")
    assert "shorter than asked for" in done.stderr
    done = call("create", typed="wrong\n")
    assert (done.exit_code, "[credential-passphrase]" in done.stderr) == (1, True)


def test_create_of_a_proxy_elsewhere(place, tmp_path):
    write(place, proxy(user(), "1", oid=RFC, voms=grid.voms_extension()).pem())
    out = tmp_path / "second"
    done = call("create", "--cert", place, "--out", out, "--hours", 0.5, "--bits", 2048)
    assert done.exit_code == 0, done.output
    assert "voms-proxy-init" not in done.stderr  # it has the VO's word already
    assert read_proxy(out).issuer == read_proxy(place).subject
    assert call("create", "--key", place).exit_code == 2


def test_from_p12_and_not_over_what_is_there(place, tmp_path):
    p12 = make_p12(tmp_path / "browser.p12")
    done = call("from-p12", p12, typed=f"{PASSPHRASE}\nnew one\nnew one\n")
    assert done.exit_code == 0, done.output
    assert not {PASSPHRASE, "new one"} & set(done.output.split("\n"))
    assert USER in done.stdout
    assert (tmp_path / ".globus/userkey.pem").stat().st_mode & 0o777 == 0o400
    done = call("from-p12", p12)
    assert (done.exit_code, "[credential-exists]" in done.stderr) == (1, True)
    done = call("from-p12", p12, "--force", "--no-passphrase", typed=f"{PASSPHRASE}\n")
    assert done.exit_code == 0, done.output
    assert "userkey.pem: open" in done.stdout
    assert call("create", "--hours", 1).exit_code == 0
