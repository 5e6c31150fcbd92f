"""The gateway's private CA and its serving certificate: issuing and checking, without a cluster."""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable

CA_LIFETIME = timedelta(days=3650)
SERVING_LIFETIME = timedelta(days=365)
_CLOCK_SKEW = timedelta(minutes=15)
_CA_NAME = "agentcorps gateway CA"


class BrokenCertificateError(ValueError):
    """Stored PEM cannot be read, or its parts do not belong together."""


@dataclass(frozen=True, slots=True)
class ServingCertificate:
    """The gateway's certificates as PEM."""

    ca_pem: str
    """What agents trust."""
    ca_key_pem: str = field(repr=False)
    chain_pem: str
    key_pem: str = field(repr=False)

    @property
    def not_after(self) -> float:
        """When the serving certificate ends, in seconds since the Unix epoch."""
        return self.leaf.not_valid_after_utc.timestamp()

    @property
    def leaf(self) -> x509.Certificate:
        """The serving certificate itself."""
        return x509.load_pem_x509_certificate(self.chain_pem.encode())

    def ssl_context(self) -> ssl.SSLContext:
        """A server's TLS context, version 1.2 or later."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Use this certificate for the context's connections from now on; open ones keep theirs."""
        # OpenSSL reads only files; this one is private (0600), unlinked at once, kept off disks.
        with tempfile.NamedTemporaryFile(dir=_memory_folder()) as file:
            file.write((self.key_pem + self.chain_pem).encode())
            file.flush()
            context.load_cert_chain(file.name)


def issue(names: Iterable[str], now: float) -> ServingCertificate:
    """Make a new CA and a serving certificate for names and addresses.

    Args:
        names: DNS names and IP addresses; the first is the common name.
        now: Seconds since the Unix epoch.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    return _serve(_certify_ca(key, _time(now)), key, tuple(names), _time(now))


def renewed(
    stored: ServingCertificate, names: Iterable[str], now: float
) -> ServingCertificate | None:
    """What should replace a stored certificate; None while it is good.

    It is due when less than a third of its life is left or its names differ. A CA that is due keeps
    its key, so agents that hold the earlier CA certificate go on trusting what is issued.

    Raises:
        BrokenCertificateError: What is stored cannot be used at all.
    """
    wanted, instant = tuple(names), _time(now)
    authority, key = _authority(stored)
    if not _due(authority, instant):
        if not _due(stored.leaf, instant) and _names_of(stored.leaf) == set(wanted):
            return None
        return _serve(authority, key, wanted, instant)
    return _serve(_certify_ca(key, instant), key, wanted, instant)


def _authority(stored: ServingCertificate) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The stored CA, once everything stored is known to belong together."""
    try:
        authority = x509.load_pem_x509_certificate(stored.ca_pem.encode())
        key = serialization.load_pem_private_key(stored.ca_key_pem.encode(), password=None)
        leaf_key = serialization.load_pem_private_key(stored.key_pem.encode(), password=None)
        stored.leaf.verify_directly_issued_by(authority)
    except Exception as error:
        # Parsing and checking fail in many ways (ValueError, TypeError, InvalidSignature, ...).
        raise BrokenCertificateError(
            f"unusable certificate or key: {type(error).__name__}"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BrokenCertificateError("the CA's key is not an elliptic curve key")
    for private, certificate in ((key, authority), (leaf_key, stored.leaf)):
        if private.public_key() != certificate.public_key():
            raise BrokenCertificateError("a key does not belong to its certificate")
    return authority, key


def _certify_ca(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _CA_NAME)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(name, name, key.public_key(), now, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _serve(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    now: datetime,
) -> ServingCertificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    leaf = (
        _builder(subject, authority.subject, key.public_key(), now, SERVING_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return ServingCertificate(
        ca_pem=_pem(authority),
        ca_key_pem=_key_pem(authority_key),
        chain_pem=_pem(leaf),
        key_pem=_key_pem(key),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _due(certificate: x509.Certificate, now: datetime) -> bool:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return end - now < (end - begin) / 3


def _names_of(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in names}


def _general(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _memory_folder() -> str | None:
    """A memory file system if there is one; containers with a read-only root have it as well."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - unpredictable name, 0600
