"""Proxies of RFC 3820, and what is in a .p12 file, without openssl or the grid's tools."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from beampipe.environments.secret import Secret
from beampipe.environments.secret_files import check_private, read_file
from beampipe.environments.x509 import (
    count_further,
    load_key,
    name_of,
    order_chain,
    public_bytes,
    read_pem,
    tell_kind,
)
from beampipe.errors import (
    CredentialError,
    CredentialExistsError,
    CredentialExpiredError,
    CredentialInvalidError,
    CredentialPassphraseError,
    CredentialStorageError,
)
from beampipe.private_files import make_private_folder, write_private

LEAST_BITS, MOST_BITS = 2048, 8192
CERTIFICATE, KEY = "usercert.pem", "userkey.pem"
_CERTIFICATE_MODE, _KEY_MODE = 0o644, 0o400
_CLOCKS_DIFFER = timedelta(minutes=5)
_PROXY_INFO: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
# A sequence of a policy, which is a sequence of its language: no limit to further proxies.
_ALL: Final = bytes.fromhex("300c300a06082b06010505071501")
_LIMITED: Final = bytes.fromhex("300f300d060b2b060104019b5001010109")

AskPassphrase = Callable[[str], str]
"""Given what it is for, gives what the user typed."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate or proxy, with its key, that is to sign a proxy.

    Attributes
    ----------
    chain : tuple of Certificate
        Itself first, then those above it that are known, down from the user's certificate.
    key : private key
        In no representation.
    path : Path
        Where it was read.
    """

    chain: tuple[x509.Certificate, ...]
    key: Any
    path: Path

    def __repr__(self) -> str:
        return f"Signer({name_of(self.chain[0].subject)!r})"


def find_user_files(environment: Mapping[str, str] = os.environ) -> tuple[Path, Path]:
    """Where a user's certificate and key are: ``X509_USER_CERT`` and ``_KEY``, or ``~/.globus``."""
    folder = Path("~/.globus").expanduser()
    certificate = environment.get("X509_USER_CERT")
    key = environment.get("X509_USER_KEY")
    return Path(certificate or folder / CERTIFICATE), Path(key or folder / KEY)


def load_signer(certificate: Path, key: Path | None, ask: AskPassphrase) -> Signer:
    """Read what is to sign.

    Parameters
    ----------
    certificate : Path
        PEM; a proxy has its key in the same file.
    key : Path, optional
        Where the key is, if not in the same file.
    ask : callable
        Called once if the key is locked.

    Raises
    ------
    CredentialError
        A leaf for: missing, no such thing, open to others, wrong passphrase, not a pair.
    """
    pem = read_pem(certificate, what="certificate")
    if not pem.certificates:
        raise _no_signer(certificate, "there is no certificate in it")
    place, holder = (certificate, pem) if key is None else (key, read_pem(key, what="key"))
    if not holder.key_pem:
        raise _no_signer(place, "there is no private key in it")
    check_private(place, holder.mode, holder.owner, what="key")
    try:
        unlocked = load_key(holder.key_pem, place, passphrase=None)
    except CredentialPassphraseError:
        typed = Secret(ask(f"Passphrase of {place}").encode())
        unlocked = load_key(holder.key_pem, place, passphrase=typed)
    chain = order_chain(pem.certificates, certificate)
    if public_bytes(unlocked.public_key()) != public_bytes(chain[0].public_key()):
        raise _no_signer(place, f"its key does not belong to the certificate in {certificate}")
    return Signer(chain, unlocked, certificate)


