"""X.509 proxies: where they are, what is in them, and whether they can be used.

A proxy is a short certificate with its own key and without a passphrase, signed by the user's
certificate or by another proxy: RFC 3820, and two older forms that are still met.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from beampipe.environments.secret import Secret
from beampipe.environments.secret_files import (
    REMEDIES,
    check_private,
    describe_time,
    invalid_file,
    read_file,
)
from beampipe.environments.voms import INTEGER, VOMS_OID, VomsAttributes, read_voms, walk_der
from beampipe.errors import (
    CredentialExpiredError,
    CredentialInvalidError,
    CredentialPassphraseError,
)

VARIABLE = "X509_USER_PROXY"
LIMITED = bytes.fromhex("060b2b060104019b5001010109")
"""DER of 1.3.6.1.4.1.3536.1.1.1.9, the policy of proxies that may read and start no jobs."""
_LEGACY = {"proxy": False, "limited proxy": True}
_SHORT = {
    NameOID.COMMON_NAME: "CN",
    NameOID.COUNTRY_NAME: "C",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.USER_ID: "UID",
}
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)

Kind = Literal["rfc3820", "draft", "legacy", "none"]
_KINDS: Final[Mapping[x509.ObjectIdentifier, Kind]] = {
    x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14"): "rfc3820",
    x509.ObjectIdentifier("1.3.6.1.4.1.3536.1.222"): "draft",
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """What is known of a proxy. Its key is not kept.

    Attributes
    ----------
    path : Path
        Its file.
    kind : {"rfc3820", "draft", "legacy", "none"}
        The form of the first certificate; "none" is the user's own certificate.
    is_limited : bool
        Whether it may be used for reading only.
    subject, issuer, identity : str
        Of the proxy, of who signed it, and of the user behind it; ``/DC=ch/CN=Z``.
    begins_at, ends_at : datetime
        When all certificates of the chain are valid.
    bits : int
        Size of its key; 0 where that says nothing.
    path_length : int or None
        How many proxies may be made of it in a row; None where there is no limit.
    voms : VomsAttributes or None
        What a VO says of the user.
    mode, owner : int
        Permissions and user number of the file.
    """

    path: Path
    kind: Kind
    is_limited: bool
    subject: str
    issuer: str
    identity: str
    begins_at: datetime
    ends_at: datetime
    bits: int
    path_length: int | None
    voms: VomsAttributes | None
    mode: int
    owner: int

    def usable_until(self) -> datetime:
        """When the proxy, or the VO's word, ends."""
        ends_at = self.voms.ends_at if self.voms is not None else None
        return self.ends_at if ends_at is None else min(self.ends_at, ends_at)

    def to_json(self, now: datetime) -> dict[str, Any]:
        """All of it, for ``--json``."""
        voms = self.voms
        return {
            "path": str(self.path),
            "kind": self.kind,
            "limited": self.is_limited,
            "subject": self.subject,
            "issuer": self.issuer,
            "identity": self.identity,
            "begins_at": self.begins_at.isoformat(),
            "ends_at": self.ends_at.isoformat(),
            "left_s": (self.usable_until() - now).total_seconds(),
            "bits": self.bits,
            "path_length": self.path_length,
            "vo": voms and voms.vo,
            "fqans": list(voms.fqans) if voms else [],
            "vo_ends_at": voms.ends_at.isoformat() if voms and voms.ends_at else None,
        }


@dataclass(frozen=True, slots=True)
class PemFile:
    """A file that was read: its certificates, and its key if it has one.

    Attributes
    ----------
    certificates : tuple of Certificate
        In the order of the file.
    key_pem : Secret
        Empty without a key.
    mode, owner : int
        Permissions and user number.
    """

    certificates: tuple[x509.Certificate, ...]
    key_pem: Secret
    mode: int
    owner: int

    def __repr__(self) -> str:
        return f"PemFile({len(self.certificates)} certificates)"


def find_proxy(environment: Mapping[str, str] = os.environ) -> Path:
    """Where this user's proxy is, or would be: ``X509_USER_PROXY``, else in ``/tmp``."""
    named = environment.get(VARIABLE)
    return Path(named) if named else Path(f"/tmp/x509up_u{os.getuid()}")  # noqa: S108 (that is where)


