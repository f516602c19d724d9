"""A certificate authority of a test's own, users, and proxies of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from beampipe.environments.voms import VOMS_OID

USER = "/DC=ch/DC=test/CN=Zoë 'µ' Müller"
RFC, DRAFT = "1.3.6.1.5.5.7.1.14", "1.3.6.1.4.1.3536.1.222"
IMPERSONATION = bytes.fromhex("300c300a06082b06010505071501")
LIMITED = bytes.fromhex("300f300d060b2b060104019b5001010109")
PASSPHRASE = "pässword 'x'"  # noqa: S105 (of keys that the tests make)


@dataclass(frozen=True)
class Party:
    """A certificate with its key, and those above it, without the authority's."""

    certificate: x509.Certificate
    key: object
    above: tuple[x509.Certificate, ...] = ()

    def pem(self) -> bytes:
        """As a proxy's file has it."""
        parts = [to_pem(self.certificate), key_pem(self.key), *map(to_pem, self.above)]
        return b"".join(parts)


def to_pem(certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key, passphrase: str | None = None) -> bytes:
    lock = serialization.NoEncryption()
    if passphrase is not None:
        lock = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


@cache
def rsa_key(number: int = 0):
    """Keys take their time; tests that need any share them."""
    del number
    return rsa.generate_private_key(65537, 2048)


def name(text: str) -> x509.Name:
    oids = {"DC": NameOID.DOMAIN_COMPONENT, "CN": NameOID.COMMON_NAME}
    pairs = [part.split("=", 1) for part in text.split("/")[1:]]
    return x509.Name([x509.NameAttribute(oids[key], value) for key, value in pairs])


def builder(subject, issuer, key, *, begin_h=-1.0, end_h=24.0):
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(hours=begin_h))
        .not_valid_after(now + timedelta(hours=end_h))
    )


@cache
def authority() -> Party:
    key, mine = ec.generate_private_key(ec.SECP256R1()), name("/DC=ch/DC=test/CN=Test CA")
    made = builder(mine, mine, key, begin_h=-9999, end_h=9999).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    return Party(made.sign(key, hashes.SHA256()), key)


def user(key=None, *, end_h=300.0, begin_h=-1.0, usage: bool | None = True) -> Party:
    """A user's certificate; `usage` is whether it may sign (None: it does not say)."""
    above, key = authority(), key or rsa_key()
    made = builder(
        name(USER), above.certificate.subject, key, begin_h=begin_h, end_h=end_h
    ).add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    if usage is not None:
        others = ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
        more = dict.fromkeys(("content_commitment", "data_encipherment", *others), False)
        extension = x509.KeyUsage(digital_signature=usage, key_encipherment=True, **more)
        made = made.add_extension(extension, critical=True)
    return Party(made.sign(above.key, hashes.SHA256()), key)


def proxy(  # noqa: PLR0913 (each test changes one of them)
    parent: Party,
    last: str = "12345",
    *,
    oid: str = "",
    value: bytes = IMPERSONATION,
    voms: bytes = b"",
    begin_h: float = -0.1,
    end_h: float = 12.0,
) -> Party:
    """A proxy, made by other code than that which is tested."""
    key = rsa_key(1)
    subject = x509.Name(
        [*parent.certificate.subject, x509.NameAttribute(NameOID.COMMON_NAME, last)]
    )
    made = builder(subject, parent.certificate.subject, key, begin_h=begin_h, end_h=end_h)
    for number, content in ((oid, value), (VOMS_OID if voms else "", voms)):
        if number:
            made = made.add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier(number), content),
                critical=number == RFC,
            )
    signed = made.sign(parent.key, hashes.SHA256())
    return Party(signed, key, (parent.certificate, *parent.above))


def write(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


# -- what a VOMS server writes ------------------------------------------------------------------


def der(tag: int, *parts: bytes) -> bytes:
    value = b"".join(parts)
    size = len(value)
    if size < 0x80:
        return bytes([tag, size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 + len(length)]) + length + value


def voms_extension(vo="cms", fqans=("/cms/Role=NULL/Capability=NULL",), *, end_h=12.0) -> bytes:
    """The extension's shape (RFC 5755 and VOMS), with a signature of nobody."""
    now = datetime.now(UTC)
    times = [
        der(0x18, (now + timedelta(hours=hours)).strftime("%Y%m%d%H%M%SZ").encode())
        for hours in (-1, end_h)
    ]
    attribute_oid = bytes.fromhex("060a2b06010401be45646404")
    authority_name = der(0xA0, der(0x86, f"{vo}://voms.test:15000".encode()))
    values = der(0x30, *(der(0x04, fqan.encode()) for fqan in fqans))
    attribute = der(0x30, attribute_oid, der(0x31, der(0x30, authority_name, values)))
    holder = der(0x30, der(0xA0, der(0x30, b""), der(0x02, b"\x05")))
    info = der(0x30, der(0x02, b"\x01"), holder, der(0x30, *times), der(0x30, attribute))
    signature = der(0x03, b"\x00" + b"s" * 200)
    return der(0x30, der(0x30, der(0x30, info, signature)))
