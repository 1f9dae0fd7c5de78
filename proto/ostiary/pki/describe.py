"""Certificates in words, for people and for scripts."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from ostiary.wire.files import read_file
from ostiary.wire.identity import uri_names

Facts = dict[str, str | list[str]]

_USES = {ExtendedKeyUsageOID.CLIENT_AUTH: "client", ExtendedKeyUsageOID.SERVER_AUTH: "server"}


def load_leaf(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file; ValueError, in words, where there is none."""
    try:
        return x509.load_pem_x509_certificates(read_file(path))[0]
    except ValueError as error:
        raise ValueError(f"{path} holds no certificate in PEM: {error}") from error


def describe(certificate: x509.Certificate) -> Facts:
    """Identity, serial (hex), names, uses, issuer, life (ISO 8601, UTC) and SHA-256 fingerprint (hex)."""
    return {
        "id": ", ".join(uri_names(certificate)),
        "serial": f"{certificate.serial_number:x}",
        "dns": _names(certificate, x509.DNSName),
        "ip": _names(certificate, x509.IPAddress),
        "uses": _uses(certificate),
        "issuer": certificate.issuer.rfc4514_string(),
        "not_before": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "fingerprint": certificate.fingerprint(SHA256()).hex(),
    }


def _names(certificate: x509.Certificate, kind: type[x509.DNSName] | type[x509.IPAddress]) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in names if isinstance(name, kind)]


def _uses(certificate: x509.Certificate) -> list[str]:
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return []
    return [_USES.get(use, use.dotted_string) for use in uses]