def read_proxy(path: Path) -> Proxy:
    """Read a proxy, and see that its parts belong together.

    Raises
    ------
    CredentialMissingError
        ``credential-missing``
    CredentialInvalidError
        ``credential-invalid``: no proxy, another certificate's key, a broken chain.
    CredentialUnsafeError
        ``credential-unsafe``: it is not ours to read.
    """
    file = read_pem(path, what="proxy")
    if not file.certificates:
        raise _invalid(path, "there is no certificate in it")
    chain = order_chain(file.certificates, path)
    first = chain[0]
    if not file.key_pem:
        raise _invalid(path, "there is no private key in it")
    key = load_key(file.key_pem, path, passphrase=None)
    if public_bytes(key.public_key()) != public_bytes(first.public_key()):
        raise _invalid(path, "its key belongs to another certificate")
    kind, is_limited = tell_kind(first)
    users = [one for one in chain if tell_kind(one)[0] == "none"]
    return Proxy(
        path=path,
        kind=kind,
        is_limited=is_limited or any(tell_kind(one)[1] for one in chain),
        subject=name_of(first.subject),
        issuer=name_of(first.issuer),
        identity=name_of(users[0].subject if users else chain[-1].issuer),
        begins_at=max(one.not_valid_before_utc for one in chain),
        ends_at=min(one.not_valid_after_utc for one in chain),
        bits=getattr(key, "key_size", 0),
        path_length=count_further(chain),
        voms=_find_voms(chain),
        mode=file.mode,
        owner=file.owner,
    )


def check_proxy(proxy: Proxy, *, needed_s: float = 0.0, now: datetime | None = None) -> None:
    """See whether a proxy can be used, for as long as it is needed.

    Raises
    ------
    CredentialUnsafeError
        ``credential-unsafe``: others can read it, or it is somebody else's.
    CredentialExpiredError
        ``credential-expired``: also where it ends too early, or begins later.
    """
    now = now or datetime.now(UTC)
    check_private(proxy.path, proxy.mode, proxy.owner, what="proxy")
    left_s = (proxy.usable_until() - now).total_seconds()
    if left_s > needed_s and proxy.begins_at <= now:
        return
    raise CredentialExpiredError(
        _sum_up(proxy, now, left_s),
        why=f"it was issued for {proxy.identity}, {describe_end(proxy)}",
        fix=REMEDIES["proxy"]
        if proxy.begins_at <= now
        else "look at this host's clock, and the issuer's",
        path=str(proxy.path),
        ends_at=proxy.usable_until().isoformat(),
    )


def _sum_up(proxy: Proxy, now: datetime, left_s: float) -> str:
    if proxy.begins_at > now:
        return (
            f"The proxy {proxy.path} is not valid before {proxy.begins_at:%Y-%m-%d %H:%M:%S} UTC."
        )
    if left_s <= 0:
        whose = "" if proxy.ends_at <= now else " (the VO's attributes in it)"
        return f"The proxy {proxy.path} has expired{whose}."
    return f"The proxy {proxy.path} ends in {describe_time(left_s)}, which is too early."


def describe_end(proxy: Proxy) -> str:
    """Say until when it can be used."""
    return f"until {proxy.usable_until():%Y-%m-%d %H:%M:%S} UTC"


# -- files --------------------------------------------------------------------------------------


