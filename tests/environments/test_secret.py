"""No way of failing shows a secret, also to whoever prints the locals of a traceback."""

from __future__ import annotations

import pickle
import traceback

import pytest
from tests.environments import grid
from tests.environments.grid import PASSPHRASE, RFC, key_pem, proxy, to_pem, user, write
from tests.environments.test_proxy_making import make_p12
from tests.environments.tokens import SIGNATURE, make_token

from beampipe.environments.bearer_tokens import TokenPlace, read_token
from beampipe.environments.proxy_making import (
    load_signer,
    make_proxy,
    read_p12,
    write_identity,
    write_proxy,
)
from beampipe.environments.secret import Secret
from beampipe.environments.x509 import read_proxy
from beampipe.errors import CredentialError

PLANTED = b"planted-secret-value"


def test_it_is_in_no_text_and_travels_whole():
    secret = Secret(PLANTED)
    for text in (repr(secret), str(secret), f"{secret}", repr([secret]), f"{secret!r:>20}"):
        assert "planted" not in text
    assert pickle.loads(pickle.dumps(secret)).reveal() == PLANTED
    assert secret == Secret(PLANTED)
    assert secret != Secret(b"other")
    assert secret != PLANTED
    assert secret
    assert not Secret(b"")
    with pytest.raises(TypeError):
        hash(secret)


def damaged_key(folder):
    pem = proxy(user(), "1", oid=RFC).pem()
    read_proxy(write(folder / "x", pem.replace(key_pem(grid.rsa_key(1))[40:100], b"A" * 60)))


def another_key(folder):
    made = proxy(user(), "1", oid=RFC)
    pem = to_pem(made.certificate) + key_pem(grid.rsa_key(0)) + to_pem(made.above[0])
    read_proxy(write(folder / "x", pem))


def missing_link(folder):
    made = proxy(user(), "1", oid=RFC)
    read_proxy(write(folder / "x", to_pem(made.certificate) + key_pem(grid.rsa_key(1))))


def wrong_passphrase(folder):
    certificate = write(folder / "c", to_pem(user().certificate))
    key = write(folder / "k", key_pem(grid.rsa_key(0), PASSPHRASE))
    load_signer(certificate, key, lambda _: PLANTED.decode())


def wrong_passphrase_of_p12(folder):
    read_p12(make_p12(folder / "p12"), lambda _: PLANTED.decode())


def no_place(folder):
    signer = load_signer(write(folder / "x", proxy(user(), "1", oid=RFC).pem()), None, lambda _: "")
    write_proxy(folder / "x" / "y", make_proxy(signer, hours=1, bits=2048))


def no_folder(folder):
    identity = read_p12(make_p12(folder / "p12"), lambda _: PASSPHRASE)
    write_identity(identity, folder / "p12" / "x", passphrase=Secret(PLANTED))


def token_of_two_words(folder):
    path = write(folder / "t", f"{make_token()} {PLANTED.decode()}".encode())
    read_token(TokenPlace("test", path))


def variable_of_two_words(folder):
    del folder
    read_token(TokenPlace("BEARER_TOKEN"))


WAYS = [
    damaged_key,
    another_key,
    missing_link,
    wrong_passphrase,
    wrong_passphrase_of_p12,
    no_place,
    no_folder,
    token_of_two_words,
    variable_of_two_words,
]


@pytest.mark.parametrize("fail", WAYS, ids=[way.__name__ for way in WAYS])
def test_no_frame_of_ours_has_it(fail, tmp_path, monkeypatch):
    monkeypatch.setenv("BEARER_TOKEN", f"two {PLANTED.decode()}")
    with pytest.raises(CredentialError) as caught:
        fail(tmp_path)
    secrets = [PLANTED.decode(), PASSPHRASE, SIGNATURE, "BEGIN PRIVATE", "BEGIN RSA", "BEGIN ENC"]
    secrets += [key_pem(grid.rsa_key(n)).splitlines()[5].decode() for n in (0, 1)]
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    texts = [str(caught.value), repr(caught.value.facts)]
    while shown is not None:
        texts.append(str(shown))
        frames = [frame for frame in shown.stack if "src/beampipe" in frame.filename]
        texts += [repr(frame.locals) for frame in frames]
        shown = shown.__cause__ or shown.__context__
    assert any("Path" in text for text in texts) or fail is variable_of_two_words
    assert [text for text in texts if any(secret in text for secret in secrets)] == []
