from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from tests.environments import grid
from tests.environments.grid import DRAFT, LIMITED, PASSPHRASE, RFC, USER, proxy, user, write

from beampipe import errors
from beampipe.environments.proxy_making import (
    find_user_files,
    load_signer,
    make_proxy,
    read_p12,
    write_identity,
    write_proxy,
)
from beampipe.environments.secret import Secret
from beampipe.environments.x509 import check_proxy, read_proxy

NEWER = "newer"


def never_ask(what):
    raise AssertionError(what)


def sign(party, folder):
    """A signer of a pair of files, as in ~/.globus."""
    certificate = write(folder / "usercert.pem", grid.to_pem(party.certificate), 0o644)
    key = write(folder / "userkey.pem", grid.key_pem(party.key), 0o400)
    return load_signer(certificate, key, never_ask)


def verify(path, folder):
    """What OpenSSL, which servers use, says of a proxy."""
    ca = write(folder / "ca.pem", grid.to_pem(grid.authority().certificate))
    done = subprocess.run(
        ["openssl", "verify", "-allow_proxy_certs", "-CAfile", ca, "-untrusted", path, path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def place(tmp_path):
    return tmp_path / "made µ 'x'"


def test_a_proxy_is_made_that_openssl_takes(tmp_path, place):
    write_proxy(place, make_proxy(sign(user(), tmp_path), hours=12, bits=2048))
    assert verify(place, tmp_path)[0], verify(place, tmp_path)[1]
    assert place.stat().st_mode & 0o777 == 0o600
    found = read_proxy(place)
    check_proxy(found, needed_s=11.9 * 3600)
    assert (found.kind, found.is_limited, found.bits) == ("rfc3820", False, 2048)
    assert (found.identity, found.issuer) == (USER, USER)
    assert found.subject.startswith(f"{USER}/CN=")
    assert found.ends_at - datetime.now(UTC) < timedelta(hours=12)


def test_openssl_would_not_take_any(tmp_path, place):
    """The test above can fail: here a proxy that names no policy."""
    made = proxy(user(), "1", oid=RFC, value=b"\x30\x00")
    write(place, made.pem())
    assert not verify(place, tmp_path)[0]


def test_a_proxy_of_a_proxy(tmp_path, place):
    write_proxy(place, make_proxy(sign(user(), tmp_path), hours=2, bits=2048))
    signer = load_signer(place, None, never_ask)
    second = tmp_path / "second"
    write_proxy(second, make_proxy(signer, hours=12, bits=2048))
    assert verify(second, tmp_path)[0]
    found = read_proxy(second)
    assert (found.identity, found.issuer) == (USER, read_proxy(place).subject)
    assert found.ends_at == read_proxy(place).ends_at  # not longer than what signed it


def test_of_a_limited_proxy_comes_a_limited_one(tmp_path, place):
    parent = write(place, proxy(user(), "1", oid=RFC, value=LIMITED).pem())
    write_proxy(place, make_proxy(load_signer(parent, None, never_ask), hours=1, bits=2048))
    assert read_proxy(place).is_limited
    assert verify(place, tmp_path)[0]


def test_the_vos_word_stays_in_the_chain(place):
    parent = write(place, proxy(user(), "1", oid=RFC, voms=grid.voms_extension()).pem())
    write_proxy(place, make_proxy(load_signer(parent, None, never_ask), hours=1, bits=2048))
    assert read_proxy(place).voms.vo == "cms"


def test_a_certificate_with_an_elliptic_key(tmp_path, place):
    party = user(key=ec.generate_private_key(ec.SECP256R1()), usage=None)
    write_proxy(place, make_proxy(sign(party, tmp_path), hours=1, bits=3072))
    assert verify(place, tmp_path)[0]
    assert read_proxy(place).bits == 3072


def test_a_signer_that_is_over_or_may_not_sign(tmp_path):
    with pytest.raises(errors.CredentialExpiredError, match="it is not valid now"):
        make_proxy(sign(user(begin_h=-9, end_h=-1), tmp_path), hours=1, bits=2048)
    (tmp_path / "userkey.pem").unlink()
    with pytest.raises(errors.CredentialInvalidError) as caught:
        make_proxy(sign(user(usage=False), tmp_path), hours=1, bits=2048)
    assert "key usage" in caught.value.why


@pytest.mark.parametrize(("last", "how"), [("proxy", {}), ("1", {"oid": DRAFT})])
def test_kinds_are_not_mixed(place, last, how):
    write(place, proxy(user(), last, **how).pem())
    with pytest.raises(errors.CredentialInvalidError) as caught:
        make_proxy(load_signer(place, None, never_ask), hours=1, bits=2048)
    assert "which signs none of RFC 3820" in caught.value.why


def test_one_that_allows_no_further_proxy_signs_none(place):
    """Servers refuse what comes of it (RFC 3820, 3.8.1)."""
    none_more = bytes.fromhex("300f020100300a06082b06010505071501")
    signer = load_signer(
        write(place, proxy(user(), oid=RFC, value=none_more).pem()), None, never_ask
    )
    with pytest.raises(errors.CredentialInvalidError, match="path length"):
        make_proxy(signer, hours=1, bits=2048)


def test_a_lock_that_this_openssl_does_not_have(place, monkeypatch):
    def refuse(data, passphrase):
        raise UnsupportedAlgorithm("rc2-40-cbc")

    monkeypatch.setattr(pkcs12, "load_key_and_certificates", refuse)
    with pytest.raises(errors.CredentialInvalidError, match="openssl pkcs12 -legacy"):
        read_p12(write(place, b"0..."), never_ask)


def test_a_locked_key_is_asked_for_once(tmp_path):
    party = user()
    certificate = write(tmp_path / "c", grid.to_pem(party.certificate))
    key = write(tmp_path / "k 'x'", grid.key_pem(party.key, PASSPHRASE), 0o400)
    asked = []

    def answer(text):
        def ask(what):
            asked.append(what)
            return text

        return ask

    signer = load_signer(certificate, key, answer(PASSPHRASE))
    assert asked == [f"Passphrase of {key}"]
    assert "key" not in repr(signer)
    for wrong in ("wrong", ""):
        with pytest.raises(errors.CredentialPassphraseError) as caught:
            load_signer(certificate, key, answer(wrong))
        assert "wrong" not in str(caught.value).replace("not the right", "")


def test_a_key_that_others_can_read_signs_nothing(tmp_path):
    party = user()
    certificate = write(tmp_path / "c", grid.to_pem(party.certificate))
    key = write(tmp_path / "k", grid.key_pem(party.key), 0o440)
    with pytest.raises(errors.CredentialUnsafeError) as caught:
        load_signer(certificate, key, never_ask)
    assert caught.value.why == "its mode is 0440"


def test_what_is_no_pair(tmp_path):
    certificate = write(tmp_path / "c", grid.to_pem(user().certificate))
    key = write(tmp_path / "k", grid.key_pem(grid.rsa_key(5)), 0o400)
    for first, second, why in (
        (certificate, key, "does not belong"),
        (certificate, certificate, "no private key"),
        (certificate, None, "no private key"),
        (key, key, "no certificate"),
    ):
        with pytest.raises(errors.CredentialInvalidError, match="No proxy can be made") as caught:
            load_signer(first, second, never_ask)
        assert why in caught.value.why


def test_where_a_user_has_certificate_and_key(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_user_files({}) == (
        tmp_path / ".globus/usercert.pem", tmp_path / ".globus/userkey.pem",
    )  # fmt: skip
    both = find_user_files({"X509_USER_CERT": "/c", "X509_USER_KEY": "/k"})
    assert list(map(str, both)) == ["/c", "/k"]


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(errors.CredentialStorageError, match="cannot be written"):
        write_proxy(tmp_path / "none" / "x", Secret(b"x"))


# -- .p12 files ---------------------------------------------------------------------------------


def make_p12(path, passphrase=PASSPHRASE, *, with_key=True):
    party = user()
    lock = serialization.NoEncryption()
    if passphrase:
        lock = serialization.BestAvailableEncryption(passphrase.encode())
    key = party.key if with_key else None
    data = pkcs12.serialize_key_and_certificates(
        b"me", key, party.certificate, [grid.authority().certificate], lock
    )
    return write(path, data)


def test_certificate_and_key_come_out_of_a_p12_file_and_make_a_proxy(tmp_path, place):
    identity = read_p12(make_p12(place), lambda _: PASSPHRASE)
    folder = tmp_path / "new" / "globus"
    certificate, key = write_identity(identity, folder, passphrase=Secret(NEWER.encode()))
    assert certificate.stat().st_mode & 0o777 == 0o644
    assert key.stat().st_mode & 0o777 == 0o400
    assert folder.stat().st_mode & 0o777 == 0o700
    assert b"ENCRYPTED" in key.read_bytes()
    proxy_path = tmp_path / "proxy"
    signer = load_signer(certificate, key, lambda _: NEWER)
    write_proxy(proxy_path, make_proxy(signer, hours=1, bits=2048))
    assert verify(proxy_path, tmp_path)[0]


def test_a_p12_file_of_openssl_with_the_old_cipher(tmp_path, place):
    """Authorities still give RC2, which the openssl command reads with -legacy only."""
    party = user()
    write(tmp_path / "c", grid.to_pem(party.certificate))
    write(tmp_path / "k", grid.key_pem(party.key))
    subprocess.run(
        ["openssl", "pkcs12", "-export", "-legacy", "-in", tmp_path / "c", "-inkey",
         tmp_path / "k", "-out", place, "-passout", "pass:old"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert read_p12(place, lambda _: "old").certificate == party.certificate


def test_an_open_p12_file_is_not_asked_for(tmp_path, place):
    identity = read_p12(make_p12(place, ""), never_ask)
    _, key = write_identity(identity, tmp_path, passphrase=None)
    assert b"BEGIN PRIVATE KEY" in key.read_bytes()
    assert "key" not in repr(identity)


def test_what_is_no_p12_file(tmp_path, place):
    with pytest.raises(errors.CredentialPassphraseError, match="cannot be opened"):
        read_p12(make_p12(place), lambda _: "wrong")
    for path, why in (
        (write(tmp_path / "text", b"hello"), "does not begin"),
        (make_p12(tmp_path / "no key", "", with_key=False), "no certificate with its key"),
    ):
        with pytest.raises(errors.CredentialInvalidError) as caught:
            read_p12(path, never_ask)
        assert why in caught.value.why
    with pytest.raises(errors.CredentialMissingError, match="no PKCS"):
        read_p12(tmp_path / "none", never_ask)


def test_nothing_is_written_over(tmp_path, place):
    identity = read_p12(make_p12(place, ""), never_ask)
    write(tmp_path / "userkey.pem", b"precious", 0o400)
    with pytest.raises(errors.CredentialExistsError, match="userkey.pem would be written over"):
        write_identity(identity, tmp_path, passphrase=None)
    assert (tmp_path / "userkey.pem").read_bytes() == b"precious"
    assert not (tmp_path / "usercert.pem").exists()
    write_identity(identity, tmp_path, passphrase=None, force=True)
    assert b"PRIVATE KEY" in (tmp_path / "userkey.pem").read_bytes()


def test_a_folder_that_cannot_be_made(tmp_path, place):
    identity = read_p12(make_p12(place, ""), never_ask)
    with pytest.raises(errors.CredentialStorageError, match="cannot be written"):
        write_identity(identity, place / "below a file", passphrase=None)


def test_openssl_is_here():
    """Without it the tests above would say little; it is part of every image of ours."""
    assert shutil.which("openssl")