def make_proxy(signer: Signer, *, hours: float, bits: int, now: datetime | None = None) -> Secret:
    """Make a proxy (RFC 3820), no longer than all that signed it.

    Parameters
    ----------
    signer : Signer
        A user's certificate, or a proxy of the same kind.
    hours : float
        How long it is to be valid; less where the signer ends earlier [h].
    bits : int
        Size of its RSA key.

    Returns
    -------
    Secret
        PEM, as grid tools write it: the proxy, its key, and the chain.

    Raises
    ------
    CredentialExpiredError
        ``credential-expired``: the signer is over, or begins later.
    CredentialInvalidError
        ``credential-invalid``: it cannot sign one.
    """
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    parent = signer.chain[0]
    begins_at = max(one.not_valid_before_utc for one in signer.chain)
    ends_at = min(one.not_valid_after_utc for one in signer.chain)
    if not begins_at <= now < ends_at:
        raise CredentialExpiredError(
            f"The certificate in {signer.path} signs no proxy: it is not valid now.",
            why=f"valid from {begins_at:%Y-%m-%d %H:%M} to {ends_at:%Y-%m-%d %H:%M} UTC",
            fix="ask its authority for a new one" if ends_at <= now else "look at the clocks",
            path=str(signer.path),
        )
    policy = _policy_for(signer)
    key = rsa.generate_private_key(65537, bits)
    serial = secrets.randbits(62) + 1
    last_name = x509.NameAttribute(NameOID.COMMON_NAME, str(serial))
    proxy = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name([*parent.subject.rdns, x509.RelativeDistinguishedName([last_name])])
        )
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(max(now - _CLOCKS_DIFFER, begins_at))
        .not_valid_after(min(now + timedelta(hours=hours), ends_at))
        .add_extension(x509.UnrecognizedExtension(_PROXY_INFO, policy), critical=True)
        .add_extension(_key_usage(), critical=True)
        .sign(signer.key, _hash_for(signer.key))
    )
    form = serialization.PrivateFormat.TraditionalOpenSSL  # what the oldest of readers know
    plain = serialization.NoEncryption()
    encoding = serialization.Encoding.PEM
    above = [one.public_bytes(encoding) for one in signer.chain]
    parts = [proxy.public_bytes(encoding), key.private_bytes(encoding, form, plain), *above]
    return Secret(b"".join(parts))


def write_proxy(path: Path, pem: Secret) -> None:
    """Put a proxy where it is looked for, for its owner's eyes; an older one is replaced.

    Raises
    ------
    CredentialStorageError
        ``credential-storage``
    """
    try:
        write_private(path, pem.reveal())
        return
    except OSError as error:
        problem = _not_written(path, error, "--out")
    raise problem  # not from the system's error, in whose traceback is what was to be written


def _policy_for(signer: Signer) -> bytes:
    kind, is_limited = tell_kind(signer.chain[0])
    if kind not in {"none", "rfc3820"}:
        raise _no_signer(signer.path, f"it is a {kind} proxy, which signs none of RFC 3820")
    if count_further(signer.chain) == 0:
        raise _no_signer(signer.path, "it allows no further proxy (its path length)")
    try:
        usage = signer.chain[0].extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        pass
    else:
        if not usage.digital_signature:
            raise _no_signer(signer.path, "its key usage does not allow signatures")
    return _LIMITED if is_limited else _ALL


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _hash_for(key: Any) -> hashes.SHA256 | None:
    is_hashed = isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey))
    return hashes.SHA256() if is_hashed else None


def _no_signer(path: Path, why: str) -> CredentialInvalidError:
    return CredentialInvalidError(
        f"No proxy can be made with {path}.",
        why=why,
        fix="give the user's certificate and key that belong together (--cert, --key), or a"
        " proxy (--cert alone)",
        path=str(path),
    )


