from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from tests.environments import grid
from tests.environments.grid import DRAFT, LIMITED, RFC, USER, proxy, user, write

from beampipe import errors
from beampipe.environments.x509 import (
    check_proxy,
    find_proxy,
    name_of,
    read_pem,
    read_proxy,
)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "x509 µ 'x'"


def test_where_a_proxy_is_looked_for():
    assert str(find_proxy({"X509_USER_PROXY": "/a b"})) == "/a b"
    assert str(find_proxy({"X509_USER_PROXY": ""})) == f"/tmp/x509up_u{os.getuid()}"


@pytest.mark.parametrize(
    ("last", "how", "kind", "is_limited"),
    [
        ("1", {"oid": RFC}, "rfc3820", False),
        ("1", {"oid": RFC, "value": LIMITED}, "rfc3820", True),
        ("1", {"oid": DRAFT}, "draft", False),
        ("proxy", {}, "legacy", False),
        ("limited proxy", {}, "legacy", True),
    ],
)
def test_a_proxy_of_each_kind(place, last, how, kind, is_limited):
    made = proxy(user(), last, **how)
    found = read_proxy(write(place, made.pem()))
    assert (found.kind, found.is_limited, found.bits) == (kind, is_limited, 2048)
    assert (found.subject, found.issuer) == (f"{USER}/CN={last}", USER)
    assert found.identity == USER
    assert found.voms is None
    check_proxy(found, needed_s=11 * 3600)


def test_a_proxy_of_a_proxy_is_the_users_and_ends_with_the_first(place):
    middle = proxy(user(), "1", oid=RFC, value=LIMITED, end_h=3)
    last = proxy(middle, "2", oid=RFC, voms=grid.voms_extension())
    found = read_proxy(write(place, last.pem()))
    assert found.identity == USER
    assert found.subject == f"{USER}/CN=1/CN=2"
    assert found.is_limited
    left = found.ends_at - datetime.now(UTC)
    assert timedelta(hours=2.9) < left < timedelta(hours=3.1)
    assert found.voms.vo == "cms"


def test_the_chain_may_be_in_any_order_with_the_authority_and_text(place):
    middle = proxy(user(), "1", oid=RFC)
    last = proxy(middle, "2", oid=RFC)
    above = [*reversed(last.above), grid.authority().certificate]
    text = b"subject= /X\n".join([grid.to_pem(last.certificate), *map(grid.to_pem, above)])
    found = read_proxy(write(place, grid.key_pem(last.key) + b"junk\xff\n" + text))
    assert (found.subject, found.identity) == (f"{USER}/CN=1/CN=2", USER)


def test_a_users_own_certificate_with_its_key_is_called_that(place):
    found = read_proxy(write(place, user().pem()))
    assert (found.kind, found.identity) == ("none", USER)


def test_the_vos_word_may_end_before_the_proxy(place):
    made = proxy(user(), "1", oid=RFC, voms=grid.voms_extension(end_h=2))
    found = read_proxy(write(place, made.pem()))
    check_proxy(found, needed_s=3600)
    with pytest.raises(errors.CredentialExpiredError, match="ends in 1 h 59 min, which is too"):
        check_proxy(found, needed_s=3 * 3600)
    with pytest.raises(errors.CredentialExpiredError, match="expired .the VO's attributes in it"):
        check_proxy(found, now=datetime.now(UTC) + timedelta(hours=3))
    described = found.to_json(datetime.now(UTC))
    assert (described["vo"], described["kind"]) == ("cms", "rfc3820")
    assert 7100 < described["left_s"] <= 7200


def test_too_old_and_too_new(place):
    found = read_proxy(write(place, proxy(user(), "1", oid=RFC, begin_h=-5, end_h=-1).pem()))
    with pytest.raises(errors.CredentialExpiredError, match="has expired.") as caught:
        check_proxy(found)
    assert USER in caught.value.why
    assert "voms-proxy-init" in caught.value.fix
    found = read_proxy(write(place, proxy(user(), "1", oid=RFC, begin_h=1).pem()))
    with pytest.raises(errors.CredentialExpiredError, match="is not valid before"):
        check_proxy(found)


def test_a_proxy_that_others_can_read(place, monkeypatch):
    path = write(place, proxy(user(), "1", oid=RFC).pem(), mode=0o640)
    with pytest.raises(errors.CredentialUnsafeError) as caught:
        check_proxy(read_proxy(path))
    assert caught.value.why == "its mode is 0640"
    path.chmod(0o600)
    found = read_proxy(path)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(errors.CredentialUnsafeError, match="Others have access") as caught:
        check_proxy(found)
    assert "you are 4711" in caught.value.why


