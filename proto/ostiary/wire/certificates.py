"""Certificates as values: checking an identity, and verifying a peer's chain. No files, no clock."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from ostiary.wire.identity import check_trust_domain, spiffe_id_of, uri_names

_MAX_INTERMEDIATES = 4


@dataclass(frozen=True)
class Identity:
    """A certificate with its key and the authorities that its holder trusts, checked against one another."""

    ca_pem: bytes
    cert_pem: bytes
    key_pem: bytes
    leaf: x509.Certificate
    roots: tuple[x509.Certificate, ...]
    trust_domain: str
    """The one trust domain that peers must belong to."""


def load_identity(
    ca_pem: bytes, cert_pem: bytes, key_pem: bytes, *, trust_domain: str, now: datetime
) -> Identity:
    """Parses and checks an identity.

    An empty `trust_domain` means that of the certificate itself. Raises ValueError, in words, for what does
    not parse, a key of another certificate, a certificate out of its life, an authority of another trust
    domain, or authorities of which none is within its life.
    """
    roots = _parse_certificates("ca", ca_pem)
    leaf = _parse_certificates("cert", cert_pem)[0]
    key = _parse_key(key_pem)
    if _public_bytes(key.public_key()) != _public_bytes(leaf.public_key()):
        raise ValueError("key does not belong to cert: issue both together")
    check_alive("cert", leaf, now)
    domain = check_trust_domain(trust_domain) if trust_domain else spiffe_id_of(leaf).trust_domain
    for root in roots:
        _check_root(root, domain)
    if not any(_alive(root, now) for root in roots):
        raise ValueError("ca holds no certificate that is within its life")
    return Identity(ca_pem, cert_pem, key_pem, leaf, tuple(roots), domain)


def _parse_certificates(name: str, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ValueError(f"{name} holds no certificate in PEM: {error}") from error


def _parse_key(pem: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"key is not an unencrypted private key in PEM: {error}") from error


def _public_bytes(key: object) -> bytes:
    data: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return data


def _alive(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def check_alive(name: str, certificate: x509.Certificate, now: datetime) -> None:
    """Raises ValueError unless `now` lies within the certificate's life."""
    if now > certificate.not_valid_after_utc:
        raise ValueError(f"{name} expired at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%SZ}: renew it")
    if now < certificate.not_valid_before_utc:
        raise ValueError(
            f"{name} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%SZ}: "
            "check the clocks"
        )


def _check_root(root: x509.Certificate, trust_domain: str) -> None:
    """An authority vouches for one trust domain: a second one in the bundle could mint our IDs."""
    try:
        is_ca = root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    if not is_ca:
        raise ValueError(f"ca holds {root.subject.rfc4514_string()!r}, which is not a certificate authority")
    domains = {name.removeprefix("spiffe://") for name in uri_names(root) if name.startswith("spiffe://")}
    if domains and domains != {trust_domain}:
        raise ValueError(
            f"ca holds the authority of trust domain {', '.join(sorted(domains))}, but this endpoint trusts "
            f"{trust_domain} alone: remove it from the file"
        )


def verify_client_chain(
    leaf: x509.Certificate,
    presented: Collection[x509.Certificate],
    roots: Sequence[x509.Certificate],
    now: datetime,
) -> list[x509.Certificate]:
    """Checks that `leaf` is a client certificate that chains to one of `roots`, through `presented` ones.

    Returns the chain, the leaf first. Raises ValueError where there is none.
    """
    verifier = (
        PolicyBuilder()
        .store(Store(list(roots)))
        .time(now)
        .max_chain_depth(_MAX_INTERMEDIATES)
        .extension_policies(ca_policy=_ca_policy(), ee_policy=_client_policy())
        .build_client_verifier()
    )
    try:
        return verifier.verify(leaf, list(presented)).chain
    except VerificationError as error:
        raise ValueError(f"it does not chain to a trusted authority: {error}") from error


def _ca_policy() -> ExtensionPolicy:
    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _must_be_ca)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _must_sign_certificates)
    )


def _client_policy() -> ExtensionPolicy:
    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
        .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _must_not_be_ca)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _must_be_for_clients)
    )


def _must_be_ca(_policy: Policy, _certificate: x509.Certificate, extension: x509.BasicConstraints) -> None:
    if not extension.ca:
        raise ValueError("its issuer is not a certificate authority")


def _must_sign_certificates(
    _policy: Policy, _certificate: x509.Certificate, extension: x509.KeyUsage | None
) -> None:
    if extension is not None and not extension.key_cert_sign:
        raise ValueError("its issuer may not sign certificates")


def _must_not_be_ca(
    _policy: Policy, _certificate: x509.Certificate, extension: x509.BasicConstraints | None
) -> None:
    if extension is not None and extension.ca:
        raise ValueError("it is a certificate authority")


def _must_be_for_clients(
    _policy: Policy, _certificate: x509.Certificate, extension: x509.ExtendedKeyUsage | None
) -> None:
    if extension is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in extension:
        raise ValueError("it is not for clients")