# -- .p12 files ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """A user's certificate and key.

    Attributes
    ----------
    certificate : Certificate
        The user's.
    key : private key
        In no representation.
    """

    certificate: x509.Certificate
    key: Any

    def __repr__(self) -> str:
        return f"Identity({name_of(self.certificate.subject)!r})"


def read_p12(path: Path, ask: AskPassphrase) -> Identity:
    """Take certificate and key out of a .p12 (.pfx) file, as browsers and authorities give it.

    Parameters
    ----------
    path : Path
        The file.
    ask : callable
        Called once if it is locked.

    Raises
    ------
    CredentialError
        A leaf for: missing, no such file, wrong passphrase.
    """
    data, _ = read_file(path, what="PKCS#12 file")
    if not data.reveal().startswith(b"\x30"):
        raise _no_p12(path, "it does not begin as one")
    found = _open_p12(data, path, None)
    if found is None:
        typed = Secret(ask(f"Passphrase of {path}").encode())
        found = _open_p12(data, path, typed)
    if found is None:
        raise CredentialPassphraseError(
            f"{path} cannot be opened.",
            why="the passphrase is not the right one, or the file is damaged",
            fix="type the passphrase that was chosen when it was exported",
            path=str(path),
        )
    return found


def _open_p12(data: Secret, path: Path, passphrase: Secret | None) -> Identity | None:
    """What is in it; None if the passphrase is another one."""
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(
            data.reveal(), passphrase.reveal() if passphrase is not None else None
        )
    except ValueError:
        return None
    except UnsupportedAlgorithm as error:
        raise _no_p12(
            path,
            "it is locked in a way that is not to be had here, as old ones are (RC2)",
            "write it anew: `openssl pkcs12 -legacy -in OLD -nodes | openssl pkcs12 -export -out"
            " NEW`; or export it from the browser again",
        ) from error
    if key is None or certificate is None:
        raise _no_p12(path, "there is no certificate with its key in it")
    return Identity(certificate, key)


def check_absent(folder: Path) -> None:
    """See that no certificate or key would be written over.

    Raises
    ------
    CredentialExistsError
        ``credential-exists``
    """
    places = folder / CERTIFICATE, folder / KEY
    there = [str(path) for path in places if path.exists() or path.is_symlink()]
    if there:
        raise CredentialExistsError(
            f"{' and '.join(there)} would be written over.",
            why="a certificate or key is there already",
            fix="give another folder (--out-dir), or --force",
        )


def write_identity(
    identity: Identity, folder: Path, *, passphrase: Secret | None, force: bool = False
) -> tuple[Path, Path]:
    """Write ``usercert.pem`` and ``userkey.pem``.

    Parameters
    ----------
    identity : Identity
        What to write.
    folder : Path
        Where; it is made if need be.
    passphrase : Secret or None
        What is to lock the key; None leaves it open.
    force : bool
        Whether files that are there already are replaced.

    Returns
    -------
    tuple of Path
        Certificate and key.

    Raises
    ------
    CredentialExistsError
        ``credential-exists``: nothing was written.
    CredentialStorageError
        ``credential-storage``
    """
    places = folder / CERTIFICATE, folder / KEY
    if not force:
        check_absent(folder)
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        lock = serialization.BestAvailableEncryption(passphrase.reveal())
    encoding = serialization.Encoding.PEM
    pkcs8 = serialization.PrivateFormat.PKCS8
    key = Secret(identity.key.private_bytes(encoding, pkcs8, lock))
    certificate = identity.certificate.public_bytes(encoding)
    try:
        make_private_folder(folder)
        write_private(places[1], key.reveal(), _KEY_MODE)
        write_private(places[0], certificate, _CERTIFICATE_MODE)
        return places
    except OSError as error:
        problem = _not_written(folder, error, "--out-dir")
    raise problem  # not from the system's error, in whose traceback is what was to be written


_EXPORT = "export certificate and private key from the browser or the authority's page again"


def _no_p12(path: Path, why: str, fix: str = _EXPORT) -> CredentialInvalidError:
    return CredentialInvalidError(
        f"{path} is not a PKCS#12 file with a user's certificate.",
        why=why,
        fix=fix,
        path=str(path),
    )


def _not_written(path: Path, error: OSError, option: str) -> CredentialError:
    return CredentialStorageError(
        f"{path} cannot be written.",
        why=error.strerror or str(error),
        fix=f"give another place with {option}",
        path=str(path),
    )