def read_pem(path: Path, *, what: str) -> PemFile:
    """Read certificates and a key out of a file.

    Parameters
    ----------
    path : Path
        PEM, in any order, with any text between.
    what : str
        For people: what it is to be.

    Raises
    ------
    CredentialMissingError, CredentialInvalidError, CredentialUnsafeError
        It is not there, not PEM, or may not be read.
    """
    data, found = read_file(path, what=what)
    certificates: list[x509.Certificate] = []
    key_pem = Secret(b"")
    for block in _PEM.finditer(data.reveal()):
        label = block.group(1)
        try:
            if label in {b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"}:
                certificates.append(x509.load_pem_x509_certificate(block.group(0)))
        except ValueError as error:
            raise _invalid(path, "a certificate in it is damaged") from error
        if label.endswith(b"PRIVATE KEY") and not key_pem:
            key_pem = Secret(block.group(0) + b"\n")
    if not certificates and not key_pem:
        raise _invalid(path, "it is no PEM file: nothing in it begins with -----BEGIN", what)
    return PemFile(tuple(certificates), key_pem, stat.S_IMODE(found.st_mode), found.st_uid)


def load_key(pem: Secret, path: Path, *, passphrase: Secret | None) -> Any:
    """Unlock a private key.

    Raises
    ------
    CredentialPassphraseError
        ``credential-passphrase``: it needs one, or another one.
    CredentialInvalidError
        ``credential-invalid``
    """
    try:
        return serialization.load_pem_private_key(
            pem.reveal(), passphrase.reveal() if passphrase is not None else None
        )
    except TypeError:
        if passphrase is not None:  # it was not locked at all
            return load_key(pem, path, passphrase=None)
        reason = "it is locked with a passphrase"
    except ValueError as error:
        if passphrase is None:
            raise _invalid(path, "its key is damaged") from error
        reason = "the passphrase is not the right one"
    except UnsupportedAlgorithm as error:
        raise _invalid(path, "its key is of a kind that is not known here") from error
    # Not raised from the library's error: nothing that it saw may go further.
    raise CredentialPassphraseError(
        f"The key in {path} cannot be used.", why=reason, fix="type its passphrase", path=str(path)
    ) from None


def _invalid(path: Path, why: str, what: str = "proxy") -> CredentialInvalidError:
    return invalid_file(path, why, what)


# -- certificates -------------------------------------------------------------------------------


def order_chain(
    certificates: Sequence[x509.Certificate], path: Path
) -> tuple[x509.Certificate, ...]:
    """Put a chain in order, each signed by the next; the first one stays the first.

    Raises
    ------
    CredentialInvalidError
        ``credential-invalid``: a link is missing, or not signed by what it names.
    """
    chain, others = [certificates[0]], list(certificates[1:])
    while others:
        last = chain[-1]
        issuer = next((one for one in others if one.subject == last.issuer), None)
        if issuer is None:
            break
        if not _is_signed_by(last, issuer):
            why = f"{name_of(last.subject)} was not signed by the certificate that it names"
            raise _invalid(path, why)
        others.remove(issuer)
        chain.append(issuer)
    if tell_kind(chain[-1])[0] != "none":
        raise _invalid(path, f"the certificate of {name_of(chain[-1].issuer)} is missing in it")
    return tuple(chain)


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return False
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return True  # names agree; old kinds of signatures are for the server to judge
    return True


def tell_kind(certificate: x509.Certificate) -> tuple[Kind, bool]:
    """Tell which kind of proxy a certificate is, and whether it is a limited one."""
    for oid, kind in _KINDS.items():
        value = extension_of(certificate, oid)
        if value is not None:
            return kind, LIMITED in value
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    last = str(names[-1].value) if names else ""
    is_child = list(certificate.subject)[:-1] == list(certificate.issuer)
    if is_child and last in _LEGACY:
        return "legacy", _LEGACY[last]
    return "none", False


def extension_of(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    """The value of an extension that the library does not know; None where there is none."""
    try:
        value = certificate.extensions.get_extension_for_oid(oid).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None  # not there; or another extension is not as it should be
    return value.value if isinstance(value, x509.UnrecognizedExtension) else b""


def count_further(chain: Sequence[x509.Certificate]) -> int | None:
    """How many proxies may be made of the first in a row, as all of its chain allow.

    None where there is no limit.
    """
    limits = []
    for depth, certificate in enumerate(chain):
        for oid in _KINDS:
            limit = _path_length(extension_of(certificate, oid) or b"")
            if limit is not None:
                limits.append(max(limit - depth, 0))
    return min(limits, default=None)


def _path_length(information: bytes) -> int | None:
    """The only whole number in the extension of a proxy, in the draft's form too."""
    try:
        found = [value for tag, value in walk_der(information) if tag == INTEGER]
    except (IndexError, ValueError):
        return None
    return int.from_bytes(found[0], "big", signed=True) if found else None


def _find_voms(chain: Sequence[x509.Certificate]) -> VomsAttributes | None:
    for certificate in chain:
        value = extension_of(certificate, x509.ObjectIdentifier(VOMS_OID))
        if value is not None:
            return read_voms(value)
    return None


def public_bytes(key: Any) -> bytes:
    """What tells keys apart."""
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_bytes(encoding, form))


def name_of(name: x509.Name) -> str:
    """Write a name as the grid does: ``/DC=ch/DC=cern/CN=Z``."""
    return "".join(
        f"/{_SHORT.get(part.oid, part.oid.dotted_string)}={_text(part.value)}" for part in name
    )


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.hex()