def broken(name):
    made = proxy(user(), "1", oid=RFC)
    pem = {
        "nothing in it": b"",
        "no PEM": b"hello\n",
        "no key": grid.to_pem(made.certificate) + grid.to_pem(user().certificate),
        "no certificate": grid.key_pem(made.key),
        "another key": made.pem().replace(grid.key_pem(made.key), grid.key_pem(grid.rsa_key())),
        "no issuer": grid.to_pem(made.certificate) + grid.key_pem(made.key),
        "damaged": made.pem().replace(
            b"-----BEGIN CERTIFICATE-----\nMII", b"-----BEGIN CERTIFICATE-----\nAAA", 1
        ),
        "damaged key": made.pem().replace(grid.key_pem(made.key)[40:200], b"A" * 160),
        "too large": made.pem() + b"#" * 10**6,
    }
    return pem[name]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nothing in it", "no PEM"),
        ("no PEM", "no PEM"),
        ("no key", "no private key"),
        ("no certificate", "no certificate"),
        ("another key", "belongs to another certificate"),
        ("no issuer", "is missing in it"),
        ("damaged", "a certificate in it is damaged"),
        ("damaged key", "its key is damaged"),
        ("too large", "much too large"),
    ],
)
def test_what_is_no_proxy_is_told_by_its_part(place, name, why):
    with pytest.raises(errors.CredentialInvalidError, match="cannot be used as a proxy") as caught:
        read_proxy(write(place, broken(name)))
    assert why in caught.value.why
    assert "PRIVATE KEY" not in str(caught.value)


def test_a_chain_signed_by_somebody_else_of_that_name(place):
    stranger = user(key=grid.rsa_key(2))
    made = proxy(user(), "1", oid=RFC)
    pem = grid.to_pem(made.certificate) + grid.key_pem(made.key) + grid.to_pem(stranger.certificate)
    with pytest.raises(errors.CredentialInvalidError) as caught:
        read_proxy(write(place, pem))
    assert "was not signed by" in caught.value.why


def test_a_locked_key_is_no_proxys(place):
    made = proxy(user(), "1", oid=RFC)
    pem = grid.to_pem(made.certificate) + grid.key_pem(made.key, "x") + grid.to_pem(made.above[0])
    with pytest.raises(errors.CredentialPassphraseError, match="cannot be used"):
        read_proxy(write(place, pem))


def test_what_is_not_there_or_no_file(place, tmp_path, no_privilege):
    with pytest.raises(errors.CredentialMissingError, match="There is no proxy"):
        read_proxy(place)
    with pytest.raises(errors.CredentialInvalidError):
        read_proxy(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.CredentialInvalidError, match="cannot be used"):
        read_proxy(tmp_path / "pipe")
    with pytest.raises(errors.CredentialUnsafeError, match="cannot be read"):
        read_proxy(write(place, b"x", mode=0o000))


def test_no_representation_has_the_key(place):
    made = proxy(user(), "1", oid=RFC)
    file = read_pem(write(place, made.pem()), what="proxy")
    secret = grid.key_pem(made.key).split(b"\n")[3].decode()
    assert secret in file.key_pem.reveal().decode()
    assert secret not in repr(file) + repr(read_proxy(place))


def test_names_are_written_as_openssl_does(place):
    certificate = user().certificate
    write(place, grid.to_pem(certificate))
    done = subprocess.run(
        ["openssl", "x509", "-in", place, "-noout", "-subject", "-nameopt", "compat"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip().removeprefix("subject=").isascii()  # it escapes; ours does not
    assert name_of(certificate.subject) == USER


def test_how_many_proxies_may_be_made_of_it(place):
    """RFC 3820 has the number in front of the policy, the draft behind it."""
    assert read_proxy(write(place, proxy(user(), oid=RFC).pem())).path_length is None
    none_more = bytes.fromhex("300f020100300a06082b06010505071501")
    assert read_proxy(write(place, proxy(user(), oid=RFC, value=none_more).pem())).path_length == 0
    one_more = bytes.fromhex("3011300a06082b06010505071501a103020101")
    first = proxy(user(), oid=DRAFT, value=one_more)
    assert read_proxy(write(place, first.pem())).path_length == 1
    described = read_proxy(write(place, proxy(first, oid=DRAFT).pem())).to_json(datetime.now(UTC))
    assert described["path_length"] == 0
