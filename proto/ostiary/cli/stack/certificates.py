"""The certificates of a local stack: made once, renewed when the next `up` finds them near their end."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ostiary.cli.stack.layout import GATEWAY_NAME, POD_NAME, ROLES, TENANT, TRUST_DOMAIN, Layout
from ostiary.pki import Authority, create_ca
from ostiary.wire.identity import SpiffeId

LIFETIME = timedelta(days=7)
RENEW_BEFORE = timedelta(days=3)


def issue_all(layout: Layout, pods: int) -> None:
    """Makes the authority where there is none, and every certificate that is missing or near its end.

    Raises:
        ValueError: the authority is damaged or itself near its end.
    """
    authority = Authority.load(layout.pki) if layout.pki.exists() else create_ca(layout.pki, TRUST_DOMAIN)
    _issue(authority, layout.gateway, "/role/gateway", GATEWAY_NAME)
    for number in range(pods):
        _issue(authority, layout.pod(number), "/role/pod", POD_NAME)
    for role in ROLES:
        _issue(authority, layout.role(role), f"/tenant/{TENANT}/role/{role}", None)


def _issue(authority: Authority, out: Path, path: str, server_name: str | None) -> None:
    if fresh(authority.certificate, out / "cert.pem", datetime.now(UTC)):
        return
    identity = SpiffeId(TRUST_DOMAIN, path)
    if server_name is None:
        authority.issue(out, identity, lifetime=LIFETIME, server=False)
    else:
        names, loopback = (server_name, "localhost"), IPv4Address("127.0.0.1")
        authority.issue(out, identity, names, [loopback], lifetime=LIFETIME)


def fresh(issuer: x509.Certificate, path: Path, now: datetime) -> bool:
    """Whether the file holds a certificate of this issuer that is not yet near its end."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        certificate.verify_directly_issued_by(issuer)
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    return certificate.not_valid_after_utc - now > RENEW_BEFORE
